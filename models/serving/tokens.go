package serving

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer"
)

// vocabulary finds the id of a token as a reply names it.
type vocabulary struct {
	tokenizer *tokenizer.Tokenizer
	size      int                // ids that replies may name
	ids       map[string][]int32 // by bytes; special tokens by their string
}

func newVocabulary(t *tokenizer.Tokenizer, size int) *vocabulary {
	v := &vocabulary{tokenizer: t, size: size, ids: make(map[string][]int32, t.Size())}
	for id := range int32(t.Size()) {
		name := string(t.Bytes(id))
		if t.Special(id) {
			name = t.Token(id)
		}
		if name != "" {
			v.ids[name] = append(v.ids[name], id)
		}
	}
	return v
}

// inRange checks an id.
func (v *vocabulary) inRange(id int32) error {
	if id < 0 || int(id) >= v.size {
		return fmt.Errorf("token id %d is outside the vocabulary, 0 to %d", id, v.size-1)
	}
	return nil
}

// token is how a reply names a token; what is missing is nil.
type token struct {
	ID    *int32 `json:"id"`
	Token string `json:"token"`
	Bytes []int  `json:"bytes"`
}

// idPrefix stands before an id where return_tokens_as_token_ids is understood.
const idPrefix = "token_id:"

// find gives the id of a token: its id where there is one, checked against its bytes; else the only id with its bytes,
// or with its text. A text with U+FFFD, or that several ids have, is an error.
func (v *vocabulary) find(t token) (int32, error) {
	if digits, ok := strings.CutPrefix(t.Token, idPrefix); ok && t.ID == nil {
		n, err := strconv.ParseInt(digits, 10, 32)
		if err != nil {
			return 0, fmt.Errorf("token %q has no number", t.Token)
		}
		id := int32(n)
		return id, v.inRange(id)
	}
	name := t.Token
	if t.Bytes != nil {
		b := make([]byte, len(t.Bytes))
		for i, x := range t.Bytes {
			if x < 0 || x > 255 {
				return 0, fmt.Errorf("token %q has %d among its bytes", t.Token, x)
			}
			b[i] = byte(x)
		}
		name = string(b)
	}
	if t.ID != nil {
		return *t.ID, v.verify(*t.ID, name, t.Bytes != nil)
	}
	if t.Bytes == nil && strings.ContainsRune(name, utf8.RuneError) {
		return 0, fmt.Errorf("token %q is part of a character and could be several ids; the server must return ids (vLLM: return_tokens_as_token_ids) or bytes", name)
	}
	switch ids := v.ids[name]; len(ids) {
	case 0:
		return 0, fmt.Errorf("token %q is not in the tokenizer: it belongs to another model", name)
	case 1:
		return ids[0], nil
	default:
		return 0, fmt.Errorf("token %q is ambiguous: ids %v all read so; the server must return ids", name, ids)
	}
}

// verify checks that an id has the bytes that the reply says.
func (v *vocabulary) verify(id int32, name string, exact bool) error {
	if err := v.inRange(id); err != nil {
		return err
	}
	if !exact || name == "" || int(id) >= v.tokenizer.Size() || v.tokenizer.Special(id) {
		return nil
	}
	if own := string(v.tokenizer.Bytes(id)); own != name {
		return fmt.Errorf("token %d is %q on the server and %q in the tokenizer: it belongs to another model", id, name, own)
	}
	return nil
}

// sameText says whether a reply's text can be that of ids. Servers leave special tokens out or write them, take away one
// leading space, write U+FFFD for bytes that are no character, and may keep such bytes back at the end.
func (v *vocabulary) sameText(ids []int32, text string) bool {
	return v.spells(ids, text, func(own, got string) bool { return own == got })
}

// beginsWith says whether a reply's text can be the beginning of that of ids.
func (v *vocabulary) beginsWith(ids []int32, text string) bool {
	return v.spells(ids, text, strings.HasPrefix)
}

// spells compares a text with those that servers may write for ids.
func (v *vocabulary) spells(ids []int32, text string, same func(own, got string) bool) bool {
	var plain, full strings.Builder
	for _, id := range ids {
		b := v.tokenizer.Bytes(id)
		plain.Write(b)
		full.Write(b)
		if b == nil {
			full.WriteString(v.tokenizer.Token(id))
		}
	}
	got := readable(text)
	for _, own := range []string{readable(plain.String()), readable(full.String())} {
		if same(own, got) || same(strings.TrimPrefix(own, " "), got) {
			return true
		}
	}
	return false
}

// readable makes runs of bytes that are no characters equal, and takes them away at the end.
func readable(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	for strings.Contains(s, "\uFFFD\uFFFD") {
		s = strings.ReplaceAll(s, "\uFFFD\uFFFD", "\uFFFD")
	}
	return strings.TrimSuffix(s, "\uFFFD")
}
