package fusing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/prefetch"
)

// window is the number of parts whose prompts are shuffled together. Two windows are kept in memory: the one in use and
// the next, which is read in the background.
const window = 8

// readers is the number of parts that are read at a time.
const readers = 4

// corpus reads the two fusion datasets by parts. Close it.
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
	mostHeld    int // held-out prompts that are read

	has     [][]flags // for each part and prompt of it that is trained on
	held    []held    // the held-out prompts, in the order of parts
	rows    int
	dropped int // too long
	read    *prefetch.Parts[[]prompt]
}

// held is a prompt that is held out.
type held struct {
	id   string
	part int
	hash float64
	has  flags
}

// flags say which modes a prompt has an example in.
type flags [modes]bool

// place is a prompt: its part and its number there.
type place struct{ part, row int }

// openCorpus reads ids, rewards and token ids, but no distributions: what is held out, what is too long, what each
// prompt has. The rest is read part by part while training goes on.
func openCorpus(ctx context.Context, o *Options, sets [modes]*dataset.Dataset, maxLength, vocabulary int) (*corpus, error) {
	c := &corpus{
		sets: sets, holdout: o.Holdout, maxLength: maxLength, vocabulary: vocabulary, weights: o.StatusWeights, byChunks: o.Teaching.Kind == objective.ALM,
		byReward: o.ExampleWeights == ByReward, temperature: o.RewardTemperature, mostHeld: o.EvaluatePrompts,
	}
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
	err := prefetch.InOrder(ctx, max(0, parts), readers, c.scan, func(part int, s scanned) error {
		c.rows, c.dropped = c.rows+s.rows, c.dropped+s.dropped
		has := make([]flags, 0, len(s.prompts))
		for _, p := range s.prompts {
			if share := hashOf(p.id); share < c.holdout {
				c.held = append(c.held, held{p.id, part, share, p.has})
			} else {
				has = append(has, p.has)
			}
		}
		c.has = append(c.has, has)
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.read = prefetch.NewParts(ctx, 2*window, readers, c.part)
	return c, nil
}

// close ends what reads in the background.
func (c *corpus) close() { c.read.Close() }

// scanned is what openCorpus learns of a part.
type scanned struct {
	prompts       []has
	rows, dropped int
}

// has says what a prompt has.
type has struct {
	id  string
	has flags
}

// scan reads what openCorpus needs of a part.
func (c *corpus) scan(ctx context.Context, part int) (s scanned, err error) {
	number := map[string]int{}
	for m, d := range c.sets {
		if d == nil {
			continue
		}
		rows, err := dataset.Columns[schemas.FusionExample](ctx, d, part, "id", "selected", "reward", "prompt_ids", "text_ids")
		if err != nil {
			return s, err
		}
		for _, of := range byPrompt(rows) {
			there := false
			for _, row := range candidates(of, c.byReward) {
				s.rows++
				if err := checkTokens(row, c.vocabulary); err != nil {
					return s, fmt.Errorf("dataset %s, part %d: %w", d.Name(), part, err)
				}
				if _, ok := kept(row, c.maxLength); ok {
					there = true
				} else {
					s.dropped++
				}
			}
			if !there {
				continue
			}
			at, known := number[of[0].ID]
			if !known {
				at = len(s.prompts)
				number[of[0].ID] = at
				s.prompts = append(s.prompts, has{id: of[0].ID})
			}
			s.prompts[at].has[m] = true
		}
	}
	return s, nil
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

// part reads the prompts of a part that are trained on.
func (c *corpus) part(ctx context.Context, part int) ([]prompt, error) {
	return c.prompts(ctx, part, func(id string) bool { return !heldOut(id, c.holdout) })
}

// prompts reads a part of both datasets and merges them by prompt, in the order of inference mode, then of what only
// training mode has; only those that are wanted.
func (c *corpus) prompts(ctx context.Context, part int, wanted func(id string) bool) ([]prompt, error) {
	var all []prompt
	number := map[string]int{}
	for m, d := range c.sets {
		if d == nil {
			continue
		}
		rows, chunks, err := c.rowsOf(ctx, d, part)
		if err != nil {
			return nil, err
		}
		for _, of := range byPrompt(rows) {
			if !wanted(of[0].ID) {
				continue
			}
			examples, err := c.examples(of, chunks, mode(m))
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
	return all, nil
}

// heldOutPrompts reads the held-out prompts; of more than mostHeld those with the smallest hashes, so that the choice does
// not depend on what else the datasets hold.
func (c *corpus) heldOutPrompts(ctx context.Context) ([]prompt, error) {
	chosen := slices.Clone(c.held)
	if len(chosen) > c.mostHeld {
		slices.SortFunc(chosen, func(a, b held) int { return cmp.Compare(a.hash, b.hash) })
		chosen = chosen[:c.mostHeld]
	}
	ids := map[string]bool{}
	var parts []int
	for _, h := range chosen {
		ids[h.id] = true
		parts = append(parts, h.part)
	}
	slices.Sort(parts)
	parts = slices.Compact(parts)
	var out []prompt
	err := prefetch.InOrder(ctx, len(parts), readers, func(ctx context.Context, i int) ([]prompt, error) {
		return c.prompts(ctx, parts[i], func(id string) bool { return ids[id] })
	}, func(_ int, prompts []prompt) error {
		out = append(out, prompts...)
		return nil
	})
	return out, err
}

// chunksOf are rows with their chunks, where those are asked for.
type chunksOf map[*schemas.FusionExample]*schemas.ChunkedExample

// rowsOf reads the rows of a part, with chunks if those are the teachers.
func (c *corpus) rowsOf(ctx context.Context, d *dataset.Dataset, part int) ([]schemas.FusionExample, chunksOf, error) {
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

// examples are those of one prompt in one mode.
func (c *corpus) examples(rows []*schemas.FusionExample, chunks chunksOf, m mode) (examples []*example, err error) {
	var rewards []float64
	for _, row := range candidates(rows, c.byReward) {
		if err := check(row, c.vocabulary); err != nil {
			return nil, err
		}
		e, ok := newExample(row, m, c.maxLength, c.weights)
		if !ok {
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

// order is the prompts of one epoch in their order, read ahead by a window. It has one reader.
type order struct {
	c       *corpus
	places  []place
	windows []span
	begun   int // windows whose parts are being read
}

// span is a window: its parts and its places.
type span struct {
	parts      []int
	start, end int
}

// order puts parts in a random order and shuffles prompts over windows of them. It follows from the seed, the epoch and
// the datasets alone.
func (c *corpus) order(seed int64, epoch int, needs flags) *order {
	random := rand.New(rand.NewPCG(uint64(seed), 0x66757365<<16|uint64(epoch)))
	o := &order{c: c}
	for parts := range slices.Chunk(random.Perm(len(c.has)), window) {
		w := span{start: len(o.places)}
		for _, part := range parts {
			before := len(o.places)
			for row, has := range c.has[part] {
				if has.meets(needs) {
					o.places = append(o.places, place{part, row})
				}
			}
			if len(o.places) > before {
				w.parts = append(w.parts, part)
			}
		}
		shuffled := o.places[w.start:]
		random.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if w.end = len(o.places); w.end > w.start {
			o.windows = append(o.windows, w)
		}
	}
	return o
}

// fetch reads the prompts numbered from to below to; the numbers must not fall from call to call.
func (o *order) fetch(ctx context.Context, from, to int) ([]prompt, error) {
	out := make([]prompt, 0, to-from)
	for i := from; i < to; i++ {
		for o.begun < len(o.windows) && o.windows[max(0, o.begun-1)].start <= i { // up to the window after that of i
			if w := o.windows[o.begun]; w.end > i {
				o.c.read.Ahead(w.parts...)
			}
			o.begun++
		}
		prompts, err := o.c.read.Get(ctx, o.places[i].part)
		if err != nil {
			return nil, err
		}
		out = append(out, prompts[o.places[i].row])
	}
	return out, nil
}

// depth is the number of batches that are laid out before they are needed.
const depth = 4

// laid is a batch laid out for the graph, but for its weights: those may depend on the training so far.
type laid struct {
	prompts  []prompt
	examples []*example
	counts   global
	micros   []*micro
}

// tokens is the number of positions fed, padding not counted.
func (b *laid) tokens() int {
	n := 0
	for _, e := range b.examples {
		n += e.Inputs()
	}
	return n
}

// ahead lays out an epoch's batches from the state's step on, in the background.
func (t *trainer) ahead(ctx context.Context, e epoch) *prefetch.Batches[*laid] {
	order := t.corpus.order(t.o.Seed, e.number, e.needs)
	return prefetch.NewBatches(ctx, t.state.Step-e.first, e.batches, depth, func(ctx context.Context, at int) (*laid, error) {
		prompts, err := order.fetch(ctx, at*t.o.BatchPrompts, min(len(order.places), (at+1)*t.o.BatchPrompts))
		if err != nil {
			return nil, err
		}
		examples, g := collect(prompts, e.needs)
		return &laid{prompts, examples, g, layOut(examples, t.o)}, nil
	})
}
