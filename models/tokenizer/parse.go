package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// fileJSON is the part of a tokenizer.json that is read.
type fileJSON struct {
	AddedTokens   []addedJSON `json:"added_tokens"`
	Normalizer    *component  `json:"normalizer"`
	PreTokenizer  *component  `json:"pre_tokenizer"`
	PostProcessor *component  `json:"post_processor"`
	Decoder       *component  `json:"decoder"`
	Model         modelJSON   `json:"model"`
}

type addedJSON struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	SingleWord bool   `json:"single_word"`
	Special    bool   `json:"special"`
}

type modelJSON struct {
	Type         string          `json:"type"`
	Vocab        json.RawMessage `json:"vocab"`
	Merges       json.RawMessage `json:"merges"`
	Unknown      *string         `json:"unk_token"`
	FuseUnknown  bool            `json:"fuse_unk"`
	ByteFallback bool            `json:"byte_fallback"`
	IgnoreMerges bool            `json:"ignore_merges"`
	Dropout      *float64        `json:"dropout"`
	Prefix       *string         `json:"continuing_subword_prefix"`
	Suffix       *string         `json:"end_of_word_suffix"`
}

// Parse reads the bytes of a tokenizer.json. An error names the component that is wrong or unknown.
func Parse(data []byte) (*Tokenizer, error) {
	var file fileJSON
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	t := &Tokenizer{}
	steps := []struct {
		name string
		read func() error
	}{
		{"normalizer", func() error { return t.normalizer.read(file.Normalizer) }},
		{"pre_tokenizer", func() error { return t.preTokenizer.read(file.PreTokenizer) }},
		{"post_processor", func() error { return t.readPostProcessor(file.PostProcessor) }},
		{"decoder", func() (err error) { t.decoders, err = readDecoders(file.Decoder); return err }},
		{"model", func() error { return t.readModel(file.Model) }},
		{"added_tokens", func() error { return t.addTokens(file.AddedTokens) }},
		{"model.merges", func() error { return t.readMerges(file.Model.Merges) }},
	}
	for _, step := range steps {
		if err := step.read(); err != nil {
			return nil, fmt.Errorf("%s: %w", step.name, err)
		}
	}
	if err := t.checkIDs(); err != nil {
		return nil, fmt.Errorf("post_processor: %w", err)
	}
	t.setFingerprint()
	return t, nil
}

// checkIDs makes sure that what the post-processor puts before a text is in the vocabulary.
func (t *Tokenizer) checkIDs() error {
	for _, id := range t.before {
		if t.at(id).token == "" {
			return fmt.Errorf("id %d is of no token", id)
		}
	}
	return nil
}

// readModel reads the vocabulary and the switches of a byte-pair model, all but its merges.
func (t *Tokenizer) readModel(m modelJSON) error {
	if m.Type != "BPE" && m.Type != "" {
		return fmt.Errorf("type %q is not supported, only BPE is", m.Type)
	}
	if m.Dropout != nil && *m.Dropout != 0 {
		return fmt.Errorf("dropout is %v; set it to null, tokens must not be random", *m.Dropout)
	}
	if m.Prefix != nil && *m.Prefix != "" || m.Suffix != nil && *m.Suffix != "" {
		return errors.New("continuing_subword_prefix and end_of_word_suffix are not supported")
	}
	byteLevel := t.preTokenizer.byteLevel
	if byteLevel && m.ByteFallback {
		return errors.New("byte_fallback with a ByteLevel pre_tokenizer is not supported")
	}
	if err := json.Unmarshal(m.Vocab, &t.model.vocab); err != nil {
		return fmt.Errorf("vocab is not an object of token: id: %w", err)
	}
	if len(t.model.vocab) == 0 {
		return errors.New("vocab is empty")
	}
	t.model.fuseUnknown, t.model.byteFallback, t.model.ignoreMerges = m.FuseUnknown, m.ByteFallback, m.IgnoreMerges
	t.ids = make(map[string]int32, len(t.model.vocab))
	for token, id := range t.model.vocab {
		if err := t.place(token, int64(id)); err != nil {
			return err
		}
		e := &t.entries[id]
		e.bytes, e.byteFallback = t.standsFor(token)
	}
	t.model.unknown = -1
	if m.Unknown != nil && *m.Unknown != "" {
		id, ok := t.model.vocab[*m.Unknown]
		if !ok && !byteLevel {
			return fmt.Errorf("unk_token %q is not in the vocabulary", *m.Unknown)
		}
		if ok {
			t.model.unknown = id
		}
	}
	t.indexSymbols()
	return nil
}

