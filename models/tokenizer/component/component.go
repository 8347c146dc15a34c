// Package component reads the parts of a tokenizer.json: normalisers, pre-tokenizers, post-processors
// and decoders, which are JSON objects with a type, and the large vocabularies of its model.
//
// In: raw JSON. Out: Go values of the caller's structs, one for each type. An option that the struct does
// not have is an error that names it, so nothing in a file is silently ignored. Sequences are flattened.
//
// The package knows no component by itself; the packages normalize, pretokenize and detokenize do. The
// scanner in scan.go exists because encoding/json needs half a second for a vocabulary of 128,000.
package component

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Marker stands for a space in SentencePiece-style vocabularies: U+2581.
const Marker = "▁"

// maxNesting bounds Sequences inside Sequences.
const maxNesting = 16

// Component is one part of the file.
type Component struct {
	// Type is its kind, such as "Split".
	Type string
	// JSON is the whole object.
	JSON json.RawMessage
}

// Pattern is what Split and Replace look for: one of a literal string and a regular expression.
type Pattern struct {
	// String is the literal, nil for a regular expression.
	String *string
	// Regex is the expression, nil for a literal.
	Regex *string
}

// Check makes sure that the pattern is exactly one of the two.
func (p *Pattern) Check() error {
	if p == nil || (p.String == nil) == (p.Regex == nil) {
		return errors.New("pattern is neither {\"String\": …} nor {\"Regex\": …}")
	}
	return nil
}

// Flatten gives the components of nested Sequences in order; list is the name of the field that holds the
// parts of a Sequence. null and nothing are no component.
func Flatten(raw json.RawMessage, list string) ([]Component, error) { return flatten(raw, list, 0) }

func flatten(raw json.RawMessage, list string, depth int) ([]Component, error) {
	if len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
		return nil, nil
	}
	if depth > maxNesting {
		return nil, fmt.Errorf("more than %d Sequences inside one another", maxNesting)
	}
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return nil, fmt.Errorf("not an object with a type: %w", err)
	}
	if head.Type != "Sequence" {
		return []Component{{head.Type, raw}}, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, err
	}
	for name := range fields {
		if name != "type" && name != list {
			return nil, fmt.Errorf("Sequence has the unknown field %q", name)
		}
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(fields[list], &parts); err != nil {
		return nil, fmt.Errorf("Sequence: field %q: %w", list, err)
	}
	var all []Component
	for _, part := range parts {
		some, err := flatten(part, list, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// Options reads the component's options into a struct. A field of the component that the struct lacks
// is an error that names both.
func (c Component) Options(into any) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(c.JSON, &fields); err != nil {
		return fmt.Errorf("%s: %w", c.Type, err)
	}
	delete(fields, "type")
	rest, err := json.Marshal(fields)
	if err != nil {
		return fmt.Errorf("%s: %w", c.Type, err)
	}
	strict := json.NewDecoder(bytes.NewReader(rest))
	strict.DisallowUnknownFields()
	if err := strict.Decode(into); err != nil {
		message := strings.TrimPrefix(err.Error(), "json: ")
		return fmt.Errorf("%s: %s is not supported", c.Type, message)
	}
	return nil
}

// None checks that the component has no options.
func (c Component) None() error { return c.Options(&struct{}{}) }

// Unsupported is the error for a type that the caller does not know.
func (c Component) Unsupported(supported ...string) error {
	return fmt.Errorf("type %q is not supported (supported: %s, Sequence)", c.Type, strings.Join(supported, ", "))
}
