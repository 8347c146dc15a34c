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
const maxLine = 1 << 30

// lines gives every line of a named input that is not blank to work, with its number; an error of work ends it.
func lines(name string, in io.Reader, work func(n int, line []byte) error) error {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(make([]byte, 64<<10), maxLine)
	n := 0
	for scanner.Scan() {
		n++
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		if err := work(n, scanner.Bytes()); err != nil {
			return err
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%s, line %d: %w", name, n+1, err)
	}
	return nil
}

// eachLine gives every line of standard input that is not blank to work, and writes what work made of it: whole or,
// after an error, which names the line, not at all.
func eachLine(cmd *cobra.Command, work func(line []byte, out io.Writer) error) error {
	return writeLines(cmd, work, func(err error) error { return err })
}

// eachRow is eachLine that goes on after an error: it is told on standard error, and the last error says how many there
// were.
func eachRow(cmd *cobra.Command, work func(line []byte, out io.Writer) error) error {
	done, rejected := 0, 0
	err := writeLines(cmd, func(line []byte, out io.Writer) error {
		err := work(line, out)
		if err == nil {
			done++
		}
		return err
	}, func(err error) error {
		rejected++
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "profuser: "+strings.ReplaceAll(err.Error(), "\n", "; "))
		return err
	})
	if err == nil && rejected > 0 {
		err = fmt.Errorf("%d of %d rows were rejected", rejected, done+rejected)
	}
	return err
}

// writeLines is the work of eachLine and eachRow: an error in a line is what fault makes of it, nil to go on.
func writeLines(cmd *cobra.Command, work func(line []byte, out io.Writer) error, fault func(error) error) error {
	out := bufio.NewWriter(cmd.OutOrStdout())
	var whole bytes.Buffer
	err := lines("standard input", cmd.InOrStdin(), func(n int, line []byte) error {
		whole.Reset()
		err := errors.New("is not UTF-8")
		if utf8.Valid(line) {
			err = work(line, &whole)
		}
		if err != nil {
			if err := out.Flush(); err != nil {
				return err
			}
			return fault(fmt.Errorf("standard input, line %d: %w", n, explain(err)))
		}
		if _, err := out.Write(whole.Bytes()); err != nil {
			return err
		}
		return cmd.Context().Err()
	})
	return errors.Join(out.Flush(), err)
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
