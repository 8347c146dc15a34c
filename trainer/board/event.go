package board

import (
	"encoding/binary"
	"math"
)

// Protocol buffer field numbers. Source: tensorboard/compat/proto: event.proto, summary.proto, tensor.proto.
const (
	eventWallTime    = 1
	eventStep        = 2
	eventFileVersion = 3
	eventSummary     = 5
	eventSessionLog  = 7

	sessionStatus = 1
	sessionStart  = 1

	summaryValue = 1

	valueTag      = 1
	valueSimple   = 2
	valueTensor   = 8
	valueMetadata = 9

	metadataPlugin = 1
	pluginName     = 1

	tensorType   = 1
	tensorShape  = 2
	tensorString = 8
	shapeSize    = 2
	sizeSize     = 1

	typeString = 7
)

// message is a protocol buffer under way.
type message []byte

func (m message) varint(field int, v uint64) message {
	return binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3), v)
}

func (m message) double(field int, v float64) message {
	return binary.LittleEndian.AppendUint64(binary.AppendUvarint(m, uint64(field)<<3|1), math.Float64bits(v))
}

func (m message) float(field int, v float32) message {
	return binary.LittleEndian.AppendUint32(binary.AppendUvarint(m, uint64(field)<<3|5), math.Float32bits(v))
}

func (m message) bytes(field int, v []byte) message {
	m = binary.AppendUvarint(binary.AppendUvarint(m, uint64(field)<<3|2), uint64(len(v)))
	return append(m, v...)
}

// event is the head of an Event.
func event(wallTime float64, step int) message {
	return message{}.double(eventWallTime, wallTime).varint(eventStep, uint64(step))
}

// scalar is a Summary.Value of one number.
func scalar(tag string, v float64) message {
	return message{}.bytes(valueTag, []byte(tag)).float(valueSimple, float32(v))
}

// text is a Summary.Value of one text, which TensorBoard renders as Markdown.
func text(tag, v string) message {
	size := message{}.varint(sizeSize, 1)
	shape := message{}.bytes(shapeSize, size)
	tensor := message{}.varint(tensorType, typeString).bytes(tensorShape, shape).bytes(tensorString, []byte(v))
	plugin := message{}.bytes(pluginName, []byte("text"))
	metadata := message{}.bytes(metadataPlugin, plugin)
	return message{}.bytes(valueTag, []byte(tag)).bytes(valueTensor, tensor).bytes(valueMetadata, metadata)
}
