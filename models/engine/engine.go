package engine

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/processor"
)

// ErrTooLong means that a request does not fit the model's context.
var ErrTooLong = errors.New("too_long")

// ErrClosed means that the engine was closed.
var ErrClosed = errors.New("engine is closed")

// Options of an engine. The zero value is usable.
type Options struct {
	// Backend is what processor.Open takes; "" means processor.Default.
	Backend string
	// BatchRows is the largest number of sequences of a batch; 0 means 32.
	BatchRows int
	// BatchTokens bounds rows times length of a teacher-forcing batch; 0 means 2048.
	BatchTokens int
	// Batches is how many batches are computed side by side; 0 means one a processor, at most 4. A result does not depend
	// on it.
	Batches int
	// Format says how conversations become tokens.
	Format chat.Options
}

// Engine is one loaded model. All methods may be called from many goroutines.
type Engine struct {
	dir     string
	options Options
	format  *chat.Format
	network *decoder.Model
	config  decoder.Config
	store   *model.Store
	backend compute.Backend

	score    *batcher[tree, []ScoreResult]
	reward   *batcher[tree, []float64]
	generate *scheduler
	slots    chan struct{} // a place for each computation that runs

	building sync.Mutex // guards execs
	execs    map[string]*model.Exec
}

// Open loads a model directory: config.json, weights, tokenizer files. A tokenizer with more ids than the model has
// embeddings is an error that names both sizes.
func Open(dir string, o Options) (*Engine, error) {
	if o.BatchRows == 0 {
		o.BatchRows = 32
	}
	if o.BatchTokens == 0 {
		o.BatchTokens = 2048
	}
	if o.Batches == 0 {
		o.Batches = min(4, runtime.GOMAXPROCS(0))
	}
	c, format, err := Check(dir, o.Format)
	if err != nil {
		return nil, err
	}
	store, err := decoder.LoadStore(dir, c)
	if err != nil {
		return nil, err
	}
	if err := decoder.Turn(store, c); err != nil {
		return nil, fmt.Errorf("model %s: %w", dir, err)
	}
	computes, err := processor.Open(o.Backend)
	if err != nil {
		return nil, err
	}
	e := &Engine{dir: dir, options: o, format: format, network: decoder.New(c).Frozen(), config: c, store: store, backend: computes, execs: map[string]*model.Exec{}}
	e.slots = make(chan struct{}, o.Batches)
	e.generate = newScheduler(e)
	busy := func() bool { return len(e.slots) > 0 || e.generate.active() }
	e.score = newBatcher(e.slots, busy, e.scoreKey, e.scoreBatch)
	e.reward = newBatcher(e.slots, busy, e.scoreKey, e.rewardBatch)
	return e, nil
}

// Check reads a model directory's configuration, tokenizer and the weights' headers, and checks that they fit, without
// loading weights.
func Check(dir string, o chat.Options) (decoder.Config, *chat.Format, error) {
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		return c, nil, err
	}
	format, err := chat.Load(dir, o)
	if err != nil {
		return c, nil, err
	}
	if n := format.Tokenizer().Size(); n > c.VocabSize() {
		return c, nil, fmt.Errorf("model %s: its tokenizer has %d ids, its config.json a vocab_size of %d: the tokenizer belongs to another model", dir, n, c.VocabSize())
	}
	return c, format, decoder.CheckWeights(dir, c)
}

// Format is the model's way of turning conversations into tokens.
func (e *Engine) Format() *chat.Format { return e.format }

// Context is the longest sequence in tokens, prompt and text together.
func (e *Engine) Context() int { return e.config.Context() }

// VocabSize is the number of logits V.
func (e *Engine) VocabSize() int { return e.config.VocabSize() }

// Close ends the batchers and frees the weights; waiting calls get ErrClosed.
func (e *Engine) Close() error {
	e.score.close()
	e.reward.close()
	e.generate.close()
	for _, x := range e.execs {
		x.Finalize()
	}
	e.store.Finalize()
	e.backend.Finalize()
	return nil
}

// guard runs f and turns a panic of the graph library into an error.
func (e *Engine) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("running model %s: %v", e.dir, p)
		}
	}()
	return f()
}

// exec is the compiled function of a name, made at its first use.
func (e *Engine) exec(name string, build func() (*model.Exec, error)) (*model.Exec, error) {
	e.building.Lock()
	defer e.building.Unlock()
	if x, ok := e.execs[name]; ok {
		return x, nil
	}
	x, err := build()
	if err != nil {
		return nil, fmt.Errorf("building the %s graph of %s: %w", name, e.dir, err)
	}
	x.SetMaxCache(-1)
	e.execs[name] = x
	return x, nil
}

// bucket rounds a length up to a multiple of 16 below 128 and of an eighth of the next power of two above, so that the
// number of shapes stays small and the padding below a fifth or so.
func bucket(n int) int {
	step := 16
	for n > 8*step {
		step *= 2
	}
	return (n + step - 1) / step * step
}
