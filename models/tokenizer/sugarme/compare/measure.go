package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/models/tokenizer/backend"
	"github.com/profuser/profuser/models/tokenizer/sugarme"
)

// backends are what is compared.
var backends = []struct {
	name string
	load func(data []byte) (backend.Backend, error)
}{
	{"ours", func(data []byte) (backend.Backend, error) {
		t, err := tokenizer.Parse(data)
		return backend.Own{Tokenizer: t}, err
	}},
	{"sugarme", func(data []byte) (backend.Backend, error) { return sugarme.ParseAny(data) }},
	{"sugarme over our engine", func(data []byte) (backend.Backend, error) { return sugarme.Parse(data) }},
}

// measure adds a row for each back end.
func (s set) measure(table *strings.Builder) {
	for _, b := range backends {
		fmt.Fprintf(table, "| %s | %d | %s |", s.name, len(s.golden), b.name)
		loaded, err := b.load(s.data)
		if err != nil {
			fmt.Fprintf(table, " does not load | | | |\n")
			continue
		}
		ids, decoded, failed := s.count(loaded)
		fmt.Fprintf(table, " %d | %d | %d | %.3g |\n", ids, decoded, failed, s.speed(loaded))
	}
}

// count is how many strings come out as the reference's, and how many calls failed.
func (s set) count(b backend.Backend) (ids, decoded, failed int) {
	for _, row := range s.golden {
		got, err := b.Encode(row.Text)
		switch {
		case err != nil:
			failed++
		case slices.Equal(got, row.IDs):
			ids++
		}
		text, err := b.Decode(row.IDs, false)
		switch {
		case err != nil:
			failed++
		case text == row.Decoded:
			decoded++
		}
	}
	return ids, decoded, failed
}

// Speed is measured on pieces of the golden texts in so much time of the process, and the best window counts: others work
// on the machine.
const (
	pieceBytes = 1 << 10
	atLeast    = 2 * time.Second
	window     = 100 * time.Millisecond
)

// speed encodes pieces of the golden texts and gives 10⁶ bytes a second.
func (s set) speed(b backend.Backend) float64 {
	var all strings.Builder
	for _, row := range s.golden {
		all.WriteString(row.Text + "\n")
	}
	text := strings.ToValidUTF8(all.String(), "")
	var pieces []string
	for len(text) > pieceBytes {
		end := pieceBytes
		for text[end]&0xC0 == 0x80 {
			end--
		}
		pieces = append(pieces, text[:end])
		text = text[end:]
	}
	pieces = append(pieces, text)
	best := 0.0
	for all, k := processTime(), 0; processTime()-all < atLeast; {
		size, began := 0, processTime()
		for processTime()-began < window {
			piece := pieces[k%len(pieces)]
			if _, err := b.Encode(piece); err == nil {
				size += len(piece)
			}
			k++
		}
		best = max(best, float64(size)/1e6/(processTime()-began).Seconds())
	}
	return best
}
