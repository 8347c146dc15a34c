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
	headerFile = "_DATASET.json"
	partPrefix = "part-"
	partSuffix = ".parquet"
)

// Header is what is known of a dataset before its first part: _DATASET.json.
type Header struct {
	// Schema is the record's name and version.
	Schema string `json:"schema"`
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
}

// Begin creates the dataset's header if it is absent. A header that differs means that the parts which are there would
// not go with those to come: the error names both sides and the remedy.
func Begin(ctx context.Context, s Store, name string, h Header) error {
	if err := schemas.CheckReadable(h.Schema); err != nil {
		return fmt.Errorf("beginning dataset %s: %w", name, err)
	}
	data, err := json.MarshalIndent(h, "", "  ")
	if err != nil {
		return fmt.Errorf("beginning dataset %s: %w", name, err)
	}
	// Look first: a refused create still sends its bytes to an object store.
	there, err := readHeader(ctx, s, name)
	if errors.Is(err, fs.ErrNotExist) {
		err = s.Create(ctx, name+"/"+headerFile, append(data, '\n'))
		if !errors.Is(err, ErrExists) {
			return err
		}
		there, err = readHeader(ctx, s, name)
	}
	if err != nil {
		return err
	}
	return there.agrees(s, name, h)
}

// agrees names the first field in which the header that is there differs from this run's.
func (h Header) agrees(s Store, name string, run Header) error {
	for _, field := range []struct{ name, there, run string }{
		{"schema", h.Schema, run.Schema},
		{"configuration digest", h.ConfigDigest, run.ConfigDigest},
		{"source model", h.SourceModel, run.SourceModel},
		{"source tokenizer", h.SourceTokenizer, run.SourceTokenizer},
		{"target tokenizer", h.TargetTokenizer, run.TargetTokenizer},
		{"chat template", h.ChatTemplate, run.ChatTemplate},
	} {
		if field.there != field.run {
			return fmt.Errorf("dataset %s in %s was made with %s %q, this run has %q: "+
				"put the configuration back, choose another --out, or remove the folder %s to make it again",
				name, s.URL(), field.name, field.there, field.run, name)
		}
	}
	return nil
}

func readHeader(ctx context.Context, s Store, name string) (Header, error) {
	var h Header
	data, err := s.Read(ctx, name+"/"+headerFile)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(data, &h); err != nil {
		return h, fmt.Errorf("dataset %s in %s: %s is damaged: %w", name, s.URL(), headerFile, err)
	}
	return h, nil
}

// PartName returns the file name of part n: part-000012.parquet.
func PartName(n int) string { return fmt.Sprintf("%s%06d%s", partPrefix, n, partSuffix) }

// partNumber is PartName's inverse.
func partNumber(file string) (n int, ok bool) {
	digits, isPart := strings.CutPrefix(file, partPrefix)
	digits, hasSuffix := strings.CutSuffix(digits, partSuffix)
	n, err := strconv.Atoi(digits)
	return n, isPart && hasSuffix && err == nil && n >= 0 && PartName(n) == file
}

// FinishedParts returns the numbers of the parts that are there, from one listing.
func FinishedParts(ctx context.Context, s Store, name string) (map[int]bool, error) {
	keys, err := s.List(ctx, name+"/"+partPrefix)
	if err != nil {
		return nil, err
	}
	parts := map[int]bool{}
	for _, key := range keys {
		if n, ok := partNumber(strings.TrimPrefix(key, name+"/")); ok {
			parts[n] = true
		}
	}
	return parts, nil
}
