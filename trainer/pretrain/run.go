package pretrain

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/result"
)

// step is one batch: its tensors, the number that sums are divided by, and its tokens without padding.
type step struct {
	inputs []any
	count  float64
	tokens int
}

// maxBadSteps is how many steps without a finite gradient, in a row, end a training.
const maxBadSteps = 3

// run does the steps of a training over sequences of these lengths.
func (o *Options) run(ctx context.Context, l *loop.Learner, lengths []int, next func() step, describe func(means []float64) string) error {
	total := o.steps(lengths)
	schedule := optim.Schedule{Peak: o.LearningRate, Warmup: min(o.Warmup, total/2), Total: total, Floor: 0.1}
	progress := loop.NewProgress(o.Log, total)
	bad := 0
	for i := 1; i <= total; i++ {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("stopped at step %d of %d: %w", i, total, err)
		}
		s := next()
		reports, err := l.Accumulate(s.inputs...)
		if err != nil {
			return fmt.Errorf("step %d: %w", i, err)
		}
		rate := schedule.Rate(i)
		norm, err := l.Apply(rate, 1/s.count)
		if errors.Is(err, loop.ErrNotFinite) && bad < maxBadSteps {
			bad++
			fmt.Fprintf(o.Log, "step %d: %v, not applied (%d in a row)\n", i, err, bad)
			continue
		} else if err != nil {
			return fmt.Errorf("step %d: %w; lower the learning rate", i, err)
		}
		bad = 0
		means := make([]float64, len(reports))
		for i, r := range reports {
			means[i] = float64(r[0]) / s.count
		}
		progress.Step(s.tokens, fmt.Sprintf("%s  lr %.3g  grad %.2f", describe(means), rate, norm))
	}
	progress.Finish()
	return nil
}

// save writes the trained model.
func (o *Options) save(store *model.Store, config decoder.Config, format *chat.Format) error {
	m := result.Model{Store: store, Config: config, DType: o.DType, Base: o.tokenizerDir(), Format: format}
	return m.Write(o.Out)
}

// steps is the number of optimizer steps that the options ask for, from the mean number of tokens of a batch.
func (o *Options) steps(lengths []int) int {
	if o.Steps > 0 {
		return o.Steps
	}
	stream := batch.NewStream(lengths, o.BatchTokens, o.Seed)
	var tokens, batches float64 // of one pass, if batches could be broken
	for _, n := range lengths {
		tokens += float64(n)
		batches += 1 / float64(stream.RowsFor(batch.Bucket(n)))
	}
	want := float64(o.Tokens)
	if want == 0 {
		want = tokens
	}
	return max(1, int(math.Round(want/tokens*batches)))
}
