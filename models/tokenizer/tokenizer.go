package tokenizer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/profuser/profuser/models/tokenizer/detokenize"
	"github.com/profuser/profuser/models/tokenizer/normalize"
	"github.com/profuser/profuser/models/tokenizer/pretokenize"
	"github.com/profuser/profuser/models/tokenizer/subword"
)

// FileName is the file that Load looks for in a directory.
const FileName = "tokenizer.json"

const (
	maxFileBytes = 256 << 20 // the largest published tokenizer.json has 33 MB
	maxVocab     = 1 << 20   // the largest published vocabulary has 262,144 entries
)

// Span is a range of bytes [Start, End) of the text given to EncodeSpans.
type Span struct{ Start, End int }

// Tokenizer is one model's tokenizer. It does not change after Parse and may be used by many
// goroutines at once.
type Tokenizer struct {
	entries []entry          // by id; ids that no token has are zero
	ids     map[string]int32 // raw string → id: the model's vocabulary
	added   map[string]int32 // raw string → id: added tokens that the model does not have

	model       subword.Model
	cutAtMarker bool               // pieces may be cut before a marker after another character
	symbols     bool               // the model sees symbols of the byte-level alphabet, not bytes
	byteID      func(b byte) int32 // id of a byte by itself, -1: none
	literal     addedMatcher       // added tokens found in the text as written
	normal      addedMatcher       // added tokens found in normalised text

	normalizer    *normalize.Chain
	preTokenizer  *pretokenize.Chain
	decoders      *detokenize.Chain
	before, after []int32 // post-processor: ids put around a text

	encoders    sync.Pool
	fingerprint func() string
}

// entry is one id of the vocabulary.
type entry struct {
	token        string // raw string: "▁the", "Ġthe", "<0x0A>", "</s>"
	bytes        []byte // what it stands for; nil for special tokens
	added        bool
	special      bool
	control      bool // special, or its string looks like an order
	byteFallback bool
}

// Load reads a tokenizer.json, a tokenizer.model of SentencePiece or a tiktoken file whose name says
// which pattern it needs (see LoadTiktoken for others); or, in a directory, the first of these that is
// there.
func Load(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer: %w", err)
	}
	file := path
	if info.IsDir() {
		if file, err = findFile(path); err != nil {
			return nil, fmt.Errorf("loading tokenizer: %w", err)
		}
	}
	data, err := readBounded(file)
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer: %w", err)
	}
	t, err := parseAny(data, filepath.Base(file))
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer %s: %w", file, err)
	}
	return t, nil
}

// findFile is the vocabulary in a directory.
func findFile(dir string) (string, error) {
	for _, name := range []string{FileName, "tokenizer.model", "spiece.model", "*.tiktoken"} {
		found, err := filepath.Glob(filepath.Join(globQuoted(dir), name))
		if err != nil {
			return "", err
		}
		if len(found) > 0 {
			return found[0], nil
		}
	}
	return "", fmt.Errorf("directory %s has no %s; copy the model's there (tokenizer.model and *.tiktoken are read too): %w", dir, FileName, fs.ErrNotExist)
}

// globQuoted makes a path that Glob takes literally.
func globQuoted(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// parseAny reads a file of any supported kind.
func parseAny(data []byte, name string) (*Tokenizer, error) {
	switch start := bytes.TrimSpace(data[:min(len(data), 64)]); {
	case strings.HasSuffix(name, ".json") || bytes.HasPrefix(start, []byte("{")):
		return Parse(data)
	case strings.HasSuffix(name, ".tiktoken"):
		return parseKnownTiktoken(data, name)
	default:
		return ParseSentencePiece(data)
	}
}

// readBounded reads a file of at most maxFileBytes.
func readBounded(file string) (data []byte, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err = io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err == nil && len(data) > maxFileBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxFileBytes)
	}
	return data, err
}

// Size is the highest id + 1.
func (t *Tokenizer) Size() int { return len(t.entries) }

// at is the entry of an id, an empty one if no token has it.
func (t *Tokenizer) at(id int32) entry {
	if id < 0 || int(id) >= len(t.entries) {
		return entry{}
	}
	return t.entries[id]
}

// Token is the id's raw string in the vocabulary, "" if there is none.
func (t *Tokenizer) Token(id int32) string { return t.at(id).token }

// ID is the id of a raw vocabulary string, added tokens included.
func (t *Tokenizer) ID(token string) (int32, bool) {
	id, ok := t.ids[token]
	if !ok {
		id, ok = t.added[token]
	}
	return id, ok
}

// Bytes are the bytes the token stands for: " the" for "▁the" or "Ġthe", "\n" for "<0x0A>"; nil for a
// special token or an id without token. The caller must not change them.
func (t *Tokenizer) Bytes(id int32) []byte { return t.at(id).bytes }

// Special says whether the id is a special token, such as the beginning or end of a text.
func (t *Tokenizer) Special(id int32) bool { return t.at(id).special }

// Added says whether the id was added to the model's vocabulary: it is looked for in the text itself.
func (t *Tokenizer) Added(id int32) bool { return t.at(id).added }

// ByteFallback says whether the id stands for one byte of a character that has no token ("<0x0A>").
func (t *Tokenizer) ByteFallback(id int32) bool { return t.at(id).byteFallback }

// Specials are the ids that the file's post-processor puts before a text, such as the beginning of
// text. Encode never adds them.
func (t *Tokenizer) Specials() []int32 { return append([]int32(nil), t.before...) }

// SpecialsAfter are the ids that the file's post-processor puts after a text, such as BERT's [SEP].
func (t *Tokenizer) SpecialsAfter() []int32 { return append([]int32(nil), t.after...) }

// Fingerprint is the SHA-256, in hex, of the id → bytes table: for each id its kind, then the
// length and the bytes (special tokens: the raw string). Two tokenizers with equal fingerprints
// give every id the same meaning.
func (t *Tokenizer) Fingerprint() string { return t.fingerprint() }

// finish makes the tokenizer ready for use when it is read.
func (t *Tokenizer) finish() {
	t.encoders.New = t.newEncoder
	t.fingerprint = sync.OnceValue(func() string {
		hash := sha256.New()
		var row []byte
		for _, e := range t.entries {
			kind, content := byte(0), string(e.bytes)
			switch {
			case e.special:
				kind, content = 1, e.token
			case e.byteFallback:
				kind = 2
			case e.token != "":
				kind = 3
			}
			row = append(row[:0], kind)
			row = binary.AppendUvarint(row, uint64(len(content)))
			row = append(row, content...)
			hash.Write(row)
		}
		return hex.EncodeToString(hash.Sum(nil))
	})
}
