package tokenizer

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
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
	ids     map[string]int32 // raw string → id, the model's vocabulary and added tokens

	merges  *mergeTable
	model   modelOptions
	symbol  [256]int32       // byte-level: id of the byte's symbol; else id of its byte-fallback token; -1: none
	ascii   [128]int32       // SentencePiece style: id of the one-character token; -1: none
	whole   map[string]int32 // ignore_merges: piece → id
	literal addedMatcher     // added tokens found in the text as written
	normal  addedMatcher     // added tokens found in normalised text

	normalizer   normalizer
	preTokenizer preTokenizer
	decoders     []decodeStep // nil: the reference joins tokens with spaces
	before       []int32      // post-processor: ids put before a text

	fingerprint func() string
}

// entry is one id of the vocabulary.
type entry struct {
	token        string // raw string: "▁the", "Ġthe", "<0x0A>", "</s>"
	bytes        []byte // what it stands for; nil for special tokens
	added        bool
	special      bool
	byteFallback bool
}

// modelOptions are the switches of a byte-pair model.
type modelOptions struct {
	vocab        map[string]int32 // without added tokens: what symbols are looked up in
	unknown      int32            // id of the unknown token; -1: none, unknown characters vanish
	fuseUnknown  bool             // a run of unknown characters becomes one unknown token
	byteFallback bool             // an unknown character becomes the tokens of its bytes
	ignoreMerges bool             // a piece that is itself in the vocabulary is one token
	cutAtMarker  bool             // no token has the word marker after another character: pieces may be cut there
}

// Load reads a tokenizer.json, or the one in a directory.
func Load(path string) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer: %w", err)
	}
	file := path
	if info.IsDir() {
		file = filepath.Join(path, FileName)
	}
	data, err := readBounded(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("loading tokenizer: directory %s has no %s; copy the model's there "+
			"(a model that has only tokenizer.model is converted by transformers: AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR)): %w", path, FileName, err)
	}
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer: %w", err)
	}
	t, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("loading tokenizer %s: %w", file, err)
	}
	return t, nil
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
	return id, ok
}

// Bytes are the bytes the token stands for: " the" for "▁the" or "Ġthe", "\n" for "<0x0A>"; nil for a
// special token or an id without token. The caller must not change them.
func (t *Tokenizer) Bytes(id int32) []byte { return t.at(id).bytes }

// Special says whether the id is a special token, such as the beginning or end of a text.
func (t *Tokenizer) Special(id int32) bool { return t.at(id).special }

// ByteFallback says whether the id stands for one byte of a character that has no token ("<0x0A>").
func (t *Tokenizer) ByteFallback(id int32) bool { return t.at(id).byteFallback }

// Specials are the ids that the file's post-processor puts before a text, such as the beginning of
// text. Encode never adds them.
func (t *Tokenizer) Specials() []int32 { return append([]int32(nil), t.before...) }

// Fingerprint is the SHA-256, in hex, of the id → bytes table: for each id its kind, then the
// length and the bytes (special tokens: the raw string). Two tokenizers with equal fingerprints
// give every id the same meaning.
func (t *Tokenizer) Fingerprint() string { return t.fingerprint() }

func (t *Tokenizer) setFingerprint() {
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
