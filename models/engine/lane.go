package engine

import (
	"fmt"
	"slices"
	"time"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
)

// cacheBytes bounds the cache of one lane.
const cacheBytes = 2 << 30

// lane is one running batch: a fixed number of rows, each with its places in the cache. A step computes a token for every
// row, whether it holds a generation or not; generations join free rows and leave when they are done. The shapes are
// those of the request alone, so a result does not depend on what else the lane holds.
type lane struct {
	e      *Engine
	places int
	rows   []*generation // nil where a row is free
	// next [R] is each row's last token, starts [R] its position.
	next, starts []int32
	// cache holds keys and values of each layer; nil before the first join.
	cache []*tensors.Tensor
	// admitted counts the generations taken in; joined is how long the last join took, lastJoin when it ended.
	admitted int
	joined   time.Duration
	lastJoin time.Time
}

func newLane(e *Engine, places int) *lane {
	r := e.laneRows(places)
	return &lane{e: e, places: places, rows: make([]*generation, r), next: make([]int32, r), starts: make([]int32, r)}
}

// laneRows is the number of rows of a lane with so many places a row.
func (e *Engine) laneRows(places int) int {
	row := 8 * places * e.config.Layers * e.config.KVHeads * e.config.HeadDim
	return max(1, min(e.options.BatchRows, cacheBytes/row))
}

// joinRows is the number of prompts of a length that are read at once.
func (e *Engine) joinRows(length int) int {
	return max(1, min(e.options.BatchRows/4, e.options.BatchTokens/length))
}

// places is the room of a request in the cache.
func (e *Engine) places(r GenerateRequest) int {
	n := bucket(len(r.PromptIDs)) + r.MaxTokens
	places := 32
	for places < n {
		if places += places / 2; places < n {
			places = places / 3 * 4
		}
	}
	return places
}

// run lets generations join, step and leave until none is left.
func (l *lane) run() {
	if len(l.rows) > 1 {
		time.Sleep(patience)
	}
	defer l.drop()
	for {
		l.sweep()
		joining, closed := l.e.generate.take(l, l.free())
		if closed {
			return
		}
		if len(joining) > 0 {
			start := time.Now()
			l.compute(func() error { return l.join(joining) })
			l.lastJoin = time.Now()
			l.joined = l.lastJoin.Sub(start)
			continue
		}
		l.compute(l.step)
	}
}

// sweep frees the rows whose caller has gone.
func (l *lane) sweep() {
	ending := l.e.generate.ending()
	for i, g := range l.rows {
		switch {
		case g == nil:
		case ending:
			g.finish(ErrClosed)
			l.rows[i] = nil
		case g.ctx.Err() != nil:
			l.rows[i] = nil
		}
	}
}

func (l *lane) free() (n int) {
	for _, g := range l.rows {
		if g == nil {
			n++
		}
	}
	return n
}

// compute runs f in a place for computations. After an error all rows end with it and the cache is begun anew.
func (l *lane) compute(f func() error) {
	l.e.slots <- struct{}{}
	defer func() { <-l.e.slots }()
	err := l.e.guard(f)
	if err == nil {
		return
	}
	for i, g := range l.rows {
		if g != nil {
			g.finish(fmt.Errorf("generating with %s: %w", l.e.dir, err))
			l.rows[i] = nil
		}
	}
	l.drop()
}

// drop frees the cache.
func (l *lane) drop() {
	for _, t := range l.cache {
		t.MustFinalizeAll()
	}
	l.cache = nil
}

// join gives each of joining a free row and its first token. Equal prompts are read once.
func (l *lane) join(joining []*generation) error {
	length := bucket(len(joining[0].request.PromptIDs))
	j := l.e.joinRows(length)
	r := len(l.rows)
	from := make([]int32, r) // for each row, where its cache comes from: row i is i, prompt p is r + p
	for i := range from {
		from[i] = int32(i)
	}
	var prompts [][]int32
	var firsts, places []int // of each of joining: its prompt and its row
	for _, g := range joining {
		p := slices.IndexFunc(prompts, func(ids []int32) bool { return slices.Equal(ids, g.request.PromptIDs) })
		if p < 0 {
			p = len(prompts)
			prompts = append(prompts, g.request.PromptIDs)
		}
		row := slices.Index(l.rows, nil)
		l.rows[row] = g
		from[row] = int32(r + p)
		firsts, places = append(firsts, p), append(places, row)
	}
	lengths := make([]int32, j)
	for p := range lengths {
		lengths[p] = 1
		if p < len(prompts) {
			lengths[p] = int32(len(prompts[p]))
		}
	}
	x, err := l.joiner()
	if err != nil {
		return err
	}
	if l.cache == nil {
		l.clear()
	}
	logits, err := l.call(x, tokens(shape{rows: j, length: length}, prompts, 0), vector(lengths, j), vector(from, r))
	if err != nil {
		return err
	}
	v := l.e.VocabSize()
	for i, row := range places {
		l.starts[row] = int32(len(prompts[firsts[i]])) - 1
		if err := l.take(row, slices.Clone(logits[firsts[i]*v:(firsts[i]+1)*v])); err != nil {
			return err
		}
	}
	return nil
}

