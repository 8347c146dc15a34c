package vocabulary

// Encoder is a target that tokenises.
type Encoder interface {
	// EncodeMidText gives the tokens of bytes in the middle of a text: target(r) of spec/alignment.md §1.
	EncodeMidText(text []byte) []int32
}

// Speller is what Spelling asks of a source's tokenizer.
type Speller interface {
	// Size is the highest id plus one.
	Size() int
	// Bytes are what the token stands for, nil for special tokens. Callers do not change them.
	Bytes(id int32) []byte
}

// Spelling maps every source token v to target(bytes(v)), the target's tokens of its bytes in the middle of a text; tokens
// without bytes, special ones, have none. It is the map of exact alignment. The cost of a token is the number of its target
// tokens less one.
//
// Source: spec/alignment.md §1 and §2.
func Spelling(source Speller, target Encoder) *Map {
	m := newMap(MethodSpelling, source.Size())
	for id := range int32(source.Size()) {
		var targets []int32
		if content := source.Bytes(id); len(content) > 0 {
			targets = target.EncodeMidText(content)
		}
		m.add(float32(max(0, len(targets)-1)), targets...)
	}
	return m
}
