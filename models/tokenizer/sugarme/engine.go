package sugarme

import (
	"errors"

	"github.com/sugarme/tokenizer"

	own "github.com/profuser/profuser/models/tokenizer"
)

// Over puts our engine under the library: it sees one model that takes whole texts, and no normalizer, pre-tokenizer or
// added tokens, which is where its own faults are.
func Over(t *own.Tokenizer) *Tokenizer {
	inner := tokenizer.NewTokenizer(engine{t})
	inner.WithDecoder(engine{t})
	return &Tokenizer{inner: inner, own: t}
}

// engine is our tokenizer as the library's model and decoder.
type engine struct{ own *own.Tokenizer }

// Tokenize gives the tokens of a text with their bytes.
func (e engine) Tokenize(text string) ([]tokenizer.Token, error) {
	ids, spans := e.own.EncodeSpans(text)
	tokens := make([]tokenizer.Token, len(ids))
	for i, id := range ids {
		tokens[i] = tokenizer.Token{Id: int(id), Value: e.own.Token(id), Offsets: []int{spans[i].Start, spans[i].End}}
	}
	return tokens, nil
}

// TokenToId is the id of a raw vocabulary string.
func (e engine) TokenToId(token string) (int, bool) {
	id, ok := e.own.ID(token)
	return int(id), ok
}

// IdToToken is the raw vocabulary string of an id.
func (e engine) IdToToken(id int) (string, bool) {
	token := e.own.Token(int32(id))
	return token, token != ""
}

// GetVocab is the whole vocabulary.
func (e engine) GetVocab() map[string]int {
	vocab := make(map[string]int, e.own.Size())
	for id := range int32(e.own.Size()) {
		if token := e.own.Token(id); token != "" {
			vocab[token] = int(id)
		}
	}
	return vocab
}

// GetVocabSize is the highest id + 1.
func (e engine) GetVocabSize() int { return e.own.Size() }

// Save is refused: the tokenizer.json is the model's file.
func (e engine) Save(string, ...string) error {
	return errors.New("a tokenizer over our engine is not saved, keep its tokenizer.json")
}

// Decode gives the text of raw vocabulary strings.
func (e engine) Decode(tokens []string) string {
	ids := make([]int32, 0, len(tokens))
	for _, token := range tokens {
		if id, ok := e.own.ID(token); ok {
			ids = append(ids, id)
		}
	}
	return e.own.Decode(ids, false)
}

// DecodeChain is Decode, in one piece.
func (e engine) DecodeChain(tokens []string) []string {
	return []string{e.Decode(tokens)}
}
