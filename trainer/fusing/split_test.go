package fusing

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/trainertest"
)

// TestSplit cuts one batch in three ways, and packs it in two: losses and gradients must be the same, up to float32 sums.
func TestSplit(t *testing.T) {
	for _, normalize := range []string{PerExample, PerToken} {
		t.Run(normalize, func(t *testing.T) {
			o := world(t)
			o.Normalize = normalize
			splits(t, o, []int{1 << 20, 300, 1}, []int{1 << 20, 300}, 1e-6)
		})
	}
}

// splits cuts a batch into micro-batches of so many positions, then packs it into such. All must give the first one's text
// losses and gradients to 1e-6 and its teacher losses to a tolerance, each of the largest.
func splits(t *testing.T, o Options, apart, packed []int, tolerance float64) {
	t.Helper()
	c, _, config := open(t, &o)
	prompts, err := c.part(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	examples, g := collect(prompts, flags{true, true})
	var want losses
	var gradients [][]float32
	for i, positions := range slices.Concat(apart, packed) {
		o.MicroPositions, o.Packing = positions, i >= len(apart)
		store, err := decoder.LoadStore(o.Target, config)
		if err != nil {
			t.Fatal(err)
		}
		l, err := loop.NewLearner("", store, optim.Default(), fusionModel(config, o.Teaching))
		if err != nil {
			t.Fatal(err)
		}
		var got losses
		for _, m := range cut(examples, g, &o, [modes]float64{0.1, 1}, o.blend(curriculum.Stage{})) {
			reports, err := l.Accumulate(m.inputs()...)
			if err != nil {
				t.Fatal(err)
			}
			got.add(m, g, o.Normalize, reports[0], reports[1])
		}
		if i == 0 {
			want, gradients = got, l.Gradients()
			continue
		}
		for m := range modes {
			near(t, "text loss", got.text[m], want.text[m], 1e-6)
			near(t, "teacher loss", got.teacher[m], want.teacher[m], tolerance)
		}
		scale := optim.Norm(gradients, 1)
		for j, x := range l.Gradients() {
			for k := range x {
				if math.Abs(float64(x[k]-gradients[j][k])) > 1e-6*scale {
					t.Fatalf("micro-batches of %d positions: gradient %d of weight %d is %g, want %g", positions, k, j, x[k], gradients[j][k])
				}
			}
		}
	}
}

func near(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if math.Abs(got-want) > tolerance*math.Abs(want) || want == 0 {
		t.Errorf("%s is %g, want %g", what, got, want)
	}
}

// open opens the corpus of a world.
func open(t *testing.T, o *Options) (*corpus, *chat.Format, decoder.Config) {
	t.Helper()
	if err := o.validate(); err != nil {
		t.Fatal(err)
	}
	format, err := chat.Load(o.Target, o.Format)
	if err != nil {
		t.Fatal(err)
	}
	config, err := decoder.ReadConfig(o.Target)
	if err != nil {
		t.Fatal(err)
	}
	var sets [modes]*dataset.Dataset
	for m := range modes {
		if sets[m], err = openSet(t.Context(), o.Store, m, format.Tokenizer().Fingerprint()); err != nil {
			t.Fatal(err)
		}
	}
	c, err := openCorpus(t.Context(), o, sets, o.MaxLength, config.VocabSize())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c, format, config
}

// TestHoldout: held-out prompts are the same whatever the dataset, and never in an epoch's order.
func TestHoldout(t *testing.T) {
	o := world(t)
	o.Holdout = 0.3
	c, _, _ := open(t, &o)
	if len(c.held) == 0 || len(c.held) == 40 {
		t.Fatalf("%d of 40 prompts are held out", len(c.held))
	}
	trained := map[string]int{}
	for epoch := 1; epoch <= 2; epoch++ {
		order := c.order(1, epoch, flags{true, true})
		prompts, err := order.fetch(t.Context(), 0, len(order.places))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range prompts {
			trained[p.id]++
		}
	}
	if len(trained)+len(c.held) != 40 {
		t.Errorf("%d trained on and %d held out make %d, want 40", len(trained), len(c.held), len(trained)+len(c.held))
	}
	for id, n := range trained {
		if n != 2 {
			t.Errorf("prompt %s is %d times in two epochs", id, n)
		}
	}
	for _, p := range c.held {
		if trained[p.id] > 0 || !heldOut(p.id, 0.3) {
			t.Errorf("held-out prompt %s is trained on", p.id)
		}
	}
}

// TestWindows: with more parts than are kept in memory, every epoch still has every prompt once, in another order.
func TestWindows(t *testing.T) {
	o := world(t)
	format, err := chat.Load(o.Target, o.Format)
	if err != nil {
		t.Fatal(err)
	}
	o.Store = emptyStore(t)
	n := (2*window + 3) * trainertest.PartPrompts
	if err := trainertest.WriteFusion(t.Context(), o.Store, format, n); err != nil {
		t.Fatal(err)
	}
	o.Holdout = 0
	c, _, _ := open(t, &o)
	var first string
	for epoch := 1; epoch <= 2; epoch++ {
		order := c.order(1, epoch, flags{inference: true})
		seen := map[string]bool{}
		for at := range order.places {
			p, err := order.fetch(t.Context(), at, at+1)
			if err != nil {
				t.Fatal(err)
			}
			seen[p[0].id] = true
		}
		if len(order.places) != n || len(seen) != n {
			t.Errorf("epoch %d has %d prompts, %d different ones, want %d", epoch, len(order.places), len(seen), n)
		}
		if kept := c.read.Kept(); kept > 2*window {
			t.Errorf("%d parts in memory, want at most %d", kept, 2*window)
		}
		if text := fmt.Sprint(order.places); text == first {
			t.Error("both epochs have the same order")
		} else {
			first = text
		}
	}
	if got, want := c.count(flags{training: true}), n-(n-3+6)/7; got != want {
		t.Errorf("%d prompts have a reference, want %d", got, want)
	}
}
