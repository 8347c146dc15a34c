package spelling

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/profuser/profuser/schemas"
)

// Vocabulary is what the check needs of a tokenizer.
type Vocabulary interface {
	// Size is the number of ids.
	Size() int
	// Bytes gives the bytes that a token stands for; nil for special tokens.
	Bytes(id int32) []byte
	// EncodeMidText gives the tokens of a text that follows other text.
	EncodeMidText(text []byte) []int32
}

// NoLimit is the limit of entries' ids where the model's vocabulary is not known.
const NoLimit = math.MaxInt32

// Check checks a text's tokens [T] and distributions: everything that schemas.TokenDistributions.Validate does, and that
// the tokens are ids of the vocabulary, that all entries' ids are below limit (a model's vocabulary may be larger than
// its tokenizer's), and that the tokens' bytes are the text. closed: the last token ends the turn and is no part of the
// text. The bytes of the first token that lie before the text (start_bytes[0] negative) belong to the template.
//
// Tokens spell the text if their bytes are its own or, where normalisation changes it (NFC, for one), those of the
// tokenizer's own encoding of it. The first fault is a *schemas.Fault with the given record and id.
//
// Source: spec/alignment.md §1, spec/schemas.md (TokenDistributions).
func Check(v Vocabulary, record, id, text string, closed bool, d *schemas.TokenDistributions, limit int) error {
	fault := func(column, value, want string) error {
		return &schemas.Fault{Record: record, ID: id, Column: column, Value: value, Want: want}
	}
	if err := d.Validate(len(text)); err != nil {
		if f, ok := err.(*schemas.Fault); ok {
			return fault(f.Column, f.Value, f.Want)
		}
		return err
	}
	for t, token := range d.TokenIDs {
		if int(token) >= v.Size() {
			return fault(fmt.Sprintf("token_ids[%d]", t), fmt.Sprint(token), fmt.Sprintf("an id of the tokenizer, below %d", v.Size()))
		}
	}
	for k, entry := range d.IDs {
		if int(entry) >= limit {
			return fault(fmt.Sprintf("ids[%d]", k), fmt.Sprint(entry), fmt.Sprintf("an id of the model's vocabulary, below %d", limit))
		}
	}
	ids := d.TokenIDs
	if closed {
		ids = ids[:len(ids)-1]
	}
	return spells(v, text, ids, d.StartBytes[0], fault)
}

// Text checks that the tokens of a fusion example spell its text: as Check does, but where the text begins in the first
// token is not stored, so bytes before it are allowed; a last token without bytes is the end of the turn.
func Text(v Vocabulary, record, id, text string, ids []int32) error {
	if n := len(ids); n > 0 && v.Bytes(ids[n-1]) == nil {
		ids = ids[:n-1]
	}
	size := 0
	for _, token := range ids {
		size += len(v.Bytes(token))
	}
	own := 0
	for _, token := range v.EncodeMidText([]byte(text)) {
		own += len(v.Bytes(token))
	}
	fault := func(column, value, want string) error {
		return &schemas.Fault{Record: record, ID: id, Column: column, Value: value, Want: want}
	}
	before := max(0, size-len(text))
	err := spells(v, text, ids, int32(-before), fault)
	if err != nil && own != len(text) { // normalised: as many bytes as the tokenizer's own encoding has
		err = spells(v, text, ids, int32(-max(0, size-own)), fault)
	}
	var f *schemas.Fault
	if errors.As(err, &f) {
		f.Column = "text_ids"
	}
	return err
}

// spells compares the tokens' bytes with the text.
func spells(v Vocabulary, text string, ids []int32, first int32, fault func(column, value, want string) error) error {
	var spelled []byte
	for _, id := range ids {
		spelled = append(spelled, v.Bytes(id)...)
	}
	spelled = spelled[min(len(spelled), int(max(0, -first))):]
	if string(spelled) == text {
		return nil
	}
	var own []byte
	for _, id := range v.EncodeMidText([]byte(text)) {
		own = append(own, v.Bytes(id)...)
	}
	if bytes.Equal(spelled, own) {
		return nil
	}
	at := 0
	for at < min(len(spelled), len(own)) && spelled[at] == own[at] {
		at++
	}
	show := func(b []byte) string { return fmt.Sprintf("%.40q", b[min(at, len(b)):]) }
	return fault("token_ids", "spelling "+show(spelled), fmt.Sprintf("tokens of the text, which has %s at byte %d", show(own), at))
}
