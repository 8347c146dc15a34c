package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"strings"
)

// pieces are words of real texts.
type pieces []string

// plain reads a file, gzipped or not.
func plain(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return io.ReadAll(r)
}

// corpus reads the words of all strings of JSON lines.
func corpus(path string) (pieces, error) {
	data, err := plain(path)
	if err != nil {
		return nil, err
	}
	var words pieces
	for line := range bytes.Lines(data) {
		var row map[string]any
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		for _, name := range []string{"question", "answer"} {
			if text, ok := row[name].(string); ok {
				words = append(words, strings.SplitAfter(text, " ")...)
				words = append(words, "\n")
			}
		}
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%s has no question and no answer", path)
	}
	return words, nil
}

// text is a piece whose number of words is log-normal, about as conversations with chat models have them: 40 words to a
// prompt, 160 to an answer in the median, a tenth of them three and a half times as long.
func (p pieces) text(role string, _ int, r *rand.Rand) string {
	median := 160.0
	switch role {
	case "system":
		return ""
	case "user":
		median = 40
	}
	n := min(int(median*math.Exp(r.NormFloat64())), 2000) + 1
	first := r.IntN(len(p))
	return strings.TrimSpace(strings.Join(p[first:min(first+n, len(p))], "")) + "."
}
