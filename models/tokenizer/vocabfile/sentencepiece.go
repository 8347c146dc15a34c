package vocabfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// Kind is what a piece is for.
type Kind int

// The kinds of pieces in SentencePiece's files.
const (
	Normal Kind = iota + 1
	Unknown
	Control
	UserDefined
	Unused
	Byte
)

// Algorithm is how a SentencePiece model cuts text.
type Algorithm int

// The algorithms in SentencePiece's files.
const (
	Unigram Algorithm = iota + 1
	BPE
	Word
	Char
)

// Piece is one token; its id is its place in the list.
type Piece struct {
	// Token is the raw string.
	Token string
	// Score is its log probability, or minus its rank in a BPE model.
	Score float32
	// Kind is what it is for.
	Kind Kind
}

// SentencePiece is a tokenizer.model.
type SentencePiece struct {
	// Pieces are the tokens by id.
	Pieces []Piece
	// Algorithm is how text is cut.
	Algorithm Algorithm
	// ByteFallback makes bytes of unknown characters.
	ByteFallback bool
	// SpaceAsSuffix puts markers after words instead of before them.
	SpaceAsSuffix bool
	// Charsmap is the compiled table of replacements; it may be empty.
	Charsmap []byte
	// DummyPrefix puts a space before the text.
	DummyPrefix bool
	// RemoveExtraSpaces keeps one space of each run, and none at the ends.
	RemoveExtraSpaces bool
	// EscapeSpaces makes markers of spaces.
	EscapeSpaces bool
}

// ReadSentencePiece reads the protocol buffer of a tokenizer.model.
//
// Source: the messages ModelProto, TrainerSpec and NormalizerSpec of SentencePiece's file format.
func ReadSentencePiece(data []byte) (*SentencePiece, error) {
	m := &SentencePiece{Algorithm: Unigram, DummyPrefix: true, RemoveExtraSpaces: true, EscapeSpaces: true}
	err := fields(data, func(f field) error {
		switch f.number {
		case 1:
			piece, err := readPiece(f.content)
			if err != nil {
				return fmt.Errorf("piece %d: %w", len(m.Pieces), err)
			}
			m.Pieces = append(m.Pieces, piece)
		case 2:
			return m.readTrainer(f.content)
		case 3:
			return m.readNormalizer(f.content)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("not a tokenizer.model: %w", err)
	}
	if len(m.Pieces) == 0 {
		return nil, errors.New("not a tokenizer.model: it has no pieces")
	}
	return m, nil
}

func readPiece(data []byte) (Piece, error) {
	p := Piece{Kind: Normal}
	err := fields(data, func(f field) error {
		switch f.number {
		case 1:
			p.Token = string(f.content)
		case 2:
			p.Score = math.Float32frombits(uint32(f.value))
		case 3:
			p.Kind = Kind(f.value)
		}
		return nil
	})
	switch {
	case err != nil:
	case p.Token == "" || !utf8.ValidString(p.Token):
		err = fmt.Errorf("token %.40q is empty or not UTF-8", p.Token)
	case p.Kind < Normal || p.Kind > Byte:
		err = fmt.Errorf("type %d of %.40q is unknown", p.Kind, p.Token)
	case p.Score != p.Score || math.IsInf(float64(p.Score), 0):
		err = fmt.Errorf("score of %.40q is %v", p.Token, p.Score)
	}
	return p, err
}

func (m *SentencePiece) readTrainer(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 3:
			if m.Algorithm = Algorithm(f.value); m.Algorithm < Unigram || m.Algorithm > Char {
				return fmt.Errorf("trainer_spec: model_type %d is unknown", f.value)
			}
		case 24:
			m.SpaceAsSuffix = f.value != 0
		case 35:
			m.ByteFallback = f.value != 0
		}
		return nil
	})
}

func (m *SentencePiece) readNormalizer(data []byte) error {
	return fields(data, func(f field) error {
		switch f.number {
		case 2:
			m.Charsmap = f.content
		case 3:
			m.DummyPrefix = f.value != 0
		case 4:
			m.RemoveExtraSpaces = f.value != 0
		case 5:
			m.EscapeSpaces = f.value != 0
		}
		return nil
	})
}

// field is one field of a protocol buffer: a number, or bytes.
type field struct {
	number  uint64
	value   uint64
	content []byte
}

// fields calls visit with every field of a message.
func fields(data []byte, visit func(field) error) error {
	for len(data) > 0 {
		tag, n := binary.Uvarint(data)
		if n <= 0 {
			return errors.New("a field's number is cut off")
		}
		data = data[n:]
		f := field{number: tag >> 3}
		size := 0
		switch tag & 7 {
		case 0:
			if f.value, size = binary.Uvarint(data); size <= 0 {
				return fmt.Errorf("field %d: number is cut off", f.number)
			}
		case 1:
			if size = 8; len(data) >= size {
				f.value = binary.LittleEndian.Uint64(data)
			}
		case 2:
			length, n := binary.Uvarint(data)
			if n <= 0 || length > uint64(len(data)-n) {
				return fmt.Errorf("field %d: content is cut off", f.number)
			}
			size = n + int(length)
			f.content = data[n:size]
		case 5:
			if size = 4; len(data) >= size {
				f.value = uint64(binary.LittleEndian.Uint32(data))
			}
		default:
			return fmt.Errorf("field %d has the unknown wire type %d", f.number, tag&7)
		}
		if size > len(data) {
			return fmt.Errorf("field %d is cut off", f.number)
		}
		data = data[size:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}
