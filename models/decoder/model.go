package decoder

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// Model builds the graphs of one configuration. It holds no weights: those are in the store behind the scope.
type Model struct {
	c Config
	a *architecture
	// frozen graphs have no gradient.
	frozen bool
}

// New makes the graph builder of a configuration that ReadConfig or ParseConfig returned.
func New(c Config) *Model {
	a, err := lookup(c.Architecture)
	if err != nil {
		panic(err)
	}
	return &Model{c: c, a: a}
}

// Frozen is a builder of graphs that have no gradient and spare what is there for its sake.
func (m *Model) Frozen() *Model { return &Model{c: m.c, a: m.a, frozen: true} }

// Config returns the configuration.
func (m *Model) Config() Config { return m.c }

// Hidden maps tokens [B, S] int32 to hidden states [B, S, D] after the last norm. Attention is causal, so whatever
// stands to the right of a row's tokens changes nothing before it.
func (m *Model) Hidden(scope *model.Scope, tokens *Node) *Node {
	return m.run(&pass{scope: scope}, tokens)
}

// Tree is Hidden for rows that hold a text and several continuations of it, one after the other: positions [B, S] (int32)
// count on from the common text along each continuation; branches [B, S] are 0 in the common text and differ from one
// continuation to the next. A token sees the common text before it and its own branch. Padding is a branch of its own.
func (m *Model) Tree(scope *model.Scope, tokens, positions, branches *Node) *Node {
	return m.run(&pass{scope: scope, at: positions, branches: branches}, tokens)
}

// Begin is Hidden for rows of lengths [B] int32 tokens, padded on the right to S, that will be continued: it also returns
// their cache, one entry a layer, with room for n >= S places a row.
func (m *Model) Begin(scope *model.Scope, tokens, lengths *Node, n int) (hidden *Node, cache []KV) {
	p := &pass{scope: scope, lengths: lengths, places: n, cache: make([]KV, m.c.Layers)}
	return m.run(p, tokens), p.cache
}

// Continue is Hidden for tokens that follow what the cache holds: row b's first token has position starts[b] (int32
// [B]), and its places from there on must be free. The entries of cache, one a layer, are replaced by the updated ones.
func (m *Model) Continue(scope *model.Scope, tokens, starts *Node, cache []KV) *Node {
	if len(cache) != m.c.Layers {
		panic(fmt.Sprintf("cache has %d layers, the model %d", len(cache), m.c.Layers))
	}
	return m.run(&pass{scope: scope, starts: starts, cache: cache}, tokens)
}

func (m *Model) run(p *pass, tokens *Node) *Node {
	d := tokens.Shape().Dimensions
	p.c, p.a, p.frozen, p.g, p.b, p.s, p.keys = m.c, m.a, m.frozen, tokens.Graph(), d[0], d[1], d[1]
	if p.starts != nil {
		p.keys = p.cache[0].V.Shape().Dimensions[1]
	}
	x := Gather(p.weight(m.a.embedding+".weight"), Reshape(tokens, p.b*p.s, 1))
	if scale := m.c.v.embeddingScale; scale != 0 {
		x = MulScalar(x, scale)
	}
	return Reshape(m.a.finalNorm(p, p.blocks(x), m.a.norm), p.b, p.s, m.c.Dim)
}

// Head maps hidden states [..., D] to logits [..., V], float32.
func (m *Model) Head(scope *model.Scope, hidden *Node) *Node {
	p := &pass{c: m.c, a: m.a, g: hidden.Graph(), scope: scope}
	name := m.a.embedding
	if !m.c.Tied {
		name = m.a.head
	}
	d := hidden.Shape().Dimensions
	n := hidden.Shape().Size() / m.c.Dim
	logits := p.linear(Reshape(hidden, n, m.c.Dim), name)
	return Reshape(logits, append(append([]int{}, d[:len(d)-1]...), m.c.Vocab)...)
}

// Logits is Head(Hidden(tokens)): [B, S, V].
func (m *Model) Logits(scope *model.Scope, tokens *Node) *Node {
	return m.Head(scope, m.Hidden(scope, tokens))
}

// Reward is the scalar head at each row's last token: tokens [B, S] and last [B] (its index) to [B].
func (m *Model) Reward(scope *model.Scope, tokens, last *Node) *Node {
	b := last.Shape().Dimensions[0]
	return Reshape(m.RewardHead(scope, m.Hidden(scope, tokens), Reshape(last, b, 1)), b)
}

// RewardHead is the scalar head of hidden states [B, S, D] at indices last [B, N]: [B, N].
func (m *Model) RewardHead(scope *model.Scope, hidden, last *Node) *Node {
	if !m.a.reward {
		panic(m.c.Architecture + " has no reward head")
	}
	p := &pass{c: m.c, a: m.a, g: hidden.Graph(), scope: scope}
	return Reshape(p.linear(Pick(hidden, last), "score"), last.Shape().Dimensions...)
}

// Pick takes from hidden states [B, S, D] those at indices at [B, N] (int32): [B·N, D].
func Pick(hidden, at *Node) *Node {
	d := hidden.Shape().Dimensions
	row := Add(MulScalar(Iota(at.Graph(), at.Shape(), 0), float64(d[1])), at)
	return Gather(Reshape(hidden, d[0]*d[1], d[2]), Reshape(row, row.Shape().Size(), 1))
}
