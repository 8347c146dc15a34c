package flops

import (
	"math"
	"testing"
	"time"

	"github.com/gomlx/compute/dtypes"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/processor"
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

// TestRate: a rate is that of the operations counted, here by the clock around them.
func TestRate(t *testing.T) {
	b, err := processor.Open("")
	if err != nil {
		t.Fatal(err)
	}
	defer b.Finalize()
	for _, dtype := range []dtypes.DType{dtypes.Float32, dtypes.BFloat16} {
		start := time.Now()
		found, n, err := Rate(b, dtype, 64, 64)
		if err != nil {
			t.Fatal(err)
		}
		least := chain * 2 * math.Pow(64, 3) / time.Since(start).Seconds()
		if n != 64 || found < least || found > 1e15 {
			t.Errorf("%s: %g operations a second at %d, at least %g", dtype, found, n, least)
		}
	}
}
