package decoder

import (
	"math"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder/lowrank"
)

// pass is one forward pass being built: B rows of S tokens against N keys.
type pass struct {
	c Config
	a *architecture
	// frozen means that nobody asks for gradients.
	frozen bool
	g      *Graph
	scope  *model.Scope
	b, s   int
	// keys is N: S for rows that begin, the cache's places for rows that continue.
	keys int
	// starts [B] is the position of each row's first token; nil means 0.
	starts *Node
	// at [B, S] are the tokens' positions and branches [B, S] their branches in rows that are trees; nil for others.
	at, branches *Node
	// lengths [B] are the tokens of rows that begin and get a cache with this many places.
	lengths *Node
	places  int
	// cache holds one entry a layer, made or replaced as the pass goes; nil without a cache.
	cache []KV
	// scoreBias is added to the attention scores [B, H, S, N]: mask and position bias, by window.
	scoreBias map[int]*Node
	cos, sin  *Node
}

// Path is the variable path of a tensor name.
func Path(name string) string { return "/" + strings.ReplaceAll(name, ".", "/") }

// TensorName is the inverse of Path.
func TensorName(path string) string {
	return strings.ReplaceAll(strings.TrimPrefix(path, "/"), "/", ".")
}

// weight is a variable's value.
func (p *pass) weight(name string) *Node {
	v := p.scope.Store().GetVariable(Path(name))
	if v == nil {
		panic("weight " + name + " is not in the store")
	}
	return v.NodeValue(p.g)
}

// matrix is a weight as products take it.
func (p *pass) matrix(name string) *Node {
	w := p.weight(name)
	if p.c.Compute.BFloat16 {
		w = ConvertDType(w, dtypes.BFloat16)
	}
	return w
}

// linear multiplies x [T, in] by a named matrix, name.weight, and adds name.bias where there is one.
func (p *pass) linear(x *Node, name string) *Node {
	if turned := p.turned(name); turned != nil {
		return p.addBias(Dot(x, turned).General([]int{1}, nil, []int{0}, nil), name)
	}
	y := TimesTransposed(x, p.matrix(name+".weight"))
	if low := lowrank.Of(p.scope.Store(), p.g, name); low != nil {
		y = Add(y, low.Times(x, 0, low.B.Shape().Dimensions[0]))
	}
	return p.addBias(y, name)
}

// turned is the matrix [in, out] that Turn made of name.weight, nil if there is none.
func (p *pass) turned(name string) *Node {
	if v := p.scope.Store().GetVariable(Path(turnedName(name + ".weight"))); v != nil {
		return v.NodeValue(p.g)
	}
	return nil
}

// addBias adds name.bias to x [T, n] where the model has one.
func (p *pass) addBias(x *Node, name string) *Node {
	if p.scope.Store().GetVariable(Path(name+".bias")) == nil {
		return x
	}
	return Add(x, ExpandLeftToRank(p.weight(name+".bias"), 2))
}

// blocks runs x through all layers.
func (p *pass) blocks(x *Node) *Node {
	for l := range p.c.Layers {
		if p.c.Compute.Recompute {
			x = x.Checkpoint()
		}
		x = p.a.block(p, x, l)
	}
	if p.c.Compute.Recompute {
		x = x.StopCheckpoint()
	}
	return x
}

// rmsNorm is x / sqrt(mean(x²) + ε) · weight, or · (1 + weight) in Gemma, over the last axis.
func (p *pass) rmsNorm(x *Node, name string) *Node {
	w := p.weight(name + ".weight")
	if p.c.v.normPlusOne {
		w = OnePlus(w)
	}
	root := Sqrt(AddScalar(ReduceAndKeep(Square(x), ReduceMean, -1), p.c.Epsilon)) // Rsqrt has no gradient in GoMLX
	return Mul(Mul(x, Inverse(root)), ExpandLeftToRank(w, x.Rank()))
}

// layerNorm is (x - mean) / sqrt(variance + ε) · weight + bias, the last where there is one.
func (p *pass) layerNorm(x *Node, name string) *Node {
	x = Sub(x, ReduceAndKeep(x, ReduceMean, -1))
	return p.addBias(p.rmsNorm(x, name), name)
}

