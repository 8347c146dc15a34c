package fusing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/objective"
)

// window is the number of parts whose prompts are shuffled together; twice as many are kept in memory.
const window = 8

// corpus reads the two fusion datasets by parts.
type corpus struct {
	sets       [modes]*dataset.Dataset // nil when the mode has none and needs none
	holdout    float64
	maxLength  int
	vocabulary int
	weights    StatusWeights
	byChunks   bool // teachers are likelihoods of chunks
	// byReward takes all rewarded rows of a prompt, weighted at temperature, instead of the selected one.
	byReward    bool
	temperature float64

	has     [][]flags // for each part and prompt of it that is trained on
	held    []prompt
	rows    int
	dropped int // too long

	cache  map[int][]prompt
	recent []int // parts in the cache, oldest first
}

// flags say which modes a prompt has an example in.
type flags [modes]bool

// place is a prompt: its part and its number there.
type place struct{ part, row int }

// openCorpus reads everything once: what is held out, what is too long, what each prompt has.
func openCorpus(ctx context.Context, o *Options, sets [modes]*dataset.Dataset, maxLength, vocabulary int) (*corpus, error) {
	c := &corpus{sets: sets, holdout: o.Holdout, maxLength: maxLength, vocabulary: vocabulary, weights: o.StatusWeights, byChunks: o.Teaching.Kind == objective.ALM, byReward: o.ExampleWeights == ByReward, temperature: o.RewardTemperature, cache: map[int][]prompt{}}
	parts := -1
	for _, d := range sets {
		if d == nil {
			continue
		}
		if parts >= 0 && d.Parts() != parts {
			return nil, fmt.Errorf("datasets fusion/inference and fusion/training have %d and %d parts: they are of different runs; fuse again", parts, d.Parts())
		}
		parts = d.Parts()
	}
	for part := range parts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		prompts, err := c.part(ctx, part, true)
		if err != nil {
			return nil, err
		}
		has := make([]flags, len(prompts))
		for i, p := range prompts {
			for m, e := range p.examples {
				has[i][m] = len(e) > 0
			}
		}
		c.has = append(c.has, has)
	}
	return c, nil
}

// openSet opens a mode's dataset and checks that it was made for this target's tokenizer.
func openSet(ctx context.Context, s dataset.Store, m mode, fingerprint string) (*dataset.Dataset, error) {
	d, err := dataset.Open(ctx, s, "fusion/"+modeNames[m])
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w; run profuser fuse first", err)
	} else if err != nil {
		return nil, err
	}
	return d, d.CheckTargetTokenizer(fingerprint)
}

// part reads a part of both datasets and merges them by prompt, in the order of inference mode, then of what only
// training mode has. Held-out prompts are left out; the first time they go to held.
func (c *corpus) part(ctx context.Context, part int, first bool) ([]prompt, error) {
	if prompts, ok := c.cache[part]; ok {
		return prompts, nil
	}
	var all []prompt
	number := map[string]int{}
	for m, d := range c.sets {
		if d == nil {
			continue
		}
		rows, chunks, err := c.read(ctx, d, part)
		if err != nil {
			return nil, err
		}
		for _, of := range byPrompt(rows) {
			examples, err := c.examples(of, chunks, mode(m), first)
			if err != nil {
				return nil, fmt.Errorf("dataset %s, part %d: %w", d.Name(), part, err)
			}
			if len(examples) == 0 {
				continue
			}
			at, known := number[of[0].ID]
			if !known {
				at = len(all)
				number[of[0].ID] = at
				all = append(all, prompt{id: of[0].ID})
			}
			all[at].examples[m] = examples
		}
	}
	var prompts []prompt
	for _, p := range all {
		switch {
		case !heldOut(p.id, c.holdout):
			prompts = append(prompts, p)
		case first:
			c.held = append(c.held, p)
		}
	}
	c.keep(part, prompts)
	return prompts, nil
}

// chunksOf are rows with their chunks, where those are asked for.
type chunksOf map[*schemas.FusionExample]*schemas.ChunkedExample

