package loop

import (
	"errors"
	"fmt"
	"math"
	"sort"

	"github.com/gomlx/compute"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/processor"
	"github.com/profuser/profuser/trainer/optim"
)

// Build makes the graph of one micro-batch. It returns float32 values to report and the gradient of every trainable weight
// by its tensor name; a weight without one gets a gradient of zero.
type Build func(scope *model.Scope, inputs []*graph.Node) (reports []*graph.Node, gradients map[string]*graph.Node)

// Learner trains the weights of a store. It is not safe for concurrent use.
//
// Invariant between steps: every weight, its gradient and its moments have equal length; gradients are all zero or
// belong to the step under way.
type Learner struct {
	optimizer  optim.AdamW
	backend    compute.Backend
	store      *model.Store
	devices    []*device
	room       int // micro-batches under way at a time
	synced     int // the step whose weights all devices have
	sumThere   bool
	names      []string
	weights    []*tensors.Tensor
	parameters []*optim.Parameter
	gradients  [][]float32
	dirty      bool // gradients hold something
	step       int
}

// NewLearner prepares the training of a store's trainable variables on the backend of a configuration, as processor.Open takes it.
func NewLearner(config string, store *model.Store, optimizer optim.AdamW, build Build) (*Learner, error) {
	return NewLearnerOn(config, 1, store, optimizer, build)
}

// NewLearnerOn is NewLearner on the first devices of a backend that has several: micro-batches are dealt out to them.
func NewLearnerOn(config string, devices int, store *model.Store, optimizer optim.AdamW, build Build) (*Learner, error) {
	b, err := processor.Open(config)
	if err != nil {
		return nil, fmt.Errorf("opening trainer.backend: %w", err)
	}
	l := &Learner{optimizer: optimizer, backend: b, store: store}
	for v := range store.IterVariables() {
		if v.Trainable {
			l.names = append(l.names, decoder.TensorName(v.Path()))
		}
	}
	sort.Strings(l.names)
	variables := make([]*model.Variable, len(l.names))
	for i, name := range l.names {
		variables[i] = store.GetVariable(decoder.Path(name))
		value, err := variables[i].Value()
		if err != nil {
			return nil, fmt.Errorf("preparing weight %s: %w", name, err)
		}
		l.weights = append(l.weights, value)
		l.parameters = append(l.parameters, optimizer.NewParameter(name, value.Size(), value.Rank()))
		l.gradients = append(l.gradients, make([]float32, value.Size()))
	}
	err = l.openDevices(devices, l.names, func(store *model.Store) (*model.Exec, error) {
		return model.NewExec(b, store, func(scope *model.Scope, inputs []*graph.Node) []*graph.Node {
			reports, gradients := build(scope, inputs)
			for i, v := range variables {
				gradient := gradients[l.names[i]]
				if gradient == nil {
					gradient = graph.Zeros(inputs[0].Graph(), v.Shape())
				}
				reports = append(reports, gradient)
			}
			return reports
		})
	})
	if err != nil {
		return nil, err
	}
	return l, nil
}

