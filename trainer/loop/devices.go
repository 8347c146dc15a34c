package loop

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/gomlx/compute"
	"github.com/gomlx/compute/distributed"
	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/models/processor"
)

// device is one of those that compute micro-batches: it holds all weights and runs one graph at a time, unless it is the
// host itself.
//
// Data parallelism is plain: each micro-batch's graph runs whole on one device. Where devices are the host's processors,
// it adds the gradients in the order of the micro-batches, so that the numbers do not depend on the number of devices. An
// accelerator adds its own, in their order, and the host adds those of the devices: a step takes one transfer from each.
type device struct {
	exec *model.Exec
	busy sync.Mutex
	// copies are the trainable weights of a device other than the first, in the learner's order.
	copies []*tensors.Tensor
	// sums are the gradients of the micro-batches so far, on an accelerator; adder adds others to them.
	sums  []*tensors.Tensor
	adder *graph.Exec
}

// openDevices prepares the first n devices of the backend.
func (l *Learner) openDevices(n int, names []string, prepare func(store *model.Store) (*model.Exec, error)) error {
	if have := l.backend.NumDevices(); n < 1 || n > have {
		return fmt.Errorf("trainer.devices: %d, this backend has %d", n, have)
	}
	l.synced = -1
	for i := range n {
		d := &device{}
		store := l.store
		var err error
		if i > 0 {
			if store, err = clone(l.store); err != nil {
				return fmt.Errorf("copying the weights for device %d: %w", i, err)
			}
			for _, name := range names {
				value, err := store.GetVariable(decoder.Path(name)).Value()
				if err != nil {
					return fmt.Errorf("copying weight %s for device %d: %w", name, i, err)
				}
				d.copies = append(d.copies, value)
			}
		}
		if d.exec, err = prepare(store); err != nil {
			return fmt.Errorf("preparing the training graph: %w", err)
		}
		if d.adder, err = graph.NewExec(l.backend, addPairs); err != nil {
			return fmt.Errorf("preparing the sums of gradients: %w", err)
		}
		if i > 0 { // only a graph with a mesh, here of one device, can be made for another device than the first
			mesh, err := distributed.NewDeviceMesh([]int{1}, []string{"data"})
			if err != nil {
				return err
			}
			d.exec.AutoSharding(mesh).WithDeviceAssignment([]compute.DeviceNum{compute.DeviceNum(i)})
			d.adder.AutoSharding(mesh).WithDeviceAssignment([]compute.DeviceNum{compute.DeviceNum(i)})
		}
		d.exec.SetMaxCache(-1) // trainer/batch bounds the shapes; the default limit of 32 is an error in the middle of a run
		l.devices = append(l.devices, d)
	}
	l.sumThere = !processor.OnHost(l.backend)
	l.room = n
	if n == 1 {
		l.room = Passes(l.backend, n)
	}
	return nil
}

// Passes is how many micro-batches are under way at a time in one memory: as many as there are processors on the host, where
// several devices share it; one on an accelerator.
func Passes(b compute.Backend, devices int) int {
	switch {
	case !processor.OnHost(b):
		return 1
	case devices > 1:
		return devices
	}
	return runtime.GOMAXPROCS(0)
}

// clone copies all variables of a store.
func clone(store *model.Store) (*model.Store, error) {
	out := model.NewStore()
	for v := range store.IterVariables() {
		value, err := v.Value()
		if err != nil {
			return nil, err
		}
		if value, err = value.LocalClone(); err != nil {
			return nil, err
		}
		out.VariableWithValue(v.Path(), value).SetTrainable(v.Trainable)
	}
	return out, nil
}

// sync gives the other devices the weights of the step that was last applied.
func (l *Learner) sync() error {
	if l.synced == l.step {
		return nil
	}
	for _, d := range l.devices {
		for i, to := range d.copies {
			var writeErr error
			err := tensors.ConstFlatData(l.weights[i], func(from []float32) {
				writeErr = tensors.MutableFlatData(to, func(flat []float32) { copy(flat, from) })
			})
			if err = errors.Join(err, writeErr); err != nil {
				return fmt.Errorf("weight %s: %w", l.names[i], err)
			}
		}
	}
	l.synced = l.step
	return nil
}

// run computes micro-batch number i on its device.
func (l *Learner) run(i int, inputs []any) ([]*tensors.Tensor, error) {
	n := i % len(l.devices)
	d := l.devices[n]
	if len(l.devices) > 1 {
		d.busy.Lock()
		defer d.busy.Unlock()
	}
	if n > 0 {
		var err error
		if inputs, err = l.placed(inputs, compute.DeviceNum(n)); err != nil {
			return nil, fmt.Errorf("giving device %d its inputs: %w", n, err)
		}
	}
	return call(d.exec, inputs)
}

// placed puts inputs on a device; GoMLX takes those of a graph for one device to the first.
func (l *Learner) placed(inputs []any, n compute.DeviceNum) ([]any, error) {
	out := make([]any, len(inputs))
	for i, x := range inputs {
		t, ok := x.(*tensors.Tensor)
		if !ok {
			var err error
			if t, err = tensors.FromAnyValue(x); err != nil {
				return nil, err
			}
		}
		buffer, err := graph.DonateTensorBuffer(t, l.backend, n)
		if err != nil {
			return nil, err
		}
		out[i] = buffer
	}
	return out, nil
}

// addPairs adds the second half of its inputs to the first.
func addPairs(in []*graph.Node) []*graph.Node {
	n := len(in) / 2
	out := make([]*graph.Node, n)
	for i := range out {
		out[i] = graph.Add(in[i], in[n+i])
	}
	return out
}

// addThere adds gradients that device number n computed to its sums, and takes them over.
func (l *Learner) addThere(n int, gradients []*tensors.Tensor) error {
	d := l.devices[n]
	if d.sums == nil {
		d.sums = gradients
		return nil
	}
	var inputs []any
	for _, t := range append(d.sums, gradients...) {
		buffer, err := graph.DonateTensorBuffer(t, l.backend, compute.DeviceNum(n))
		if err != nil {
			return fmt.Errorf("adding gradients on device %d: %w", n, err)
		}
		inputs = append(inputs, buffer)
	}
	var err error
	if d.sums, err = d.adder.Call(inputs...); err != nil {
		return fmt.Errorf("adding gradients on device %d: %w", n, err)
	}
	return nil
}

// collect adds the devices' sums to the host's, device by device.
func (l *Learner) collect() error {
	var err error
	for _, d := range l.devices {
		if d.sums != nil {
			err = errors.Join(err, l.addHere(d.sums))
			d.sums = nil
		}
	}
	return err
}
