package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/bytelevel"
	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/detokenize"
	"github.com/profuser/profuser/models/tokenizer/normalize"
	"github.com/profuser/profuser/models/tokenizer/pretokenize"
	"github.com/profuser/profuser/models/tokenizer/subword"
)

// fileJSON is the part of a tokenizer.json that is read; truncation and padding are the caller's business.
type fileJSON struct {
	added, normalizer, preTokenizer, postProcessor, decoder, model json.RawMessage
}

// Parse reads the bytes of a tokenizer.json. An error names the component that is wrong or unknown.
func Parse(data []byte) (*Tokenizer, error) {
	file, err := scanFile(data)
	if err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	t := &Tokenizer{added: map[string]int32{}, byteID: func(byte) int32 { return -1 }}
	var m modelJSON
	steps := []struct {
		name string
		read func() error
	}{
		{"normalizer", func() (err error) { t.normalizer, err = normalize.Read(file.normalizer); return err }},
		{"pre_tokenizer", func() (err error) { t.preTokenizer, err = pretokenize.Read(file.preTokenizer); return err }},
		{"post_processor", func() error { return t.readPostProcessor(file.postProcessor) }},
		{"decoder", func() (err error) { t.decoders, err = detokenize.Read(file.decoder); return err }},
		{"model", func() error { return m.read(file.model) }},
		{"model", func() error { return t.readModel(&m) }},
		{"added_tokens", func() error {
			var list []addedJSON
			if err := json.Unmarshal(orNull(file.added), &list); err != nil {
				return err
			}
			return t.addTokens(list)
		}},
	}
	for _, step := range steps {
		if err := step.read(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if err := t.checkIDs(); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	t.finish()
	return t, nil
}

// scanFile finds the parts of the file.
func scanFile(data []byte) (*fileJSON, error) {
	file := &fileJSON{}
	into := map[string]*json.RawMessage{
		"added_tokens": &file.added, "normalizer": &file.normalizer, "pre_tokenizer": &file.preTokenizer,
		"post_processor": &file.postProcessor, "decoder": &file.decoder, "model": &file.model,
	}
	return file, scanObject(data, into)
}

// scanObject finds the values of an object's keys; others are skipped.
func scanObject(data []byte, into map[string]*json.RawMessage) error {
	s := component.NewScanner(data)
	err := s.Object(func(key []byte) error {
		value, err := s.Value()
		if to := into[string(key)]; to != nil {
			*to = value
		}
		return err
	})
	if err != nil {
		return err
	}
	return s.End()
}

func orNull(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

// checkIDs makes sure that what the post-processor puts around a text is in the vocabulary.
func (t *Tokenizer) checkIDs() error {
	for _, id := range append(t.Specials(), t.after...) {
		if t.at(id).token == "" {
			return fmt.Errorf("id %d is of no token", id)
		}
	}
	return nil
}

// place gives an id its token and refuses ids out of range and ids with two tokens.
func (t *Tokenizer) place(token string, id int64, added bool) error {
	if id < 0 || id >= maxVocab {
		return fmt.Errorf("token %.40q has id %d, allowed are 0 to %d", token, id, maxVocab-1)
	}
	if !utf8.ValidString(token) || token == "" {
		return fmt.Errorf("token %.40q of id %d is empty or not UTF-8", token, id)
	}
	if int(id) >= len(t.entries) {
		t.entries = append(t.entries, make([]entry, int(id)+1-len(t.entries))...)
	}
	if other := t.entries[id].token; other != "" && other != token {
		return fmt.Errorf("id %d has two tokens, %.40q and %.40q", id, min(other, token), max(other, token))
	}
	other, ok := t.ids[token]
	if !ok && added {
		other, ok = t.added[token]
	}
	if ok && int64(other) != id {
		return fmt.Errorf("token %.40q has two ids, %d and %d", token, other, id)
	}
	t.entries[id].token = token
	if !ok {
		if added {
			t.added[token] = int32(id)
		} else {
			t.ids[token] = int32(id)
		}
	}
	return nil
}

// readTokens reads the model's vocabulary, an object of token: id or a list of [token, score], and calls
// each with every token.
func (t *Tokenizer) readTokens(vocab json.RawMessage, each func(token string, id int64, score float64) error) error {
	s := component.NewScanner(vocab)
	t.ids = make(map[string]int32, min(len(vocab)/16, maxVocab))
	next := int64(0)
	var err error
	if s.IsArray() {
		err = s.Array(func() error {
			var token []byte
			var score float64
			part := 0
			err := s.Array(func() (err error) {
				switch part++; part {
				case 1:
					token, err = s.String()
				case 2:
					score, err = s.Float()
				default:
					err = errors.New("more than a token and a score")
				}
				return err
			})
			if err == nil && part != 2 {
				err = fmt.Errorf("entry %d is not a token and a score", next)
			}
			if err != nil {
				return err
			}
			next++
			return each(string(token), next-1, score)
		})
	} else {
		err = s.Object(func(key []byte) error {
			id, err := s.Int()
			if err != nil {
				return err
			}
			return each(string(key), id, 0)
		})
	}
	if err != nil {
		return fmt.Errorf("vocab: %w", err)
	}
	if len(t.ids) == 0 {
		return errors.New("vocab is empty")
	}
	return nil
}

// meaning gives the bytes of the tokens of one model.
type meaning struct {
	byteLevel, byteFallback, marks bool
	prefix, suffix                 string
	memory                         []byte // of all tokens
}

// of gives the bytes of a token and whether it is a byte-fallback token.
func (m *meaning) of(token string) (content []byte, fallback bool) {
	start := len(m.memory)
	if m.byteLevel {
		var ok bool
		if m.memory, ok = bytelevel.AppendBytes(m.memory, token); ok {
			return m.memory[start:len(m.memory):len(m.memory)], false
		}
		return []byte(token), false
	}
	if b, ok := detokenize.ByteToken(token); ok && m.byteFallback {
		return []byte{b}, true
	}
	token = strings.TrimSuffix(strings.TrimPrefix(token, m.prefix), m.suffix)
	if m.marks && strings.Contains(token, component.Marker) {
		token = strings.ReplaceAll(token, component.Marker, " ")
	}
	m.memory = append(m.memory, token...)
	return m.memory[start:len(m.memory):len(m.memory)], false
}

// addTo places a token of the model.
func (m *meaning) addTo(t *Tokenizer, token string, id int64) error {
	if err := t.place(token, id, false); err != nil {
		return err
	}
	e := &t.entries[id]
	e.bytes, e.byteFallback = m.of(token)
	return nil
}

// setByteIDs takes the ids of single bytes from the model.
func (t *Tokenizer) setByteIDs() {
	switch m := t.model.(type) {
	case *subword.BPE:
		t.byteID = m.Symbol
	case *subword.Unigram:
		t.byteID = m.Byte
	}
}