// place gives an id its token and refuses ids out of range and ids with two tokens.
func (t *Tokenizer) place(token string, id int64) error {
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
	if other, ok := t.ids[token]; ok && int64(other) != id {
		return fmt.Errorf("token %.40q has two ids, %d and %d", token, other, id)
	}
	t.entries[id].token = token
	t.ids[token] = int32(id)
	return nil
}

// standsFor gives the bytes of a model token and whether it is a byte-fallback token.
func (t *Tokenizer) standsFor(token string) (content []byte, fallback bool) {
	if t.preTokenizer.byteLevel {
		if content, ok := byteLevelBytes(token); ok {
			return content, false
		}
		return []byte(token), false
	}
	if b, ok := byteToken(token); ok && t.model.byteFallback {
		return []byte{b}, true
	}
	return []byte(strings.ReplaceAll(token, marker, " ")), false
}

// indexSymbols fills the tables that merging starts from.
func (t *Tokenizer) indexSymbols() {
	for b := range t.symbol {
		t.symbol[b] = -1
		name := byteLevelSymbol(byte(b))
		if !t.preTokenizer.byteLevel {
			name = fmt.Sprintf("<0x%02X>", b)
		}
		if id, ok := t.model.vocab[name]; ok && (t.preTokenizer.byteLevel || t.model.byteFallback) {
			t.symbol[b] = id
		}
	}
	for b := range t.ascii {
		t.ascii[b] = -1
		if id, ok := t.model.vocab[string(rune(b))]; ok {
			t.ascii[b] = id
		}
	}
	if t.model.ignoreMerges {
		t.whole = make(map[string]int32, len(t.model.vocab))
		for token, id := range t.model.vocab {
			if content, ok := byteLevelBytes(token); t.preTokenizer.byteLevel && ok {
				t.whole[string(content)] = id
			} else if !t.preTokenizer.byteLevel {
				t.whole[token] = id
			}
		}
	}
	_, hasMarker := t.model.vocab[marker]
	t.model.cutAtMarker = hasMarker && !t.preTokenizer.byteLevel && !t.model.ignoreMerges
	for token := range t.model.vocab {
		if inner := strings.TrimLeft(token, marker); strings.Contains(inner, marker) {
			t.model.cutAtMarker = false
		}
	}
}

// readMerges reads the merges, "a b" or ["a", "b"], in the order of their rank.
func (t *Tokenizer) readMerges(raw json.RawMessage) error {
	var pairs [][2]string
	var lines []string
	if json.Unmarshal(raw, &lines) == nil {
		pairs = make([][2]string, len(lines))
		for i, line := range lines {
			left, right, ok := strings.Cut(line, " ")
			if !ok || strings.Contains(right, " ") {
				return fmt.Errorf("merge %d is %.40q, not two tokens with one space between", i, line)
			}
			pairs[i] = [2]string{left, right}
		}
	} else if err := readPairs(raw, &pairs); err != nil {
		return err
	}
	if len(pairs) > 8*maxVocab {
		return fmt.Errorf("%d merges, at most %d are allowed", len(pairs), 8*maxVocab)
	}
	t.merges = newMergeTable(len(pairs))
	for rank, pair := range pairs {
		left, okLeft := t.model.vocab[pair[0]]
		right, okRight := t.model.vocab[pair[1]]
		id, ok := t.model.vocab[pair[0]+pair[1]]
		if !okLeft || !okRight || !ok {
			return fmt.Errorf("merge %d of %.40q and %.40q: both and their union must be in the vocabulary", rank, pair[0], pair[1])
		}
		t.merges.set(left, right, merge{rank: int32(rank), id: id})
	}
	return nil
}

// readPairs reads merges in the form of pairs; a pair of any other length is an error.
func readPairs(raw json.RawMessage, pairs *[][2]string) error {
	var lists [][]string
	if err := json.Unmarshal(raw, &lists); err != nil {
		return fmt.Errorf("neither strings nor pairs of strings: %w", err)
	}
	*pairs = make([][2]string, len(lists))
	for i, list := range lists {
		if len(list) != 2 {
			return fmt.Errorf("merge %d has %d parts, not 2", i, len(list))
		}
		(*pairs)[i] = [2]string{list[0], list[1]}
	}
	return nil
}
