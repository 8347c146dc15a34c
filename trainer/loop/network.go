package loop

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/reverse"
)

// Network is a decoder in training: heads on chosen positions and, once each head has got its gradient, the gradients of
// all weights. Two implementations give the same numbers: a hand-written backward pass where it is faster (the Go
// backend), automatic differentiation elsewhere.
type Network interface {
	// Rows reads hidden states at flat places index [A] of the B·S positions and multiplies them by the language-model
	// head, or by the named weight [n, D] when name is not "": [A, n]. Call the function once with the loss's gradient there.
	Rows(index *graph.Node, name string) (out *graph.Node, backward func(gradient *graph.Node))
	// Gradients ends the pass.
	Gradients() map[string]*graph.Node
}

// Trainable refuses, with the reason, a model that no hand-written backward pass covers: it can be a source, not a target.
func Trainable(c decoder.Config) error {
	if reverse.Supports(c) {
		return nil
	}
	known := reverse.Architectures()
	for _, name := range known {
		if name == c.Architecture {
			return fmt.Errorf("a %s with options (biases, scaled or partial rotary positions, another activation, clip_qkv, softmax_scale) cannot be trained, only read", name)
		}
	}
	return fmt.Errorf("architecture %s cannot be trained, only read; %s can", c.Architecture, strings.Join(known, ", "))
}

// Precisions of a training's products.
const (
	// Float32 computes them as the weights are stored.
	Float32 = "float32"
	// BFloat16 computes them in bfloat16, see decoder.Compute.
	BFloat16 = "bfloat16"
)

// Computing is a configuration whose graphs are computed in a precision, and with gradient checkpointing if recompute is
// true, on the backend of a configuration string.
func Computing(c decoder.Config, backend, precision string, recompute bool) (decoder.Config, error) {
	switch precision {
	case "", Float32:
	case BFloat16:
		if !strings.HasPrefix(backend, "xla") {
			return c, errors.New("trainer.precision: bfloat16 needs an XLA backend (trainer.backend: xla:/path/to/plugin.so); on the Go backend it would be slower than float32 and take as much memory")
		}
		c.Compute.BFloat16 = true
	default:
		return c, fmt.Errorf("trainer.precision: %q; float32 and bfloat16 are known", precision)
	}
	c.Compute.Recompute = recompute
	return c, nil
}

// NewNetwork runs tokens [B, S] forward on the graph's backend, computed as c.Compute says. Tokens [3, B, S] are packed
// rows: tokens, positions and blocks, as reverse.NewPacked takes them; blocks count from 1, since decoder.Tree's block 0
// would be a text that all see.
func NewNetwork(scope *model.Scope, c decoder.Config, tokens *graph.Node) Network {
	tokens, positions, blocks := reverse.Unstack(tokens)
	if reverse.Supports(c) && !c.Compute.BFloat16 && tokens.Graph().Backend().Name() == decoder.GoBackend {
		if blocks != nil {
			return taped{reverse.NewPacked(scope, c, tokens, positions, blocks)}
		}
		return taped{reverse.New(scope, c, tokens)}
	}
	m := decoder.New(c)
	d := tokens.Shape().Dimensions
	var hidden *graph.Node
	if blocks != nil {
		hidden = m.Tree(scope, tokens, positions, blocks)
	} else {
		hidden = m.Hidden(scope, tokens)
	}
	return &differentiated{scope: scope, m: m, c: c, hidden: graph.Reshape(hidden, d[0]*d[1], c.Dim)}
}

type taped struct{ tape *reverse.Tape }

func (t taped) Rows(index *graph.Node, name string) (*graph.Node, func(*graph.Node)) {
	if name == "" {
		name = t.tape.HeadName()
	}
	return t.tape.Pick(index).Head(name)
}

func (t taped) Gradients() map[string]*graph.Node { return t.tape.Gradients() }

// differentiated sums, over heads, scalars whose derivatives are the gradients given.
type differentiated struct {
	scope    *model.Scope
	m        *decoder.Model
	c        decoder.Config
	hidden   *graph.Node
	backward *graph.Node
}

func (n *differentiated) Rows(index *graph.Node, name string) (*graph.Node, func(*graph.Node)) {
	rows := graph.Gather(n.hidden, graph.Reshape(index, index.Shape().Dimensions[0], 1))
	var out *graph.Node
	if name == "" {
		out = n.m.Head(n.scope, rows)
	} else {
		w := n.scope.Store().GetVariable(decoder.Path(name)).NodeValue(rows.Graph())
		out = graph.Dot(rows, w).General([]int{1}, nil, []int{1}, nil)
	}
	return out, func(gradient *graph.Node) {
		b := objective.Backward(out, gradient)
		if n.backward != nil {
			b = graph.Add(n.backward, b)
		}
		n.backward = b
	}
}

func (n *differentiated) Gradients() map[string]*graph.Node {
	var names []string
	var weights []*graph.Node
	for v := range n.scope.Store().IterVariables() {
		if v.Trainable && v.InUseByGraph(n.hidden.Graph()) {
			names = append(names, decoder.TensorName(v.Path()))
			weights = append(weights, v.NodeValue(n.hidden.Graph()))
		}
	}
	out := map[string]*graph.Node{}
	for i, g := range graph.Gradient(n.backward, weights...) {
		out[names[i]] = g
	}
	return out
}