// read reads the rows of a part, with chunks if those are the teachers.
func (c *corpus) read(ctx context.Context, d *dataset.Dataset, part int) ([]schemas.FusionExample, chunksOf, error) {
	if !c.byChunks {
		rows, _, err := dataset.Rows[schemas.FusionExample](ctx, d, part)
		return rows, nil, err
	}
	whole, _, err := dataset.Rows[schemas.ChunkedExample](ctx, d, part)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; objective.kind alm needs examples that were fused with fuse.chunks true", err)
	}
	rows, chunks := make([]schemas.FusionExample, len(whole)), chunksOf{}
	for i := range whole {
		if err := whole[i].Validate(); err != nil {
			return nil, nil, fmt.Errorf("dataset %s, part %d: %w", d.Name(), part, err)
		}
		rows[i] = whole[i].FusionExample
		chunks[&rows[i]] = &whole[i]
	}
	return rows, chunks, nil
}

// byPrompt cuts a part's rows into those of each prompt, which stand together.
func byPrompt(rows []schemas.FusionExample) [][]*schemas.FusionExample {
	var out [][]*schemas.FusionExample
	for i := range rows {
		if i == 0 || rows[i].ID != rows[i-1].ID {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], &rows[i])
	}
	return out
}

// examples are those of one prompt in one mode; the first time its rows are checked and counted.
func (c *corpus) examples(rows []*schemas.FusionExample, chunks chunksOf, m mode, first bool) (examples []*example, err error) {
	var rewards []float64
	for _, row := range candidates(rows, c.byReward) {
		if first {
			c.rows++
			if err := check(row, c.vocabulary); err != nil {
				return nil, err
			}
		}
		e, ok := newExample(row, m, c.maxLength, c.weights)
		if !ok {
			if first {
				c.dropped++
			}
			continue
		}
		if x := chunks[row]; x != nil {
			e.byChunks(x.ChunkEnds, x.ChunkLogProbs)
		}
		examples = append(examples, e)
		if row.Reward != nil {
			rewards = append(rewards, *row.Reward)
		}
	}
	if c.byReward && len(rewards) == len(examples) {
		weigh(examples, rewards, c.temperature)
	}
	return examples, nil
}

// keep puts a part in the cache and drops the oldest beyond two windows.
func (c *corpus) keep(part int, prompts []prompt) {
	c.cache[part] = prompts
	c.recent = append(c.recent, part)
	if len(c.recent) > 2*window {
		delete(c.cache, c.recent[0])
		c.recent = c.recent[1:]
	}
}

// count is the number of prompts that a stage trains on: those with an example in a mode that it needs.
func (c *corpus) count(needs flags) int {
	n := 0
	for _, part := range c.has {
		for _, has := range part {
			if has.meets(needs) {
				n++
			}
		}
	}
	return n
}

func (f flags) meets(needs flags) bool {
	return f[inference] && needs[inference] || f[training] && needs[training]
}

// order is the prompts of one epoch: parts in a random order, prompts shuffled over windows of them. It follows from the
// seed, the epoch and the datasets alone.
func (c *corpus) order(seed int64, epoch int, needs flags) []place {
	random := rand.New(rand.NewPCG(uint64(seed), 0x66757365<<16|uint64(epoch)))
	parts := random.Perm(len(c.has))
	var order []place
	for from := 0; from < len(parts); from += window {
		start := len(order)
		for _, part := range parts[from:min(from+window, len(parts))] {
			for row, has := range c.has[part] {
				if has.meets(needs) {
					order = append(order, place{part, row})
				}
			}
		}
		shuffled := order[start:]
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
	}
	return order
}

// fetch reads prompts by their places.
func (c *corpus) fetch(ctx context.Context, places []place) ([]prompt, error) {
	out := make([]prompt, len(places))
	for i, p := range places {
		prompts, err := c.part(ctx, p.part, false)
		if err != nil {
			return nil, err
		}
		out[i] = prompts[p.row]
	}
	return out, nil
}
