package decoder

import (
	"fmt"
	"math"

	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
)

// ropeFields are the rotary positions of a config.json: newer versions of transformers write rope_parameters, older ones
// rope_theta and rope_scaling.
type ropeFields struct {
	Theta      float64         `json:"rope_theta"`
	Portion    *float64        `json:"partial_rotary_factor"`
	Scaling    *ropeScaling    `json:"rope_scaling"`
	Parameters *ropeParameters `json:"rope_parameters"`
}

// ropeParameters are the newer form: all in one.
type ropeParameters struct {
	Theta   float64  `json:"rope_theta"`
	Portion *float64 `json:"partial_rotary_factor"`
	ropeScaling
}

// ropeScaling says how the angles are slowed down for longer texts than the model was first trained on.
type ropeScaling struct {
	Type     string  `json:"rope_type"`
	OldType  string  `json:"type"`
	Factor   float64 `json:"factor"`
	Low      float64 `json:"low_freq_factor"`
	High     float64 `json:"high_freq_factor"`
	Original float64 `json:"original_max_position_embeddings"`
}

// apply sets c's base, portion and scaling; theta and portion are what missing fields mean.
func (r ropeFields) apply(c *Config, theta, portion float64) error {
	s := r.Scaling
	if p := r.Parameters; p != nil {
		if s == nil {
			s = &p.ropeScaling
		}
		if r.Theta == 0 {
			r.Theta = p.Theta
		}
		if r.Portion == nil {
			r.Portion = p.Portion
		}
	}
	if c.RopeTheta = r.Theta; c.RopeTheta == 0 {
		c.RopeTheta = theta
	}
	if r.Portion != nil {
		portion = *r.Portion
	}
	if portion <= 0 || portion > 1 {
		return fmt.Errorf("field partial_rotary_factor: %g must lie in (0, 1]", portion)
	}
	c.v.rotary = int(portion * float64(c.HeadDim))
	if s == nil {
		return nil
	}
	if s.Type == "" {
		s.Type = s.OldType
	}
	if s.Original == 0 {
		s.Original = float64(c.MaxPositions)
	}
	c.v.scaling = *s
	return s.check()
}

// check refuses the kinds that angles does not know, and factors without which it cannot work.
func (s ropeScaling) check() error {
	switch s.Type {
	case "", "default":
		return nil
	case "linear", "dynamic", "llama3":
	default:
		return fmt.Errorf("field rope_scaling: type %q is not supported; known: default, dynamic, linear, llama3", s.Type)
	}
	if s.Factor < 1 {
		return fmt.Errorf("field rope_scaling.factor: %g must be at least 1", s.Factor)
	}
	if s.Type == "llama3" && (s.Low <= 0 || s.High <= s.Low || s.Original <= 0) {
		return fmt.Errorf("field rope_scaling: llama3 needs 0 < low_freq_factor %g < high_freq_factor %g and a positive original_max_position_embeddings %g", s.Low, s.High, s.Original)
	}
	return nil
}

// scaled is whether the angles differ from the plain ones.
func (s ropeScaling) scaled() bool { return s.Type == "linear" || s.Type == "llama3" }

// frequencies are the angles by which a position turns each pair of a head's first rotary values, θ^(-2i/rotary), scaled:
//
//	linear  all divided by factor
//	llama3  with wavelength λ = 2π/f: f/factor above original/low, f below original/high, between them mixed by
//	        m = (original/λ - low)/(high - low), f·(m + (1-m)/factor)
//	dynamic as they are: they change with the length of a text only beyond max_position_embeddings, where Context ends
//
// Source: transformers' modeling_rope_utils, Llama 3.1's model card.
func (c Config) frequencies() []float32 {
	out := make([]float32, c.v.rotary/2)
	s := c.v.scaling
	for i := range out {
		f := math.Pow(c.RopeTheta, -2*float64(i)/float64(c.v.rotary))
		switch s.Type {
		case "linear":
			f /= s.Factor
		case "llama3":
			mix := (s.Original*f/(2*math.Pi) - s.Low) / (s.High - s.Low)
			mix = min(1, max(0, mix))
			f *= mix + (1-mix)/s.Factor
		}
		out[i] = float32(f)
	}
	return out
}

// rope turns each head x [B, n, S, C] by its positions, halves paired as in Hugging Face's rotate_half; values after the
// first rotary ones stay.
func (p *pass) rope(x *Node) *Node {
	if p.cos == nil && p.starts == nil && p.g.Backend().Name() != GoBackend {
		p.cos, p.sin = p.turns()
	} else if p.cos == nil {
		angle := Mul(ConvertDType(p.positions(), dtypes.Float32), Reshape(Const(p.g, p.c.frequencies()), 1, 1, 1, p.c.v.rotary/2))
		p.cos, p.sin = Cos(angle), Sin(angle)
	}
	half := p.c.v.rotary / 2
	left, right := SliceAxis(x, -1, AxisRange(0, half)), SliceAxis(x, -1, AxisRange(half, 2*half))
	parts := []*Node{Sub(Mul(left, p.cos), Mul(right, p.sin)), Add(Mul(right, p.cos), Mul(left, p.sin))}
	if 2*half < p.c.HeadDim {
		parts = append(parts, SliceAxis(x, -1, AxisRange(2*half)))
	}
	return Concatenate(parts, -1)
}

// turns are cos and sin of the angles of rows that begin, [1 or B, 1, S, rotary/2], read from constant tables: XLA would
// compute them again in every product of every layer.
func (p *pass) turns() (cos, sin *Node) {
	f := p.c.frequencies()
	c, s := make([]float32, 0, p.s*len(f)), make([]float32, 0, p.s*len(f))
	for at := range p.s {
		for _, x := range f {
			angle := float64(float32(at) * x)
			c, s = append(c, float32(math.Cos(angle))), append(s, float32(math.Sin(angle)))
		}
	}
	table := func(x []float32) *Node {
		t := ConstTensor(p.g, tensors.FromFlatDataAndDimensions(x, p.s, len(f)))
		if p.at == nil {
			return Reshape(t, 1, 1, p.s, len(f))
		}
		return Reshape(Gather(t, Reshape(p.at, p.b*p.s, 1)), p.b, 1, p.s, len(f))
	}
	return table(c), table(s)
}

// keyPositions are the positions of the keys, [1 or B, 1, 1, N] int32.
func (p *pass) keyPositions() *Node {
	if p.at != nil {
		return Reshape(p.at, p.b, 1, 1, p.s)
	}
	return Iota(p.g, shapes.Make(dtypes.Int32, 1, 1, 1, p.keys), 3)
}

// positions of the queries, [1 or B, 1, S, 1] int32.
func (p *pass) positions() *Node {
	if p.at != nil {
		return Reshape(p.at, p.b, 1, p.s, 1)
	}
	at := Iota(p.g, shapes.Make(dtypes.Int32, 1, 1, p.s, 1), 2)
	if p.starts == nil {
		return at
	}
	return Add(at, Reshape(p.starts, p.b, 1, 1, 1))
}