// Accumulate adds the gradients of one micro-batch to the step under way and returns its reports.
func (l *Learner) Accumulate(inputs ...any) (reports [][]float32, err error) {
	all, err := l.AccumulateAll([][]any{inputs})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// AccumulateAll is Accumulate of several micro-batches, as many at a time as there are processors, or devices. Gradients are added in
// the order of the micro-batches, so that the result does not depend on which is done first.
func (l *Learner) AccumulateAll(batches [][]any) (reports [][][]float32, err error) {
	type result struct {
		out []*tensors.Tensor
		err error
	}
	if err := l.sync(); err != nil {
		return nil, fmt.Errorf("giving the devices the weights: %w", err)
	}
	results := make([]chan result, len(batches))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	room := make(chan struct{}, l.room) // results that are computed or wait
	go func() {
		for i, inputs := range batches {
			room <- struct{}{}
			go func() {
				out, err := l.run(i, inputs)
				results[i] <- result{out, err}
			}()
		}
	}()
	for i, c := range results { // all of them, also after a fault: none may still run when this returns
		r := <-c
		if err == nil {
			err = r.err
		}
		if err == nil {
			var report [][]float32
			report, err = l.add(i, r.out)
			reports = append(reports, report)
		}
		<-room
	}
	return reports, errors.Join(err, l.collect())
}

// add takes the results of the graph of micro-batch number n: reports, then gradients.
func (l *Learner) add(n int, out []*tensors.Tensor) (reports [][]float32, err error) {
	count := len(out) - len(l.weights)
	if reports, err = values(out[:count]); err != nil {
		return nil, err
	}
	if l.sumThere {
		err = l.addThere(n%len(l.devices), out[count:])
	} else {
		err = l.addHere(out[count:])
	}
	for _, t := range out[:count] {
		err = errors.Join(err, t.FinalizeAll())
	}
	return reports, err
}

// addHere adds gradients to the sums of the step under way, and frees them.
func (l *Learner) addHere(gradients []*tensors.Tensor) (err error) {
	for i, t := range gradients {
		err = errors.Join(err, tensors.ConstFlatData(t, func(flat []float32) {
			if !l.dirty {
				copy(l.gradients[i], flat)
				return
			}
			add(l.gradients[i], flat)
		}), t.FinalizeAll())
	}
	l.dirty = true
	return err
}

func add(to, from []float32) {
	from = from[:len(to)]
	for i := range to {
		to[i] += from[i]
	}
}

// call runs a graph. What building it panics with, as GoMLX does, becomes an error.
func call(exec *model.Exec, inputs []any) (out []*tensors.Tensor, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("building the training graph: %v", r)
		}
	}()
	if out, err = exec.Call(inputs...); err != nil {
		err = fmt.Errorf("running the training graph: %w", err)
	}
	return out, err
}

// values copies tensors out.
func values(out []*tensors.Tensor) ([][]float32, error) {
	var all [][]float32
	for _, t := range out {
		x, err := tensors.CopyFlatData[float32](t)
		if err != nil {
			return nil, fmt.Errorf("reading a training graph's result: %w", err)
		}
		all = append(all, x)
	}
	return all, nil
}

// Forward is a graph without gradients over a learner's weights.
type Forward struct{ exec *model.Exec }

// NewForward prepares a graph that reads the weights as they are at each call.
func (l *Learner) NewForward(build func(scope *model.Scope, inputs []*graph.Node) []*graph.Node) (*Forward, error) {
	exec, err := model.NewExec(l.backend, l.store, build)
	if err != nil {
		return nil, fmt.Errorf("preparing a graph: %w", err)
	}
	exec.SetMaxCache(-1)
	return &Forward{exec}, nil
}

// Call runs the graph and returns its float32 results.
func (f *Forward) Call(inputs ...any) ([][]float32, error) {
	out, err := call(f.exec, inputs)
	if err != nil {
		return nil, err
	}
	results, err := values(out)
	for _, t := range out {
		err = errors.Join(err, t.FinalizeAll())
	}
	return results, err
}

// Apply ends a step: the summed gradients times scale are clipped and applied at a learning rate. It returns the norm
// before clipping. A norm that is not finite is an error of kind ErrNotFinite: nothing is applied and the gradients are
// dropped.
func (l *Learner) Apply(rate, scale float64) (norm float64, err error) {
	if !l.dirty {
		return 0, errors.New("applying a step without a batch")
	}
	l.dirty = false
	norm = optim.Norm(l.gradients, scale)
	if math.IsNaN(norm) || math.IsInf(norm, 0) {
		return norm, ErrNotFinite
	}
	l.step++
	scale *= l.optimizer.ClipFactor(norm)
	for i, p := range l.parameters {
		var updateErr error
		err := tensors.MutableFlatData(l.weights[i], func(w []float32) {
			updateErr = l.optimizer.Update(p, w, l.gradients[i], l.step, rate, scale)
		})
		if err = errors.Join(err, updateErr); err != nil {
			return norm, fmt.Errorf("updating weight %s: %w", p.Name, err)
		}
	}
	return norm, nil
}

// Gradients are the sums of the step under way, by weight in the order of their names; they are only valid until the
// next call.
func (l *Learner) Gradients() [][]float32 { return l.gradients }

// Drop forgets the step under way.
func (l *Learner) Drop() { l.dirty = false }

// Step is the number of steps applied.
func (l *Learner) Step() int { return l.step }

// Backend is what computes.
func (l *Learner) Backend() compute.Backend { return l.backend }

// Store returns the weights.
func (l *Learner) Store() *model.Store { return l.store }

// ErrNotFinite says that a gradient was NaN or infinite.
var ErrNotFinite = errors.New("the gradient is not finite")