// activate is the feed-forward layer's activation.
func (p *pass) activate(x *Node) *Node {
	if p.frozen && p.c.v.activation == "silu" {
		return siluValue(x)
	}
	return activations[p.c.v.activation](x)
}

// activations by the names of transformers. The tanh of the approximate GELU is written by its sigmoid:
// (1 + tanh(u))/2 = σ(2u).
var activations = map[string]func(*Node) *Node{
	"silu":              func(x *Node) *Node { return Mul(x, FastSigmoid(x)) },
	"gelu":              func(x *Node) *Node { return Mul(MulScalar(x, 0.5), OnePlus(Erf(MulScalar(x, 1/math.Sqrt2)))) },
	"gelu_pytorch_tanh": tanhGELU,
	"gelu_new":          tanhGELU,
	"gelu_fast":         tanhGELU,
}

// tanhGELU is x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))/2. Source: Hendrycks and Gimpel 2016 (arXiv 1606.08415).
func tanhGELU(x *Node) *Node {
	u := Mul(x, AddScalar(MulScalar(Square(x), 0.044715), 1))
	return Mul(x, FastSigmoid(MulScalar(u, 2*math.Sqrt(2/math.Pi))))
}

// heads cuts [T, n·C] into [B, n, S, C].
func (p *pass) heads(x *Node, n int) *Node {
	return TransposeAllAxes(Reshape(x, p.b, p.s, n, p.c.HeadDim), 0, 2, 1, 3)
}

// attend is softmax(scale·q·kᵀ + bias)·v, scale being 1/√C if not given, for q [B, H, S, C] and k, v [B, K, S, C], giving [T, H·C]. The H/K query heads of
// a group are stacked along the positions, so that keys and values are never repeated.
func (p *pass) attend(q, k, v *Node, layer int) *Node {
	c := p.c
	stacked := c.Heads / c.KVHeads * p.s
	scale := c.v.scoreScale
	if scale == 0 {
		scale = 1 / math.Sqrt(float64(c.HeadDim))
	}
	q = Reshape(MulScalar(q, scale), p.b*c.KVHeads, stacked, c.HeadDim)
	k, v = Reshape(k, p.b*c.KVHeads, p.s, c.HeadDim), Reshape(v, p.b*c.KVHeads, p.s, c.HeadDim)
	switch {
	case p.starts != nil:
		p.cache[layer] = p.cache[layer].write(k, v, p.starts)
		k, v = p.cache[layer].K, p.cache[layer].V
	case p.cache != nil:
		p.cache[layer] = p.firstKV(k, v)
		fallthrough
	default:
		k = TransposeAllAxes(k, 0, 2, 1)
	}
	scores := p.product(q, []int{2}, []int{0}, k, []int{1}, []int{0})
	scores = Add(Reshape(scores, p.b, c.Heads, p.s, p.keys), p.bias(c.v.windowOf(layer)))
	weights := Reshape(Softmax(scores, -1), p.b*c.KVHeads, stacked, p.keys)
	out := p.product(weights, []int{2}, []int{0}, v, []int{1}, []int{0})
	out = TransposeAllAxes(Reshape(out, p.b, c.Heads, p.s, c.HeadDim), 0, 2, 1, 3)
	return Reshape(out, p.b*p.s, c.Heads*c.HeadDim)
}

// bias is the causal mask, -1e9 at later keys and at those a window or more before, plus the architecture's own; the
// same for all layers of one window, 0 being none.
func (p *pass) bias(window int) *Node {
	if b := p.scoreBias[window]; b != nil {
		return b
	}
	keys := p.keyPositions()
	masked := GreaterThan(keys, p.positions())
	if p.branches != nil {
		of := Reshape(p.branches, p.b, 1, 1, p.s)
		other := LogicalAnd(NotEqual(of, ZerosLike(of)), NotEqual(of, Reshape(p.branches, p.b, 1, p.s, 1)))
		masked = LogicalOr(masked, other)
	}
	if window > 0 {
		masked = LogicalOr(masked, LessOrEqual(keys, AddScalar(p.positions(), float64(-window))))
	}
	b := MulScalar(ConvertDType(masked, dtypes.Float32), -1e9)
	if p.a.bias != nil {
		b = Add(b, p.a.bias(p))
	}
	if p.scoreBias == nil {
		p.scoreBias = map[int]*Node{}
	}
	p.scoreBias[window] = b
	return b
}

