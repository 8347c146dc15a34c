package reverse

import (
	"fmt"
	"maps"
	"slices"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/decoder/lowrank"
)

// back maps the gradient at an operation's result to that at its input, recording the weights' on the way.
type back func(gradient *Node) *Node

// Tape is one pass being built. Use: New, then Pick and Head for each head, then Gradients once.
type Tape struct {
	c     decoder.Config
	scope *model.Scope
	g     *Graph
	b, s  int

	hidden    *Node // [T, D] after the last norm, without its weight
	backs     []back
	atHidden  *Node // gradient at hidden, summed over heads
	gradients map[string]*Node
	norm      string // the last norm's weight
	embedding string

	tables    tables
	packing   *packing // nil: one text a row
	transpose map[*Node]*Node
	effective map[string]*Node // weights with their low-rank additions
}

// architecture is what the tape needs to know of one kind of decoder.
type architecture struct {
	embedding, norm string
	block           func(t *Tape, x *Node, layer int) (*Node, back)
	center          bool // the norm subtracts the mean
}

var architectures = map[string]architecture{
	"LlamaForCausalLM":               {"model.embed_tokens.weight", "model.norm.weight", (*Tape).llamaBlock, false},
	"LlamaForSequenceClassification": {"model.embed_tokens.weight", "model.norm.weight", (*Tape).llamaBlock, false},
	"MptForCausalLM":                 {"transformer.wte.weight", "transformer.norm_f.weight", (*Tape).mptBlock, true},
	"MPTForCausalLM":                 {"transformer.wte.weight", "transformer.norm_f.weight", (*Tape).mptBlock, true},
}

// Supports reports whether the tape knows an architecture, without options such as biases or scaled positions.
func Supports(c decoder.Config) bool {
	_, ok := architectures[c.Architecture]
	return ok && c.Plain()
}

// Architectures are the names that the tape knows, sorted.
func Architectures() []string { return slices.Sorted(maps.Keys(architectures)) }

// New runs tokens [B, S] int32 forward. It panics on an architecture that Supports refuses.
func New(scope *model.Scope, c decoder.Config, tokens *Node) *Tape {
	return build(scope, c, tokens, nil)
}

func build(scope *model.Scope, c decoder.Config, tokens *Node, packed *packing) *Tape {
	a, ok := architectures[c.Architecture]
	if !ok {
		panic(fmt.Sprintf("no backward pass for architecture %s", c.Architecture))
	}
	d := tokens.Shape().Dimensions
	t := &Tape{c: c, scope: scope, g: tokens.Graph(), b: d[0], s: d[1], norm: a.norm, embedding: a.embedding, gradients: map[string]*Node{}, transpose: map[*Node]*Node{}, effective: map[string]*Node{}, tables: tables{masks: map[string]*Node{}}, packing: packed}
	rows := Reshape(tokens, t.b*t.s, 1)
	x := Gather(t.weight(a.embedding), rows)
	t.push(func(d *Node) *Node {
		t.scatter(a.embedding, rows, d)
		return nil
	})
	for l := range c.Layers {
		y, undo := a.block(t, x, l)
		t.push(t.again(a, x, l, undo))
		x = y
	}
	y, undo := t.normalize(x, a.center)
	t.push(undo)
	t.hidden = y
	return t
}

// again is a block's way back. With Compute.Recompute it computes the block anew when the gradient has arrived, from its
// input alone, so that nothing of the first time is kept.
func (t *Tape) again(a architecture, x *Node, layer int, undo back) back {
	if !t.c.Compute.Recompute {
		return undo
	}
	return func(d *Node) *Node {
		_, undo := a.block(t, SchedulingBarrier(x, d), layer)
		return undo(d)
	}
}

func (t *Tape) push(b back) { t.backs = append(t.backs, b) }

// weight is a variable's value, with its low-rank addition if the store has one.
func (t *Tape) weight(name string) *Node {
	if w := t.effective[name]; w != nil {
		return w
	}
	w := t.variable(name).NodeValue(t.g)
	if low := lowrank.Of(t.scope.Store(), t.g, lowrank.Module(name)); low != nil {
		w = low.Added(w)
		t.effective[name] = w
	}
	return w
}

func (t *Tape) variable(name string) *model.Variable {
	v := t.scope.Store().GetVariable(decoder.Path(name))
	if v == nil {
		panic("weight " + name + " is not in the store")
	}
	return v
}

// record adds to a weight's gradient; a frozen one has none.
func (t *Tape) record(name string, gradient *Node) {
	if !t.variable(name).Trainable {
		return
	}
	if before := t.gradients[name]; before != nil {
		gradient = Add(before, gradient)
	}
	t.gradients[name] = gradient
}

// recordProduct records the gradient of a matrix, which is dᵀ·x times row, the whole, or those of its low-rank factors.
func (t *Tape) recordProduct(name string, whole, d, x, row *Node) {
	module := lowrank.Module(name)
	if low := lowrank.Of(t.scope.Store(), t.g, module); low != nil {
		nameA, nameB := lowrank.Names(module)
		a, b := low.Back(d, x, row)
		t.record(nameA, a)
		t.record(nameB, b)
	}
	t.record(name, whole)
}

// scatter adds rows' gradients [T, D] to the rows of an embedding's.
func (t *Tape) scatter(name string, rows, d *Node) {
	if !t.variable(name).Trainable {
		return
	}
	before := t.gradients[name]
	if before == nil {
		before = Zeros(t.g, t.weight(name).Shape())
	}
	t.gradients[name] = ScatterSum(before, rows, d, false, false)
}

// Rows are hidden states that a head reads.
type Rows struct {
	tape  *Tape
	index *Node
	value *Node // [A, D]
}

// Pick chooses the rows of a head: index [A] int32 in [0, B·S).
func (t *Tape) Pick(index *Node) *Rows {
	at := Reshape(index, index.Shape().Dimensions[0], 1)
	return &Rows{tape: t, index: at, value: Gather(t.hidden, at)}
}

// HeadName is the weight of the language-model head.
func (t *Tape) HeadName() string {
	if t.c.Tied {
		return t.embedding
	}
	return "lm_head.weight"
}

// Head multiplies the rows, scaled by the last norm's weight, by a named weight [n, D], giving [A, n]. Call the returned
// function once with the loss's gradient at that result.
func (r *Rows) Head(name string) (out *Node, backward func(gradient *Node)) {
	t := r.tape
	scaled, undo := t.scaled(t.norm, name)
	out, undoLinear := t.linear(r.value, scaled)
	return out, func(gradient *Node) {
		d, dw := undoLinear(gradient)
		undo(dw, gradient, r.value)
		if t.atHidden == nil {
			t.atHidden = Zeros(t.g, t.hidden.Shape())
		}
		t.atHidden = ScatterSum(t.atHidden, r.index, d, false, false)
	}
}

// Gradients runs backward from the heads and returns the gradient of every weight by its tensor name. Weights that no
// head reaches are missing.
func (t *Tape) Gradients() map[string]*Node {
	d := t.atHidden
	for _, b := range slices.Backward(t.backs) {
		d = b(d)
	}
	return maps.Clone(t.gradients)
}

// ones is a [rows, columns] constant.
func (t *Tape) ones(rows, columns int) *Node {
	return Ones(t.g, shapes.Make(dtypes.Float32, rows, columns))
}
