package memory

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/dtypes"
	"github.com/gomlx/compute/shapes"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/lora"
	"github.com/profuser/profuser/trainer/optim"
)

// Training is what decides how much memory a training takes.
type Training struct {
	// Config is the model's.
	Config decoder.Config
	// LoRA trains adapters; nil trains all weights.
	LoRA *lora.Options
	// Moments is the moments' type, optim.Float32 or optim.BFloat16.
	Moments string
	// Build makes the graph of a micro-batch of a model, on Backend.
	Build   func(c decoder.Config) loop.Build
	Backend compute.Backend
	// Accelerator says that the graph runs elsewhere than in the host's memory.
	Accelerator bool
	// Passes is how many micro-batches run at a time in one memory, Copies how many devices have the weights. Default 1.
	Passes, Copies int
	// Shapes are the inputs of the micro-batches that are expected, for micro-batches of at most so many positions.
	Shapes func(positions int) [][]shapes.Shape
	// Positions is the largest number of positions of a micro-batch.
	Positions int
}

// Estimate is bytes by what holds them.
type Estimate struct {
	// Weights, Gradients and Moments are there all the time. Copies are the weights of further devices, which the host keeps.
	Weights, Copies, Gradients, Moments int64
	// Pass is the largest micro-batch's, Passes run at a time. Shape is that of its tokens.
	Pass   Pass
	Passes int
	Shape  []int
	// Accelerator says that passes, and a copy of the weights, are in its memory.
	Accelerator bool
}

// base is what a process takes before it has a model: the program, Go's runtime, parts of datasets.
const base = 100 << 20

// Of computes the estimate of a training.
func (t Training) Of() (Estimate, error) {
	e := Estimate{Passes: t.Passes, Accelerator: t.Accelerator}
	store := model.NewStore()
	all, err := t.Config.Shapes()
	if err != nil {
		return e, err
	}
	for name, dims := range all {
		store.VariableWithShape(decoder.Path(name), shapes.Make(dtypes.Float32, dims...), nil)
	}
	if t.LoRA != nil {
		if err := lora.Outline(store, t.Config, *t.LoRA); err != nil {
			return e, fmt.Errorf("trainer.lora.%w", err)
		}
	}
	var trained int64
	for v := range store.IterVariables() {
		e.Weights += int64(v.Shape().ByteSize())
		if v.Trainable {
			trained += int64(v.Shape().Size())
		}
	}
	e.Copies = int64(max(t.Copies, 1)-1) * e.Weights
	e.Gradients, e.Moments = 4*trained, 8*trained
	if t.Moments == optim.BFloat16 {
		e.Moments = 4 * trained
	}
	for _, inputs := range t.Shapes(t.Positions) {
		p, err := PassOf(t.Backend, store, t.Build(t.Config), inputs)
		if err != nil {
			return e, err
		}
		if p.Peak > e.Pass.Peak {
			dims := inputs[0].Dimensions // of packed rows [3, B, S]
			e.Pass.Peak, e.Shape = p.Peak, dims[len(dims)-2:]
		}
		e.Pass.Constants += p.Constants
	}
	return e, nil
}

// passes is what the graphs' runs hold.
func (e Estimate) passes() int64 { return int64(e.Passes)*e.Pass.Peak + e.Pass.Constants }

// Host is the least that the process needs of the machine's memory.
func (e Estimate) Host() int64 {
	n := base + e.Weights + e.Copies + e.Gradients + e.Moments
	if !e.Accelerator {
		n += e.passes()
	}
	return n
}

// Device is the least that an accelerator needs, 0 without one.
func (e Estimate) Device() int64 {
	if !e.Accelerator {
		return 0
	}
	return e.Weights + e.passes()
}

// String is one line for people.
func (e Estimate) String() string {
	where, copies := "", ""
	if e.Copies > 0 {
		copies = fmt.Sprintf(" and %s for other devices", Size(e.Copies))
	}
	if e.Accelerator {
		where = fmt.Sprintf(" there, %s here", Size(e.Host()))
	}
	total := e.Host()
	if e.Accelerator {
		total = e.Device()
	}
	return fmt.Sprintf("weights %s%s, gradients %s, moments %s, %d micro-batches at a time of %s each (%s tokens): %s%s",
		Size(e.Weights), copies, Size(e.Gradients), Size(e.Moments), e.Passes, Size(e.Pass.Peak), times(e.Shape), Size(total), where)
}

func times(dims []int) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(dims), " ", "×"), "[]")
}

// Size is a number of bytes for people, in powers of 1024.
func Size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.0f GiB", float64(n)/(1<<30))
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 10<<20:
		return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
