package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/subword"
)

// modelJSON is the model of a tokenizer.json: the large fields as they are, the others by name.
type modelJSON struct {
	Type          string   `json:"type"`
	Unknown       *string  `json:"unk_token"`
	UnknownID     *int64   `json:"unk_id"`
	FuseUnknown   bool     `json:"fuse_unk"`
	ByteFallback  bool     `json:"byte_fallback"`
	IgnoreMerges  bool     `json:"ignore_merges"`
	Dropout       *float64 `json:"dropout"`
	Prefix        *string  `json:"continuing_subword_prefix"`
	Suffix        *string  `json:"end_of_word_suffix"`
	MaxInputChars *int     `json:"max_input_chars_per_word"`

	vocab, merges json.RawMessage
	has           map[string]bool
}

// optionsOf are the fields that each type of model may have besides type and vocab.
var optionsOf = map[string][]string{
	"BPE": {
		"merges", "unk_token", "fuse_unk", "byte_fallback", "ignore_merges", "dropout",
		"continuing_subword_prefix", "end_of_word_suffix",
	},
	"WordPiece": {"unk_token", "continuing_subword_prefix", "max_input_chars_per_word"},
	"WordLevel": {"unk_token"},
	"Unigram":   {"unk_id", "byte_fallback"},
}

// read reads the model without going into its vocabulary and merges.
func (m *modelJSON) read(data json.RawMessage) error {
	if len(data) == 0 || data[0] != '{' {
		return errors.New("vocab is missing: the file has no model")
	}
	small := []byte{'{'}
	m.has = map[string]bool{}
	s := component.NewScanner(data)
	err := s.Object(func(key []byte) error {
		name := string(key)
		value, err := s.Value()
		if err != nil {
			return err
		}
		m.has[name] = true
		switch name {
		case "vocab":
			m.vocab = value
		case "merges":
			m.merges = value
		default:
			if len(small) > 1 {
				small = append(small, ',')
			}
			quoted, err := json.Marshal(name)
			if err != nil {
				return err
			}
			small = append(append(append(small, quoted...), ':'), value...)
		}
		return nil
	})
	if err != nil {
		return err
	}
	strict := json.NewDecoder(bytes.NewReader(append(small, '}')))
	strict.DisallowUnknownFields()
	if err := strict.Decode(m); err != nil {
		return err
	}
	return m.check()
}

// check refuses unknown types, and options that another type has.
func (m *modelJSON) check() error {
	if m.Type == "" {
		m.Type = "BPE" // files of the first versions
	}
	options, ok := optionsOf[m.Type]
	if !ok {
		return fmt.Errorf("type %q is not supported (supported: BPE, Unigram, WordLevel, WordPiece)", m.Type)
	}
	allowed := map[string]bool{"type": true, "vocab": true}
	for _, name := range options {
		allowed[name] = true
	}
	for name := range m.has {
		if !allowed[name] {
			return fmt.Errorf("%s has no option %q", m.Type, name)
		}
	}
	if m.Dropout != nil && *m.Dropout != 0 {
		return fmt.Errorf("dropout is %v; set it to null, tokens must not be random", *m.Dropout)
	}
	if len(m.vocab) == 0 {
		return errors.New("vocab is missing")
	}
	return nil
}

