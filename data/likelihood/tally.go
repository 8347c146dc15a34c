package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// topK is how many entries the smaller of the two measurements stores.
const topK = 10

// reading is a text with what the source thinks of its tokens.
type reading struct {
	text   string
	tokens align.Tokens
	d      dist.Sparse // all entries
	ranks  []int32
	nats   float64
}

// read lets the model read an answer, and keeps so many entries of each distribution, 0: all.
func read(ctx context.Context, e *engine.Engine, p problem, entries int) (*reading, error) {
	encoded, err := e.Format().Encode([]schemas.Message{{Role: schemas.RoleUser, Content: p.Question}}, p.Answer, true)
	if err != nil {
		return nil, err
	}
	if entries <= 0 {
		entries = e.Format().Tokenizer().Size()
	}
	s, err := e.Score(ctx, engine.ScoreRequest{PromptIDs: encoded.PromptIDs, TextIDs: encoded.TextIDs, Truncate: dist.Truncate{Mass: 1, TopK: entries, Exact: true}})
	if err != nil {
		return nil, err
	}
	return &reading{
		text: p.Answer, tokens: align.Tokens{IDs: encoded.TextIDs, Starts: encoded.Starts, Closed: true},
		d: s.Dist, ranks: s.TextRank, nats: dist.Nats(s.TokenLogProbs),
	}, nil
}

// top keeps the most probable entries and the text's token.
func (r *reading) top(k int) (dist.Sparse, []int32) {
	ranks := slices.Clone(r.ranks)
	for i, rank := range ranks {
		if int(rank) >= k {
			ranks[i] = -1
		}
	}
	return r.d.Top(k, r.tokens.IDs), ranks
}

// tally adds up one target's texts.
type tally struct {
	name   string
	target *tokenizer.Tokenizer
	end    int32
	exact  *align.Exact

	status, topStatus [5]int
	positions         int
	sourceNats        float64
	nats, topNats     float64 // over the positions that have entries
	distance          float64 // L1 of listed probabilities, over listed positions
	listed            int
}

// ends are the end-of-turn tokens of the tokenizers that are measured.
var ends = map[string]string{"vicuna": "</s>", "llama2": "</s>", "mistral03": "</s>", "mptchat": "<|im_end|>", "gpt2": "<|endoftext|>"}

func newTally(source *chat.Format, file, name string) (*tally, error) {
	packed, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	plain, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(plain)
	if err != nil {
		return nil, err
	}
	t, err := tokenizer.Parse(data)
	if err != nil {
		return nil, err
	}
	end, ok := t.ID(ends[name])
	if !ok {
		return nil, fmt.Errorf("%s: no end of turn is known for it", name)
	}
	s := source.Tokenizer()
	return &tally{name: name, target: t, end: end, exact: align.NewExact(s, source.StopIDs(), s.Fingerprint(), t, end, t.Fingerprint())}, nil
}

// add aligns a text with all entries and with few.
func (t *tally) add(r *reading) error {
	ids := t.target.Encode(r.text)
	starts, err := t.target.Starts(r.text, ids)
	if err != nil {
		return err
	}
	target := align.Tokens{IDs: append(ids, t.end), Starts: append(starts, int32(len(r.text))), Closed: true}
	full, err := t.exact.Align([]byte(r.text), r.tokens, r.d, r.ranks, target)
	if err != nil {
		return err
	}
	few, ranks := r.top(topK)
	cut, err := t.exact.Align([]byte(r.text), r.tokens, few, ranks, target)
	if err != nil {
		return err
	}
	t.sourceNats += r.nats
	t.positions += len(target.IDs)
	fullOffsets, cutOffsets := full.Dist.Offsets(), cut.Dist.Offsets()
	for i, id := range target.IDs {
		t.status[full.Status[i]]++
		t.topStatus[cut.Status[i]]++
		known := map[int32]float64{}
		for at := fullOffsets[i]; at < fullOffsets[i+1]; at++ {
			known[full.Dist.IDs[at]] = math.Exp(float64(full.Dist.LogProbs[at]))
			if full.Dist.IDs[at] == id {
				t.nats -= float64(full.Dist.LogProbs[at])
			}
		}
		if cut.Status[i] == schemas.StatusNone {
			continue
		}
		t.listed++
		if at := slices.Index(cut.Dist.IDs[cutOffsets[i]:cutOffsets[i+1]], id); at >= 0 {
			t.topNats -= float64(cut.Dist.LogProbs[int(cutOffsets[i])+at])
		}
		for at := cutOffsets[i]; at < cutOffsets[i+1]; at++ {
			t.distance += math.Abs(known[cut.Dist.IDs[at]] - math.Exp(float64(cut.Dist.LogProbs[at])))
		}
	}
	return nil
}

// writeTable writes the tallies as a table of Markdown.
func writeTable(out io.Writer, tallies []*tally) error {
	w := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintf(w, "| target\t| positions\t| exact\t| boundary\t| inner\t| none\t| likelihood kept\t| none, top %d\t| likelihood, top %d\t| L1, top %d\t|\n", topK, topK, topK)
	fmt.Fprint(w, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|\n")
	for _, t := range tallies {
		n := float64(t.positions)
		percent := func(count int) string { return fmt.Sprintf("%.1f %%", 100*float64(count)/n) }
		fmt.Fprintf(w, "| %s\t| %d\t| %s\t| %s\t| %s\t| %s\t| %.4f\t| %.2f %%\t| %.4f\t| %.4f\t|\n", t.name, t.positions,
			percent(t.status[schemas.StatusExact]), percent(t.status[schemas.StatusBoundary]), percent(t.status[schemas.StatusInner]), percent(t.status[schemas.StatusNone]),
			t.nats/t.sourceNats, 100*float64(t.topStatus[schemas.StatusNone])/n, t.topNats/t.sourceNats, t.distance/float64(max(1, t.listed)))
	}
	return w.Flush()
}
