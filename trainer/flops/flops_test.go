package flops

import (
	"testing"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/trainertest"
)

// TestByHand counts a model of one block of a width of 2 by hand.
func TestByHand(t *testing.T) {
	const text = `{"architectures":["LlamaForCausalLM"],"vocab_size":10,"hidden_size":4,"intermediate_size":3,"num_hidden_layers":1,"num_attention_heads":1,"head_dim":2,"max_position_embeddings":8,"tie_word_embeddings":`
	for tied, parameters := range map[string]int64{"true": 40 + 80, "false": 40 + 40 + 80} { // the block and the norms have 80
		c, err := decoder.ParseConfig([]byte(text + tied + `}`))
		if err != nil {
			t.Fatal(err)
		}
		store, err := decoder.InitStore(c, 1)
		if err != nil {
			t.Fatal(err)
		}
		var n int64
		for v := range store.IterVariables() {
			n += int64(v.Shape().Size())
		}
		if n != parameters {
			t.Fatalf("tied %s: the model has %d weights, want %d", tied, n, parameters)
		}
		// Two texts of 3 and 5 positions, 6 of them predict: 6·(80·8 + 40·6) + 12·1·2·(9+25).
		if got, want := Of(c, n, n).Step([]int{3, 5}, 6), 6.0*(80*8+40*6)+12*2*34; got != want {
			t.Errorf("tied %s: %g operations, want %g", tied, got, want)
		}
		// With 7 weights of adapters beside the frozen ones.
		if got, want := Of(c, n+7, 7).Step([]int{3, 5}, 6), 4.0*(87*8+40*6)+2*7*8+12*2*34; got != want {
			t.Errorf("tied %s: %g operations with adapters, want %g", tied, got, want)
		}
	}
}

// TestPeak: a measured peak is that of a processor of this century.
func TestPeak(t *testing.T) {
	if testing.Short() {
		t.Skip("measures half a second")
	}
	c, err := decoder.ParseConfig([]byte(trainertest.Llama))
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.InitStore(c, 1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := loop.NewLearner("", store, optim.Default(), func(*model.Scope, []*graph.Node) ([]*graph.Node, map[string]*graph.Node) { return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	peak, err := Peak(l)
	if err != nil || peak < 1e8 || peak > 1e16 {
		t.Errorf("%g operations a second, %v", peak, err)
	}
}
