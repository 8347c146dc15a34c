package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/profuser/profuser/models/tokenizer/bytelevel"
	"github.com/profuser/profuser/models/tokenizer/detokenize"
	"github.com/profuser/profuser/models/tokenizer/pretokenize"
	"github.com/profuser/profuser/models/tokenizer/subword"
	"github.com/profuser/profuser/models/tokenizer/vocabfile"
)

// TiktokenOptions are what a tiktoken file does not say.
type TiktokenOptions struct {
	// Pattern is the regular expression that cuts text; see package pretokenize for those of known
	// encodings. Required.
	Pattern string
	// Specials are the special tokens and their ids, which lie above all ranks. Default: none.
	Specials map[string]int32
}

// knownTiktoken are the encodings whose file names say what they need.
//
// Source: the definitions of the encodings that the Python package tiktoken publishes.
var knownTiktoken = map[string]TiktokenOptions{
	"r50k_base.tiktoken": {pretokenize.R50k, map[string]int32{"<|endoftext|>": 50256}},
	"p50k_base.tiktoken": {pretokenize.R50k, map[string]int32{"<|endoftext|>": 50256}},
	"cl100k_base.tiktoken": {pretokenize.Cl100k, map[string]int32{
		"<|endoftext|>": 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260, "<|endofprompt|>": 100276,
	}},
	"o200k_base.tiktoken": {pretokenize.O200k, map[string]int32{"<|endoftext|>": 199999, "<|endofprompt|>": 200018}},
}

func parseKnownTiktoken(data []byte, name string) (*Tokenizer, error) {
	o, ok := knownTiktoken[name]
	if !ok {
		var names []string
		for known := range knownTiktoken {
			names = append(names, known)
		}
		slices.Sort(names)
		return nil, fmt.Errorf("a tiktoken file has no pattern and no special tokens, and the name %s says none (%s do): convert it to a tokenizer.json", name, strings.Join(names, ", "))
	}
	return ParseTiktoken(data, o)
}

// ParseTiktoken reads the bytes of a tiktoken file. Raw tokens are those of a byte-level tokenizer.json.
func ParseTiktoken(data []byte, o TiktokenOptions) (*Tokenizer, error) {
	if o.Pattern == "" {
		return nil, errors.New("a tiktoken file needs a pattern")
	}
	o.Pattern = strings.ReplaceAll(o.Pattern, "{1,3}+", "{1,3}") // possessive in tiktoken, a loop in tokenizer.json
	ranked, err := vocabfile.ReadTiktoken(data)
	if err != nil {
		return nil, err
	}
	cut, err := json.Marshal(map[string]any{"type": "Sequence", "pretokenizers": []any{
		map[string]any{"type": "Split", "pattern": map[string]string{"Regex": o.Pattern}, "behavior": "Isolated", "invert": false},
		map[string]any{"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
	}})
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{ids: make(map[string]int32, len(ranked)), added: map[string]int32{}}
	if t.preTokenizer, err = pretokenize.Read(cut); err != nil {
		return nil, fmt.Errorf("pattern: %w", err)
	}
	if t.decoders, err = detokenize.Read(json.RawMessage(`{"type": "ByteLevel"}`)); err != nil {
		return nil, err
	}
	byBytes := make(map[string]int32, len(ranked))
	meaning := &meaning{byteLevel: true, memory: make([]byte, 0, len(data))}
	for _, r := range ranked {
		if err := meaning.addTo(t, bytelevel.Token(r.Bytes), r.Rank); err != nil {
			return nil, err
		}
		byBytes[r.Bytes] = int32(r.Rank)
	}
	t.mergeRanks(ranked, byBytes)
	t.setByteIDs()
	var special []addedJSON
	for token, id := range o.Specials {
		special = append(special, addedJSON{ID: int64(id), Content: token, Special: true})
	}
	if err := t.addTokens(special); err != nil {
		return nil, fmt.Errorf("special tokens: %w", err)
	}
	t.finish()
	return t, nil
}

// maxSplits bounds the places where a token is cut for its merges; no published token comes near.
const maxSplits = 256

// mergeRanks makes the model: two tokens merge if their union is a token, in the order of its rank.
func (t *Tokenizer) mergeRanks(ranked []vocabfile.Ranked, byBytes map[string]int32) {
	pairs := make([]pair, 0, 2*len(ranked))
	for _, r := range ranked {
		for i := 1; i < min(len(r.Bytes), maxSplits); i++ {
			left, ok := byBytes[r.Bytes[:i]]
			if !ok {
				continue
			}
			if right, ok := byBytes[r.Bytes[i:]]; ok {
				pairs = append(pairs, pair{int(r.Rank), left, right, int32(r.Rank)})
			}
		}
	}
	model := subword.NewBPE(subword.BPEOptions{Vocabulary: t.ids, Unknown: -1, ByteLevel: true, IgnoreMerges: true}, len(pairs))
	for _, p := range pairs {
		model.AddPair(p.rank, p.left, p.right, p.union)
	}
	t.model = model
}
