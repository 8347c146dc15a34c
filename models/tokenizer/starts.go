package tokenizer

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Starts gives the byte of text at which each of ids begins. The bytes of the ids must be the text as the tokenizer
// normalises it, which any tokenisation of it spells, not only the tokenizer's own; bytes of a template may stand before it,
// white space or a part of the first token, and begin below 0. Tokens inside a stretch that normalisation changed share its
// start. Special tokens stand for no bytes. The error says where the ids depart from the text.
func (t *Tokenizer) Starts(text string, ids []int32) ([]int32, error) {
	var spelt []byte
	starts := make([]int32, len(ids))
	first := 0 // bytes of the first token that has any
	for i, id := range ids {
		starts[i] = int32(len(spelt))
		spelt = append(spelt, t.Bytes(id)...)
		if first == 0 {
			first = len(spelt)
		}
	}
	want, at := []byte(text), []int32(nil)
	if !bytes.HasSuffix(spelt, want) {
		want, at = t.normalised(text)
	}
	lead := len(spelt) - len(want)
	if !bytes.HasSuffix(spelt, want) {
		return nil, departure(spelt, want)
	}
	if lead >= first && len(bytes.TrimSpace(spelt[:lead])) > 0 {
		return nil, fmt.Errorf("the tokens spell %.60q before the text, more than the first token can have of a template", spelt[:lead])
	}
	for i := range starts {
		if starts[i] -= int32(lead); at != nil && starts[i] > 0 {
			starts[i] = at[starts[i]]
		}
	}
	return starts, nil
}

// normalised gives the bytes that tokenisations of a text in the middle of another spell, and where in the text each of
// them, and their end, stands.
func (t *Tokenizer) normalised(text string) (content []byte, at []int32) {
	ids, spans := t.EncodeMidSpans(text)
	for i, id := range ids {
		from, to := text[spans[i].Start:spans[i].End], string(t.Bytes(id))
		same := commonPrefix(from, to)
		tail := len(to) - commonSuffix(from[same:], to[same:])
		for k := range len(to) {
			place := spans[i].Start + k
			if k >= tail {
				place = spans[i].End - (len(to) - k)
			} else if k > same {
				place = spans[i].Start + same
			}
			at = append(at, int32(place))
		}
		content = append(content, to...)
	}
	return content, append(at, int32(len(text)))
}

// commonPrefix is the number of bytes of the characters with which both strings begin.
func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) {
		_, size := utf8.DecodeRuneInString(a[n:])
		if !strings.HasPrefix(b[n:], a[n:n+size]) {
			break
		}
		n += size
	}
	return n
}

// commonSuffix is the number of bytes of the characters with which both strings end.
func commonSuffix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) {
		_, size := utf8.DecodeLastRuneInString(a[:len(a)-n])
		if !strings.HasSuffix(b[:len(b)-n], a[len(a)-n-size:len(a)-n]) {
			break
		}
		n += size
	}
	return n
}

// departure says where the ids' bytes are not the text's, from the end, as a template may stand before.
func departure(spelt, want []byte) error {
	n := 0
	for n < min(len(spelt), len(want)) && spelt[len(spelt)-1-n] == want[len(want)-1-n] {
		n++
	}
	tail := func(b []byte) []byte { return b[max(0, len(b)-n-20):min(len(b), len(b)-n+20)] }
	return fmt.Errorf("the tokens do not spell the text: before its last %d bytes they have %q, the text (as the tokenizer normalises it) %q", n, tail(spelt), tail(want))
}
