package decoder

import (
	"fmt"
	"slices"
	"strings"

	. "github.com/gomlx/gomlx/core/graph"
)

// architecture is one row of the table: how to read its configuration, what its tensors are and how a block computes.
type architecture struct {
	parse func(configJSON []byte) (Config, error)
	// fields are config.json's names for width, layers, heads, key-value heads, feed-forward width and context.
	fields [6]string
	// tensors lists every weight with its shape.
	tensors func(c Config) map[string][]int
	// embedding, norm and head are the names of the token embedding, of the last norm and of an untied output head.
	embedding, norm, head string
	block                 func(p *pass, x *Node, layer int) *Node
	finalNorm             func(p *pass, x *Node, name string) *Node
	// bias adds to the attention scores by distance; nil for none.
	bias   func(p *pass) *Node
	reward bool
}

// architectures is the table: a new one is a file and a row.
var architectures = map[string]*architecture{
	"LlamaForCausalLM":                 llama,
	"LlamaForSequenceClassification":   asReward(llama),
	"MistralForCausalLM":               mistral,
	"MistralForSequenceClassification": asReward(mistral),
	"Qwen2ForCausalLM":                 qwen2,
	"Qwen2ForSequenceClassification":   asReward(qwen2),
	"Qwen3ForCausalLM":                 qwen3,
	"Qwen3ForSequenceClassification":   asReward(qwen3),
	"Phi3ForCausalLM":                  phi3,
	"Phi3ForSequenceClassification":    asReward(phi3),
	"GemmaForCausalLM":                 gemma,
	"GemmaForSequenceClassification":   asReward(gemma),
	"GPTNeoXForCausalLM":               neoxArchitecture,
	"MptForCausalLM":                   mptArchitecture,
	"MPTForCausalLM":                   mptArchitecture,
}

// tensorList are tensors' shapes by name.
type tensorList map[string][]int

// linear adds a matrix [out, in], and its bias [out] if there is one.
func (t tensorList) linear(name string, out, in int, bias bool) {
	t[name+".weight"] = []int{out, in}
	if bias {
		t[name+".bias"] = []int{out}
	}
}

// asReward is the same decoder with a scalar head in place of the logits.
func asReward(a *architecture) *architecture {
	r := *a
	r.reward = true
	r.tensors = func(c Config) map[string][]int {
		c.Tied = true
		t := a.tensors(c)
		t["score.weight"] = []int{1, c.Dim}
		return t
	}
	return &r
}

// lookup finds an architecture; the error lists those that exist.
func lookup(name string) (*architecture, error) {
	if a, ok := architectures[name]; ok {
		return a, nil
	}
	var known []string
	for n := range architectures {
		known = append(known, n)
	}
	slices.Sort(known)
	return nil, fmt.Errorf("field architectures: %q is not supported; known: %s", name, strings.Join(known, ", "))
}

// Reward says whether the model has a scalar reward head in place of logits.
func (c Config) Reward() bool {
	a, err := lookup(c.Architecture)
	return err == nil && a.reward
}

// Rewarding returns the configuration of the same model with a scalar reward head.
func (c Config) Rewarding() (Config, error) {
	name := strings.Replace(c.Architecture, "ForCausalLM", "ForSequenceClassification", 1)
	if _, err := lookup(name); err != nil {
		return Config{}, err
	}
	c.Architecture = name
	raw := map[string]any{}
	for k, v := range c.raw {
		raw[k] = v
	}
	raw["architectures"] = []string{name}
	raw["num_labels"] = 1
	raw["id2label"] = map[string]string{"0": "LABEL_0"}
	raw["label2id"] = map[string]int{"LABEL_0": 0}
	c.raw = raw
	return c, nil
}
