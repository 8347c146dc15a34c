package decoder

import (
	"math"
	"strings"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"
)

// pass is one forward pass being built: B rows of S tokens against N keys.
type pass struct {
	c     Config
	a     *architecture
	g     *Graph
	scope *model.Scope
	b, s  int
	// keys is N: S for rows that begin, the cache's places for rows that continue.
	keys int
	// starts [B] is the position of each row's first token; nil means 0.
	starts *Node
	// lengths [B] are the tokens of rows that begin and get a cache with this many places.
	lengths *Node
	places  int
	// cache holds one entry a layer, made or replaced as the pass goes; nil without a cache.
	cache []KV
	// scoreBias is added to the attention scores [B, H, S, N]: mask and position bias.
	scoreBias *Node
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

// linear multiplies x [T, in] by a named weight.
func (p *pass) linear(x *Node, name string) *Node { return TimesTransposed(x, p.weight(name)) }

// rmsNorm is x / sqrt(mean(x²) + ε) · weight.
func (p *pass) rmsNorm(x *Node, name string) *Node {
	root := Sqrt(AddScalar(ReduceAndKeep(Square(x), ReduceMean, -1), p.c.Epsilon)) // Rsqrt has no gradient in GoMLX
	return Mul(Mul(x, Inverse(root)), ExpandLeftToRank(p.weight(name), 2))
}

// layerNorm is (x - mean) / sqrt(variance + ε) · weight, without bias.
func (p *pass) layerNorm(x *Node, name string) *Node {
	x = Sub(x, ReduceAndKeep(x, ReduceMean, -1))
	return p.rmsNorm(x, name)
}

// heads cuts [T, n·C] into [B, n, S, C].
func (p *pass) heads(x *Node, n int) *Node {
	return TransposeAllAxes(Reshape(x, p.b, p.s, n, p.c.HeadDim), 0, 2, 1, 3)
}

// rope turns each head x [B, n, S, C] by its positions, halves paired as in Hugging Face's rotate_half.
func (p *pass) rope(x *Node) *Node {
	if p.cos == nil {
		p.angles()
	}
	half := p.c.HeadDim / 2
	left, right := SliceAxis(x, -1, AxisRange(0, half)), SliceAxis(x, -1, AxisRange(half, 2*half))
	return Concatenate([]*Node{Sub(Mul(left, p.cos), Mul(right, p.sin)), Add(Mul(right, p.cos), Mul(left, p.sin))}, -1)
}

// angles makes cos and sin of position · θ^(-2i/C), [1 or B, 1, S, C/2].
func (p *pass) angles() {
	half := p.c.HeadDim / 2
	inverse := make([]float32, half)
	for i := range inverse {
		inverse[i] = float32(math.Pow(p.c.RopeTheta, -2*float64(i)/float64(p.c.HeadDim)))
	}
	angle := Mul(ConvertDType(p.positions(), dtypes.Float32), Reshape(Const(p.g, inverse), 1, 1, 1, half))
	p.cos, p.sin = Cos(angle), Sin(angle)
}

// positions of the queries, [1 or B, 1, S, 1] int32.
func (p *pass) positions() *Node {
	at := Iota(p.g, shapes.Make(dtypes.Int32, 1, 1, p.s, 1), 2)
	if p.starts == nil {
		return at
	}
	return Add(at, Reshape(p.starts, p.b, 1, 1, 1))
}

// attend is softmax(q·kᵀ/√C + bias)·v for q [B, H, S, C] and k, v [B, K, S, C], giving [T, H·C]. The H/K query heads of
// a group are stacked along the positions, so that keys and values are never repeated.
func (p *pass) attend(q, k, v *Node, layer int) *Node {
	c := p.c
	stacked := c.Heads / c.KVHeads * p.s
	q = Reshape(MulScalar(q, 1/math.Sqrt(float64(c.HeadDim))), p.b, c.KVHeads, stacked, c.HeadDim)
	var scores *Node
	if p.starts != nil {
		p.cache[layer] = p.cache[layer].write(k, v, p.starts)
		v = p.cache[layer].V
		scores = Dot(q, p.cache[layer].K).General([]int{3}, []int{0, 1}, []int{2}, []int{0, 1})
	} else {
		if p.cache != nil {
			p.cache[layer] = p.firstKV(k, v, p.places)
		}
		scores = Dot(q, k).General([]int{3}, []int{0, 1}, []int{3}, []int{0, 1})
	}
	scores = Add(Reshape(scores, p.b, c.Heads, p.s, p.keys), p.bias())
	weights := Reshape(Softmax(scores, -1), p.b, c.KVHeads, stacked, p.keys)
	out := Dot(weights, v).General([]int{3}, []int{0, 1}, []int{2}, []int{0, 1})
	out = TransposeAllAxes(Reshape(out, p.b, c.Heads, p.s, c.HeadDim), 0, 2, 1, 3)
	return Reshape(out, p.b*p.s, c.Heads*c.HeadDim)
}

// bias is the causal mask, -1e9 at later keys, plus the architecture's own; the same for all layers.
func (p *pass) bias() *Node {
	if p.scoreBias != nil {
		return p.scoreBias
	}
	later := GreaterThan(Iota(p.g, shapes.Make(dtypes.Int32, 1, 1, 1, p.keys), 3), p.positions())
	p.scoreBias = MulScalar(ConvertDType(later, dtypes.Float32), -1e9)
	if p.a.bias != nil {
		p.scoreBias = Add(p.scoreBias, p.a.bias(p))
	}
	return p.scoreBias
}
