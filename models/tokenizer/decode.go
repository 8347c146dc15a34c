package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/detokenize"
)

// Decode gives the text of ids as the reference decodes them: bytes that are not UTF-8 become U+FFFD, and
// SentencePiece-style decoders take one leading space away. Ids without token are left out, special
// tokens too if skipSpecial. For the exact bytes of a token see Bytes.
func (t *Tokenizer) Decode(ids []int32, skipSpecial bool) string {
	s := t.NewStream(skipSpecial)
	for _, id := range ids {
		s.push(id)
	}
	return s.decoder.End()
}

// Stream decodes ids as they come: the texts of Push and End, joined, are that of Decode. It belongs to
// one goroutine.
type Stream struct {
	t           *Tokenizer
	skipSpecial bool
	decoder     *detokenize.Decoder
}

// NewStream begins a text; special tokens are left out if skipSpecial.
func (t *Tokenizer) NewStream(skipSpecial bool) *Stream {
	return &Stream{t, skipSpecial, t.decoders.New()}
}

// Push takes an id and gives the text that is certain by now, which may be empty: a part of a character
// waits for the rest, and a run of byte-fallback tokens for its end.
func (s *Stream) Push(id int32) string {
	s.push(id)
	return s.decoder.Take()
}

func (s *Stream) push(id int32) {
	if e := s.t.at(id); e.token != "" && !(s.skipSpecial && e.special) {
		s.decoder.Push(e.token)
	}
}

// End gives the rest of the text. The Stream must not be used after it.
func (s *Stream) End() string { return s.decoder.End() }

// readPostProcessor keeps the ids that the post-processor puts around a single text.
func (t *Tokenizer) readPostProcessor(raw json.RawMessage) error {
	parts, err := component.Flatten(raw, "processors")
	if err != nil {
		return err
	}
	for _, part := range parts {
		var before, after []int32
		switch part.Type {
		case "ByteLevel": // changes the reference's offsets only
		case "BertProcessing", "RobertaProcessing":
			before, after, err = readSeparators(part)
		case "TemplateProcessing":
			before, after, err = readTemplate(part)
		default:
			err = part.Unsupported("BertProcessing", "ByteLevel", "RobertaProcessing", "TemplateProcessing")
		}
		if err != nil {
			return err
		}
		t.before, t.after = append(before, t.before...), append(t.after, after...)
	}
	return nil
}

// readSeparators reads the cls and sep of BERT and RoBERTa, each a token with its id.
func readSeparators(part component.Component) (before, after []int32, err error) {
	var o struct {
		Sep            []any `json:"sep"`
		Cls            []any `json:"cls"`
		TrimOffsets    bool  `json:"trim_offsets"`
		AddPrefixSpace bool  `json:"add_prefix_space"`
	}
	if err := part.Options(&o); err != nil {
		return nil, nil, err
	}
	id := func(pair []any) []int32 {
		if len(pair) == 2 {
			if n, ok := pair[1].(float64); ok && n >= 0 && n < maxVocab && n == float64(int32(n)) {
				return []int32{int32(n)}
			}
		}
		err = fmt.Errorf("%s needs sep and cls, each a token and its id", part.Type)
		return nil
	}
	return id(o.Cls), id(o.Sep), err
}

// readTemplate reads what a TemplateProcessing puts around a single text.
func readTemplate(part component.Component) (before, after []int32, err error) {
	type named struct {
		ID string `json:"id"`
	}
	var o struct {
		Single []struct {
			SpecialToken *named
			Sequence     *named
		} `json:"single"`
		Pair          json.RawMessage `json:"pair"`
		SpecialTokens map[string]struct {
			ID     string   `json:"id"`
			IDs    []int32  `json:"ids"`
			Tokens []string `json:"tokens"`
		} `json:"special_tokens"`
	}
	if err := json.Unmarshal(part.JSON, &o); err != nil {
		return nil, nil, fmt.Errorf("TemplateProcessing: %w", err)
	}
	into, texts := &before, 0
	for _, item := range o.Single {
		switch {
		case item.Sequence != nil:
			into = &after
			texts++
		case item.SpecialToken == nil:
			return nil, nil, errors.New("TemplateProcessing has a part that is neither SpecialToken nor Sequence")
		default:
			token, ok := o.SpecialTokens[item.SpecialToken.ID]
			if !ok {
				return nil, nil, fmt.Errorf("TemplateProcessing uses %q, which special_tokens does not define", item.SpecialToken.ID)
			}
			*into = append(*into, token.IDs...)
		}
	}
	if texts > 1 {
		return nil, nil, fmt.Errorf("TemplateProcessing repeats the text %d times, only one is supported", texts)
	}
	return before, after, nil
}