// KV is one layer's cache of N places a row, the K heads of a row in succession. Places that hold no token yet are zero:
// Continue adds to them. Three axes and no more, because the Go backend copies what it must reshape for a product.
type KV struct {
	// K are the keys [B·K, C, N], already turned by their positions. The places come last, because the Go backend
	// multiplies a query by [C, N] five times as fast as by [N, C].
	K *Node
	// V are the values [B·K, N, C].
	V *Node
}

// firstKV is the cache of rows that begin: k and v [B·K, S, C], zeroed behind each row's length, with room for p.places.
func (p *pass) firstKV(k, v *Node) KV {
	there := LessThan(Iota(p.g, shapes.Make(dtypes.Int32, p.b, 1, p.s, 1), 2), Reshape(p.lengths, p.b, 1, 1, 1))
	there = BroadcastToDims(ConvertDType(there, k.DType()), p.b, p.c.KVHeads, p.s, 1)
	mask := Reshape(there, p.b*p.c.KVHeads, p.s, 1)
	k, v = TransposeAllAxes(Mul(k, mask), 0, 2, 1), Mul(v, mask)
	if free := p.places - p.s; free > 0 {
		room := func(dims ...int) *Node { return Zeros(p.g, shapes.Make(k.DType(), dims...)) }
		k = Concatenate([]*Node{k, room(p.b*p.c.KVHeads, p.c.HeadDim, free)}, 2)
		v = Concatenate([]*Node{v, room(p.b*p.c.KVHeads, free, p.c.HeadDim)}, 1)
	}
	return KV{K: k, V: v}
}

// write puts k and v [B·K, S, C] at each row's places starts[b] and after, by adding to the zeros there: the backends do
// it in place where the cache was donated, and the Go backend has no DynamicUpdateSlice.
func (c KV) write(k, v, starts *Node) KV {
	g := k.Graph()
	d := k.Shape().Dimensions
	along := func(axis int, dims ...int) *Node { return Iota(g, shapes.Make(dtypes.Int32, dims...), axis) }
	rows := starts.Shape().Dimensions[0]
	from := Reshape(BroadcastToDims(Reshape(starts, rows, 1), rows, d[0]/rows), d[0], 1, 1)
	places := Add(along(1, d[0], d[1], 1), from)
	at := Concatenate([]*Node{along(0, d[0], d[1], 1), places}, 2)
	v = ScatterSum(c.V, Reshape(at, d[0]*d[1], 2), Reshape(v, d[0]*d[1], d[2]), false, true)
	places = BroadcastToDims(Reshape(places, d[0], d[1], 1, 1), d[0], d[1], d[2], 1)
	at = Concatenate([]*Node{along(0, d[0], d[1], d[2], 1), along(2, d[0], d[1], d[2], 1), places}, 3)
	n := d[0] * d[1] * d[2]
	k = ScatterSum(c.K, Reshape(at, n, 3), Reshape(k, n), false, true)
	return KV{K: k, V: v}
}

// Mix is a cache whose row r, of R, is row from[r] (int32 [R]) of c, or of the rows of other from R on. The Go backend
// gathers element by element; a product with the rows of a unit matrix is exact and four times as fast.
func (c KV) Mix(other KV, from *Node) KV {
	rows := from.Shape().Dimensions[0]
	mix := func(x, y *Node) *Node {
		d := x.Shape().Dimensions
		size := x.Shape().Size() / rows
		y = Reshape(y, y.Shape().Size()/size, size)
		all := Concatenate([]*Node{Reshape(x, rows, size), y}, 0)
		if x.Graph().Backend().Name() != GoBackend {
			return Reshape(Gather(all, Reshape(from, rows, 1)), d...)
		}
		unit := Equal(Reshape(from, rows, 1), Iota(x.Graph(), shapes.Make(dtypes.Int32, rows, all.Shape().Dimensions[0]), 1))
		return Reshape(Dot(ConvertDType(unit, x.DType()), all).General([]int{1}, nil, []int{0}, nil), d...)
	}
	return KV{K: mix(c.K, other.K), V: mix(c.V, other.V)}
}