// readModel reads the vocabulary and makes the model.
func (t *Tokenizer) readModel(m *modelJSON) error {
	meaning := &meaning{
		byteLevel: t.preTokenizer.ByteLevel, byteFallback: m.ByteFallback, marks: m.Type == "BPE" || m.Type == "Unigram",
		prefix: orEmpty(m.Prefix), suffix: orEmpty(m.Suffix), memory: make([]byte, 0, len(m.vocab)/2),
	}
	t.symbols = meaning.byteLevel && m.Type != "BPE"
	var scored []subword.Scored
	lowest := math.Inf(1)
	err := t.readTokens(m.vocab, func(token string, id int64, score float64) error {
		if m.Type == "Unigram" {
			scored = append(scored, subword.Scored{Token: token, ID: int32(id), Score: score})
			lowest = min(lowest, score)
		}
		return meaning.addTo(t, token, id)
	})
	if err != nil {
		return err
	}
	if isList := scored != nil; isList != bytes.HasPrefix(bytes.TrimSpace(m.vocab), []byte("[")) {
		return fmt.Errorf("vocab of %s has the wrong form: Unigram has a list of [token, score], the others an object", m.Type)
	}
	switch m.Type {
	case "BPE":
		err = t.readBPE(m)
	case "Unigram":
		unknown := int64(-1)
		if m.UnknownID != nil {
			unknown = *m.UnknownID
		}
		if unknown < -1 || unknown >= int64(len(scored)) {
			return fmt.Errorf("unk_id is %d, allowed are 0 to %d", unknown, len(scored)-1)
		}
		t.model = subword.NewUnigram(scored, subword.UnigramOptions{Unknown: int32(unknown), ByteFallback: m.ByteFallback, MinScore: lowest})
	default:
		err = t.readWords(m)
	}
	t.setByteIDs()
	return err
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// unknown is the id of unk_token; without one, or where it may be missing from the vocabulary, -1.
func (t *Tokenizer) unknown(m *modelJSON, mayMiss bool) (int32, error) {
	if orEmpty(m.Unknown) == "" {
		return -1, nil
	}
	id, ok := t.ids[*m.Unknown]
	if !ok && !mayMiss {
		return -1, fmt.Errorf("unk_token %q is not in the vocabulary", *m.Unknown)
	}
	if !ok {
		return -1, nil
	}
	return id, nil
}

// readWords makes a WordPiece or a WordLevel.
func (t *Tokenizer) readWords(m *modelJSON) error {
	unknown, err := t.unknown(m, false)
	if err != nil {
		return err
	}
	if unknown < 0 {
		return fmt.Errorf("%s needs unk_token", m.Type)
	}
	if m.Type == "WordLevel" {
		t.model = &subword.WordLevel{Vocabulary: t.ids, Unknown: unknown}
		return nil
	}
	prefix, limit := "##", 100
	if m.Prefix != nil {
		prefix = *m.Prefix
	}
	if m.MaxInputChars != nil {
		limit = *m.MaxInputChars
	}
	t.model = subword.NewWordPiece(t.ids, prefix, unknown, limit)
	return nil
}

// readBPE makes a byte-pair model.
func (t *Tokenizer) readBPE(m *modelJSON) error {
	byteLevel := t.preTokenizer.ByteLevel
	if byteLevel && m.ByteFallback {
		return errors.New("byte_fallback with a ByteLevel pre_tokenizer is not supported")
	}
	if byteLevel && orEmpty(m.Prefix)+orEmpty(m.Suffix) != "" {
		return errors.New("continuing_subword_prefix and end_of_word_suffix are not supported with a ByteLevel pre_tokenizer")
	}
	unknown, err := t.unknown(m, byteLevel)
	if err != nil {
		return err
	}
	model := subword.NewBPE(subword.BPEOptions{
		Vocabulary: t.ids, Unknown: unknown, FuseUnknown: m.FuseUnknown, ByteLevel: byteLevel, ByteFallback: m.ByteFallback,
		IgnoreMerges: m.IgnoreMerges, Prefix: orEmpty(m.Prefix), Suffix: orEmpty(m.Suffix),
	}, bytes.Count(m.merges, []byte{','})+1)
	t.model, t.cutAtMarker = model, model.CutsAtMarker() && !t.preTokenizer.CutsAtMarkers
	if err := readMerges(model, m.merges); err != nil {
		return fmt.Errorf("merges: %w", err)
	}
	return nil
}

// readMerges reads the merges, "a b" or ["a", "b"], in the order of their rank.
func readMerges(model *subword.BPE, raw json.RawMessage) error {
	s := component.NewScanner(raw)
	rank := 0
	var union []byte
	return s.Array(func() error {
		left, right, err := readMerge(s, rank)
		if err != nil {
			return err
		}
		tail := right
		if len(right) >= len(model.Prefix) {
			tail = right[len(model.Prefix):]
		}
		union = append(append(union[:0], left...), tail...)
		if !model.AddMerge(rank, left, right, union) {
			return fmt.Errorf("merge %d of %.40q and %.40q: both and their union must be in the vocabulary", rank, left, right)
		}
		if rank++; rank > 8*maxVocab {
			return fmt.Errorf("more than %d merges", 8*maxVocab)
		}
		return nil
	})
}

func readMerge(s *component.Scanner, rank int) (left, right []byte, err error) {
	if !s.IsArray() {
		line, err := s.String()
		if err != nil {
			return nil, nil, err
		}
		left, right, ok := bytes.Cut(line, []byte(" "))
		if !ok || bytes.IndexByte(right, ' ') >= 0 {
			return nil, nil, fmt.Errorf("merge %d is %.40q, not two tokens with one space between", rank, line)
		}
		return left, right, nil
	}
	var pair [][]byte
	err = s.Array(func() error {
		token, err := s.String()
		pair = append(pair, token)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	if len(pair) != 2 {
		return nil, nil, fmt.Errorf("merge %d has %d parts, not 2", rank, len(pair))
	}
	return pair[0], pair[1], nil
}