// step computes the next token of every row.
func (l *lane) step() error {
	r := len(l.rows)
	for i, g := range l.rows {
		if g == nil {
			l.next[i], l.starts[i] = 0, 0
		}
	}
	x, err := l.stepper()
	if err != nil {
		return err
	}
	logits, err := l.call(x, vector(l.next, r, 1), vector(l.starts, r))
	if err != nil {
		return err
	}
	v := l.e.VocabSize()
	for i, g := range l.rows {
		if g != nil {
			if err := l.take(i, logits[i*v:(i+1)*v]); err != nil {
				return err
			}
		}
	}
	return nil
}

// take draws a row's next token from logits [V] and frees the row when its generation is done.
func (l *lane) take(row int, logits []float32) error {
	g := l.rows[row]
	id, err := g.take(logits, l.e.format)
	if err != nil {
		return err
	}
	l.next[row] = id
	l.starts[row]++
	if g.ended {
		g.finish(nil)
		l.rows[row] = nil
	}
	return nil
}

// call runs a function of inputs and the cache, keeps the new cache and returns the logits.
func (l *lane) call(x *model.Exec, inputs ...any) ([]float32, error) {
	for _, t := range l.cache {
		donated, err := DonateTensorBuffer(t, l.e.backend, 0)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, donated)
	}
	l.cache = nil
	out, err := x.Call(inputs...)
	if err != nil {
		return nil, err
	}
	l.cache = out[1:]
	defer out[0].MustFinalizeAll()
	return tensors.CopyFlatData[float32](out[0])
}

// clear makes the cache of zeros.
func (l *lane) clear() {
	c := l.e.config
	r := len(l.rows)
	for range c.Layers {
		for _, dims := range [][]int{{r * c.KVHeads, c.HeadDim, l.places}, {r * c.KVHeads, l.places, c.HeadDim}} {
			l.cache = append(l.cache, tensors.FromFlatDataAndDimensions(make([]float32, dims[0]*dims[1]*dims[2]), dims...))
		}
	}
}

func vector(x []int32, dims ...int) *tensors.Tensor {
	return tensors.FromFlatDataAndDimensions(slices.Clone(x), dims...)
}

// joiner maps prompts [J, S], lengths [J], from [R] and the cache to the logits [J, V] after the prompts and the cache
// whose row r is row from[r] of the old one, or of the prompts' from R on.
func (l *lane) joiner() (*model.Exec, error) {
	e, places := l.e, l.places
	return e.exec(fmt.Sprintf("join with %d places", places), func() (*model.Exec, error) {
		return model.NewExec(e.backend, e.store, func(scope *model.Scope, in []*Node) []*Node {
			lengths, from, old := in[1], in[2], in[3:]
			hidden, fresh := e.network.Begin(scope, in[0], lengths, places)
			last := Reshape(AddScalar(lengths, -1), lengths.Shape().Size(), 1)
			out := []*Node{e.network.Head(scope, decoder.Pick(hidden, last))}
			for i, kv := range fresh {
				kv = decoder.KV{K: old[2*i], V: old[2*i+1]}.Mix(kv, from)
				out = append(out, kv.K, kv.V)
			}
			return out
		})
	})
}

// stepper maps tokens [R, 1], their positions [R] and the cache to the logits [R, V] after them and the cache with them.
func (l *lane) stepper() (*model.Exec, error) {
	e := l.e
	return e.exec(fmt.Sprintf("step with %d places", l.places), func() (*model.Exec, error) {
		return model.NewExec(e.backend, e.store, func(scope *model.Scope, in []*Node) []*Node {
			cache := make([]decoder.KV, e.config.Layers)
			for i := range cache {
				cache[i] = decoder.KV{K: in[2+2*i], V: in[3+2*i]}
			}
			hidden := e.network.Continue(scope, in[0], in[1], cache)
			out := []*Node{e.network.Head(scope, Reshape(hidden, in[0].Shape().Dimensions[0], e.config.Dim))}
			for _, layer := range cache {
				out = append(out, layer.K, layer.V)
			}
			return out
		})
	})
}
