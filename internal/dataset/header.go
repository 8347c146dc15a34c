package dataset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/profuser/profuser/schemas"
)

const (
	headerFile   = "_DATASET.json"
	headerPrefix = "_DATASET-"
	jsonSuffix   = ".json"
	partPrefix   = "part-"
	partSuffix   = ".parquet"
)

// Header is what is known of a dataset before its first part: _DATASET.json, and _DATASET-000002.json and so on when it,
// or some of its parts, are made again: its revisions.
type Header struct {
	// Schema is the record's name and version.
	Schema string `json:"schema"`
	// Revision counts how often the dataset was begun. The first has no number in its files' names, so 0 stands for 1; parts
	// made in revision 2 are files such as part-000012.r2.parquet.
	Revision int `json:"revision,omitempty"`
	// ConfigDigest is the digest of the configuration the rows depend on.
	ConfigDigest string `json:"config_digest"`
	// SourceModel is the model's name in the configuration, "" if none.
	SourceModel string `json:"source_model,omitempty"`
	// SourceTokenizer is the fingerprint of the vocabulary of TokenDistributions, "" for rows without.
	SourceTokenizer string `json:"source_tokenizer,omitempty"`
	// TargetTokenizer is the fingerprint of the vocabulary of FusionExample, "" for rows without.
	TargetTokenizer string `json:"target_tokenizer,omitempty"`
	// ChatTemplate is the digest of the chat format, "" if none.
	ChatTemplate string `json:"chat_template,omitempty"`
	// Depends itemises what ConfigDigest stands for: configuration keys with their values, files with their digests.
	Depends map[string]string `json:"depends,omitempty"`
}

// revision is the number, from 1.
func (h Header) revision() int { return max(1, h.Revision) }

// headerName is the file of a revision's header.
func headerName(revision int) string {
	if revision <= 1 {
		return headerFile
	}
	return fmt.Sprintf("%s%06d%s", headerPrefix, revision, jsonSuffix)
}

// headerRevision is headerName's inverse.
func headerRevision(file string) (revision int, ok bool) {
	if file == headerFile {
		return 1, true
	}
	digits, isPrefix := strings.CutPrefix(file, headerPrefix)
	digits, isSuffix := strings.CutSuffix(digits, jsonSuffix)
	revision, err := strconv.Atoi(digits)
	return revision, isPrefix && isSuffix && err == nil && revision > 1
}

// Begin creates the header of h.Revision if it is absent; revision 0 is the newest that is there, or 1. A header that
// differs means that the parts which are there would not go with those to come: the error names both sides and the remedy.
func Begin(ctx context.Context, s Store, name string, h Header) error {
	if err := schemas.CheckReadable(h.Schema); err != nil {
		return fmt.Errorf("beginning dataset %s: %w", name, err)
	}
	if h.Revision == 0 {
		keys, err := s.List(ctx, name+"/_")
		if err != nil {
			return err
		}
		h.Revision = newestRevision(name, keys)
	}
	revision := h.revision()
	if revision == 1 {
		h.Revision = 0
	}
	data, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return fmt.Errorf("beginning dataset %s: %w", name, err)
	}
	// Look first: a refused create still sends its bytes to an object store.
	there, err := readHeader(ctx, s, name, revision)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.Create(ctx, name+"/"+headerName(revision), append(data, '\n'))
		if !errors.Is(err, ErrExists) {
			return err
		}
		there, err = readHeader(ctx, s, name, revision)
	}
	if err != nil {
		return err
	}
	if field, a, b := there.Differs(h); field != "" {
		return fmt.Errorf("dataset %s in %s was made with %s %q, this run has %q: "+
			"put the configuration back, choose another --out, or make it again with --redo-changed", name, s.URL(), field, a, b)
	}
	return nil
}

// Differs names the first field in which two headers disagree, and its values; "" if rows made under one go with those
// made under the other. Depends explains and decides nothing.
func (h Header) Differs(other Header) (field, here, there string) {
	for _, field := range []struct{ name, here, there string }{
		{"schema", h.Schema, other.Schema},
		{"configuration digest", h.ConfigDigest, other.ConfigDigest},
		{"source model", h.SourceModel, other.SourceModel},
		{"source tokenizer", h.SourceTokenizer, other.SourceTokenizer},
		{"target tokenizer", h.TargetTokenizer, other.TargetTokenizer},
		{"chat template", h.ChatTemplate, other.ChatTemplate},
	} {
		if field.here != field.there {
			return field.name, field.here, field.there
		}
	}
	return "", "", ""
}

func readHeader(ctx context.Context, s Store, name string, revision int) (Header, error) {
	var h Header
	data, err := s.Read(ctx, name+"/"+headerName(revision))
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("dataset %s in %s: %s is damaged: %w", name, s.URL(), headerName(revision), err)
	}
	return h, nil
}

// newestRevision is the highest revision that keys of a dataset have a header of, 0 without.
func newestRevision(name string, keys []string) int {
	newest := 0
	for _, key := range keys {
		if revision, ok := headerRevision(strings.TrimPrefix(key, name+"/")); ok {
			newest = max(newest, revision)
		}
	}
	return newest
}

// PartName returns the file name of part n as first made, which is also its name wherever a part is meant rather than a
// file: part-000012.parquet.
func PartName(n int) string { return PartFile(n, 1) }

// PartFile returns the file name of part n as made in a revision: part-000012.parquet, part-000012.r2.parquet.
func PartFile(n, revision int) string {
	if revision <= 1 {
		return fmt.Sprintf("%s%06d%s", partPrefix, n, partSuffix)
	}
	return fmt.Sprintf("%s%06d.r%d%s", partPrefix, n, revision, partSuffix)
}

// partNumber is PartFile's inverse.
func partNumber(file string) (n, revision int, ok bool) {
	digits, isPart := strings.CutPrefix(file, partPrefix)
	digits, hasSuffix := strings.CutSuffix(digits, partSuffix)
	digits, again, isAgain := strings.Cut(digits, ".r")
	revision = 1
	var err error
	if isAgain {
		if revision, err = strconv.Atoi(again); err != nil {
			return 0, 0, false
		}
	}
	n, err = strconv.Atoi(digits)
	return n, revision, isPart && hasSuffix && err == nil && n >= 0 && PartFile(n, revision) == file
}
