// Command measure runs this repository's tokenizers for comparison with the reference libraries; the
// script measure.py beside it runs both sides and prints the tables (make compare-tokenizer, make
// bench-tokenizer).
//
// In: a tokenizer file and lines of JSON strings on stdin. Out: for "encode" a line of ids, spans and
// decoded text for each, for "bench" the seconds of processor time of the best round over all lines, for
// "load" the milliseconds of the best of several loads. It checks that spans tile the text.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/profuser/profuser/models/tokenizer"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	if len(args) < 2 {
		return errors.New("usage: measure encode|bench|load FILE [PATTERN] < TEXTS")
	}
	if args[0] == "load" {
		return load(args[1], out)
	}
	t, err := open(args[1:])
	if err != nil {
		return err
	}
	texts, err := readTexts(in)
	if err != nil {
		return err
	}
	switch args[0] {
	case "encode":
		return encode(t, texts, out)
	case "bench":
		return bench(t, texts, out)
	}
	return fmt.Errorf("unknown command %q", args[0])
}

// open loads a file; with a pattern it is a tiktoken file.
func open(args []string) (*tokenizer.Tokenizer, error) {
	if len(args) == 1 {
		return tokenizer.Load(args[0])
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return nil, err
	}
	return tokenizer.ParseTiktoken(data, tokenizer.TiktokenOptions{Pattern: args[1]})
}

func readTexts(in io.Reader) (texts []string, err error) {
	for d := json.NewDecoder(bufio.NewReader(in)); d.More(); {
		var text string
		if err := d.Decode(&text); err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func encode(t *tokenizer.Tokenizer, texts []string, out io.Writer) error {
	buffered := bufio.NewWriter(out)
	e := json.NewEncoder(buffered)
	for _, text := range texts {
		ids, spans := t.EncodeSpans(text)
		at := 0
		for i, span := range spans {
			if span.Start != at || span.End < at {
				return fmt.Errorf("%q: span %d is %v, want it to start at %d", text, i, span, at)
			}
			at = span.End
		}
		if len(ids) > 0 && at != len(text) {
			return fmt.Errorf("%q: spans end at %d of %d", text, at, len(text))
		}
		row := struct {
			IDs  []int32 `json:"ids"`
			Text string  `json:"text"`
		}{ids, t.Decode(ids, false)}
		if err := e.Encode(row); err != nil {
			return err
		}
	}
	return buffered.Flush()
}

// bench encodes all texts on one thread, several times.
func bench(t *tokenizer.Tokenizer, texts []string, out io.Writer) error {
	runtime.GOMAXPROCS(1)
	best := time.Duration(1 << 62)
	for range 5 {
		start := processorTime()
		for _, text := range texts {
			t.Encode(text)
		}
		best = min(best, processorTime()-start)
	}
	_, err := fmt.Fprintln(out, best.Seconds())
	return err
}

// processorTime is what this process has used so far, on all its threads.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func load(file string, out io.Writer) error {
	best := time.Duration(1 << 62)
	for range 5 {
		start := processorTime()
		if _, err := tokenizer.Load(file); err != nil {
			return err
		}
		best = min(best, processorTime()-start)
		runtime.GC()
	}
	_, err := fmt.Fprintln(out, float64(best.Microseconds())/1000)
	return err
}
