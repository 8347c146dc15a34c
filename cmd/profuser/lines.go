package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// maxLine bounds a line of standard input, in bytes.
const maxLine = 64 << 20

// eachLine gives every line of standard input that is not blank to work, and writes what work made of it: whole or,
// after an error, which names the line, not at all.
func eachLine(cmd *cobra.Command, work func(line []byte, out io.Writer) error) error {
	in := bufio.NewScanner(cmd.InOrStdin())
	in.Buffer(make([]byte, 64<<10), maxLine)
	out := bufio.NewWriter(cmd.OutOrStdout())
	var whole bytes.Buffer
	n := 0
	fail := func(err error) error { return errors.Join(out.Flush(), err) }
	for in.Scan() {
		n++
		if len(bytes.TrimSpace(in.Bytes())) == 0 {
			continue
		}
		if !utf8.Valid(in.Bytes()) {
			return fail(fmt.Errorf("standard input, line %d: is not UTF-8", n))
		}
		whole.Reset()
		if err := work(in.Bytes(), &whole); err != nil {
			return fail(fmt.Errorf("standard input, line %d: %w", n, explain(err)))
		}
		if _, err := out.Write(whole.Bytes()); err != nil {
			return err
		}
		if cmd.Context().Err() != nil {
			return fail(cmd.Context().Err())
		}
	}
	if err := in.Err(); err != nil {
		return fail(fmt.Errorf("standard input, line %d: %w", n+1, err))
	}
	return out.Flush()
}

// explain names the field of a fault in JSON.
func explain(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		field := wrong.Field
		if field == "" {
			return fmt.Errorf("is %s, must be an object", named(wrong.Value))
		}
		return fmt.Errorf("%s: is %s, must be %s", field, named(wrong.Value), jsonKind(wrong))
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("is no JSON, at byte %d: %w", syntax.Offset, err)
	}
	return err
}

// named is a kind of JSON with its article.
func named(kind string) string {
	if strings.HasPrefix(kind, "array") || strings.HasPrefix(kind, "object") {
		return "an " + kind
	}
	return "a " + kind
}

// jsonKind says what a field should have been.
func jsonKind(wrong *json.UnmarshalTypeError) string {
	switch kind := wrong.Type.Kind().String(); kind {
	case "slice":
		return "a list"
	case "struct", "map":
		return "an object"
	case "int32":
		return "a whole number of 32 bits"
	default:
		return "a " + kind
	}
}

// writeJSON writes one line.
func writeJSON(out io.Writer, value any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

// terminal gives the columns of standard output, and whether colours are to be used there: only on a terminal, and not
// if NO_COLOR is set.
func terminal() (width int, colours bool) {
	const otherwise = 100
	width, _, err := term.GetSize(int(os.Stdout.Fd()))
	if err != nil || width <= 0 {
		return otherwise, false
	}
	return width, os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
