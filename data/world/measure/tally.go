package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/profuser/profuser/data/world"
	"github.com/profuser/profuser/schemas"
)

// item is a line of the item file or of a file of pairs.
type item struct {
	Messages   []schemas.Message `json:"messages"`
	Tags       []string          `json:"tags"`
	Answer     string            `json:"answer"`
	Candidates []string          `json:"candidates"`
	Chosen     string            `json:"chosen"`
	Rejected   string            `json:"rejected"`
}

func readItems(path string) ([]item, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []item
	for s := bufio.NewScanner(f); s.Scan(); {
		var i item
		if err := json.Unmarshal(s.Bytes(), &i); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", path, len(out)+1, err)
		}
		out = append(out, i)
	}
	return out, nil
}

// tally counts successes by row label.
type tally struct{ right, all map[string]int }

func (t *tally) add(label string, ok bool) {
	if t.all == nil {
		t.right, t.all = map[string]int{}, map[string]int{}
	}
	t.all[label]++
	if ok {
		t.right[label]++
	}
}

func (t *tally) share(label string) string {
	if t.all[label] == 0 {
		return "–"
	}
	return fmt.Sprintf("%.2f", float64(t.right[label])/float64(t.all[label]))
}

var labels = append(append([]string{}, world.Skills...), "operands:seen", "operands:unseen", "all")

func header(w io.Writer, what string) {
	fmt.Fprintf(w, "\n| %s | %s |\n|---%s|\n", what, strings.Join(labels, " | "), strings.Repeat("|---", len(labels)))
}

func line(w io.Writer, name string, t *tally) {
	fmt.Fprintf(w, "| %s", name)
	for _, l := range labels {
		fmt.Fprintf(w, " | %s", t.share(l))
	}
	fmt.Fprintln(w, " |")
}

// each calls f for all items, many at once, and tallies its verdicts.
func each(items []item, f func(item) (bool, error)) (*tally, error) {
	var (
		t     tally
		first error
		lock  sync.Mutex
		group sync.WaitGroup
	)
	slots := make(chan struct{}, 64)
	for _, i := range items {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			ok, err := f(i)
			lock.Lock()
			defer lock.Unlock()
			if err != nil && first == nil {
				first = err
			}
			for _, tag := range append([]string{"all"}, i.Tags...) {
				t.add(tag, ok)
			}
		})
	}
	group.Wait()
	return &t, first
}
