package engine

import (
	"context"
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Logits are the model's raw logits after each of ids: [n, V], row t being those after ids[0..t]. A text over the context
// is ErrTooLong. Calls are not batched: this is for looking at single texts.
func (e *Engine) Logits(ctx context.Context, ids []int32) ([]float32, error) {
	if e.config.Reward() {
		return nil, fmt.Errorf("reading with %s: a reward model has no logits", e.dir)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("reading with %s: no tokens", e.dir)
	}
	if err := e.fits(len(ids), ids); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var logits []float32
	err := e.guard(func() error {
		x, err := e.exec("logits", func() (*model.Exec, error) {
			return model.NewExec(e.backend, e.store, func(scope *model.Scope, ids *Node) *Node { return e.network.Logits(scope, ids) })
		})
		if err != nil {
			return err
		}
		length := min(bucket(len(ids)), e.Context())
		logits, err = run1(x, tokens(shape{rows: 1, length: length}, [][]int32{ids}, 0))
		return err
	})
	if err != nil {
		return nil, err
	}
	return logits[:len(ids)*e.VocabSize()], nil
}
