package stream

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"sync"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/merge"
	"github.com/profuser/profuser/trainer/merge/vector"
)

// unit is about how many elements are decoded and merged at once: what fits the nearest cache.
const unit = 4096

// execution merges the tensors of a plan. Workers take chunks of any tensor; a few tensors are under way at a time, so
// that workers have chunks to take while one tensor waits for the end of a scan.
type execution struct {
	plan     *plan
	options  Options
	out      *safetensors.Writer
	progress *progress
	ctx      context.Context
	fail     context.CancelCauseFunc
	jobs     chan func(*worker)
}

// worker has the memory of one goroutine.
type worker struct {
	number int
	raw    [][]byte    // a chunk of each input, as stored
	x      [][]float32 // a unit of each input
	merged []float32   // a unit
	coded  []byte      // a chunk of the result
}

func newExecution(ctx context.Context, p *plan, o Options, out *safetensors.Writer) *execution {
	e := &execution{plan: p, options: o, out: out, progress: newProgress(o.Log, p.inputBytes()), jobs: make(chan func(*worker))}
	e.ctx, e.fail = context.WithCancelCause(ctx)
	return e
}

// run merges all tensors and gives the report's lines in their order.
func (e *execution) run() ([]reportLine, error) {
	var workers, tensors sync.WaitGroup
	for i := range e.options.Threads {
		workers.Go(func() {
			w := &worker{number: i}
			for job := range e.jobs {
				job(w)
			}
		})
	}
	lines := make([]reportLine, len(e.plan.tensors))
	underWay := make(chan struct{}, e.options.Threads+1)
	for i, t := range e.plan.tensors {
		underWay <- struct{}{}
		if e.ctx.Err() != nil {
			break
		}
		tensors.Go(func() {
			line, err := e.tensor(t)
			if err != nil {
				e.fail(fmt.Errorf("tensor %s: %w", t.outline.Name, err))
			}
			lines[i] = line
			<-underWay
		})
	}
	tensors.Wait()
	close(e.jobs)
	workers.Wait()
	e.progress.finish()
	if e.ctx.Err() != nil {
		return nil, context.Cause(e.ctx)
	}
	return lines, nil
}

// chunks calls f for every chunk of n elements, on the workers; a chunk has whole units. It returns when all are done.
func (e *execution) chunks(t tensor, n, unit int, f func(w *worker, start, end int) error) {
	size := unit * max(1, e.options.Chunk/unit)
	var done sync.WaitGroup
	for start := 0; start < n; start += size {
		done.Add(1)
		e.jobs <- func(w *worker) {
			defer done.Done()
			if e.ctx.Err() != nil {
				return
			}
			if err := f(w, start, min(n, start+size)); err != nil {
				e.fail(fmt.Errorf("tensor %s: %w", t.outline.Name, err))
			}
		}
	}
	done.Wait()
}

// tensor merges one tensor.
func (e *execution) tensor(t tensor) (reportLine, error) {
	if t.copied {
		e.chunks(t, int(t.outline.Bytes()), unit, func(w *worker, start, end int) error { return e.copy(w, t, start, end) })
		return reportLine{Tensor: t.outline.Name, DType: t.outline.DType, Shape: t.outline.Shape, Copied: true}, nil
	}
	k, err := e.plan.recipe.Method.New(t.merging(e.plan.arithmetic(t.inputs), e.options.Seed, e.options.Threads))
	if err != nil {
		return reportLine{}, err
	}
	g := k.Granule()
	n, size := t.outline.Len(), g*max(1, (unit+g-1)/g)
	first := true // every element is checked when it is read for the first time
	for e.ctx.Err() == nil && k.Next() {
		e.chunks(t, n, size, func(w *worker, start, end int) error { return e.scan(w, t, k, first, start, end, size) })
		first = false
	}
	statistics := newStatistics(t, (n+size-1)/size)
	if e.ctx.Err() == nil {
		e.chunks(t, n, size, func(w *worker, start, end int) error { return e.merge(w, t, k, statistics, first, start, end, size) })
	}
	return statistics.line(t), nil
}

// copy copies bytes of a tensor that has no numbers to merge, and sees to it that all inputs have the same.
func (e *execution) copy(w *worker, t tensor, start, end int) error {
	w.raw = grow(w.raw, len(t.inputs))
	for j, in := range t.inputs {
		w.raw[j] = grow(w.raw[j], end-start)
		if err := in.tensor.ReadAt(w.raw[j], int64(start)); err != nil {
			return err
		}
		if !bytes.Equal(w.raw[j], w.raw[0]) {
			return fmt.Errorf("it is of type %s, which cannot be merged, and differs between %s and %s", t.outline.DType, t.inputs[0].model.path, in.model.path)
		}
	}
	e.progress.add(int64(end-start) * int64(len(t.inputs)))
	return e.out.WriteAt(t.outline.Name, w.raw[0], int64(start))
}

// scan reads a chunk for a method's statistics.
func (e *execution) scan(w *worker, t tensor, k merge.Kernel, check bool, start, end, size int) error {
	if err := w.read(t, start, end); err != nil {
		return err
	}
	for at := start; at < end; at += size {
		x, err := w.decode(t, start, at, min(end, at+size), check)
		if err != nil {
			return err
		}
		k.Scan(w.number, merge.Block{Start: at, X: x})
	}
	return nil
}

// merge reads, merges and writes a chunk.
func (e *execution) merge(w *worker, t tensor, k merge.Kernel, s *statistics, check bool, start, end, size int) error {
	if err := w.read(t, start, end); err != nil {
		return err
	}
	bytes := int(safetensors.ElementSize(t.outline.DType))
	w.coded, w.merged = grow(w.coded, (end-start)*bytes), grow(w.merged, size)
	for at := start; at < end; at += size {
		stop := min(end, at+size)
		x, err := w.decode(t, start, at, stop, check)
		if err != nil {
			return err
		}
		out := w.merged[:stop-at]
		k.Merge(w.number, merge.Block{Start: at, X: x}, out)
		if err := checkResult(t, out, at); err != nil {
			return err
		}
		s.take(at/size, x, out)
		if err := safetensors.Encode(w.coded[(at-start)*bytes:(stop-start)*bytes], t.outline.DType, out); err != nil {
			return err
		}
	}
	if err := e.out.WriteAt(t.outline.Name, w.coded, int64(start)*int64(bytes)); err != nil {
		return err
	}
	e.progress.add(t.inputBytes() * int64(end-start) / int64(t.outline.Len()))
	return nil
}

// checkResult finds results that the storage type cannot hold.
func checkResult(t tensor, out []float32, at int) error {
	limit := math.Inf(1)
	if t.outline.DType == safetensors.F16 {
		limit = 65520 // rounds to infinity
	} else if vector.Finite(out) {
		return nil
	}
	if i := beyond(out, limit); i >= 0 {
		return fmt.Errorf("the merged element %d is %g, which %s cannot hold: set smaller weights, or another out_dtype", at+i, out[i], dtypeNames[t.outline.DType])
	}
	return nil
}

// beyond finds an element of at least a magnitude, or NaN; -1 without one.
func beyond(x []float32, limit float64) int {
	for i, v := range x {
		if !(math.Abs(float64(v)) < limit) {
			return i
		}
	}
	return -1
}

// read gets a chunk of every input as it is stored.
func (w *worker) read(t tensor, start, end int) error {
	w.raw, w.x = grow(w.raw, len(t.inputs)), grow(w.x, len(t.inputs))
	for j, in := range t.inputs {
		bytes := int(safetensors.ElementSize(in.tensor.DType))
		w.raw[j] = grow(w.raw[j], (end-start)*bytes)
		if in.rows == nil {
			if err := in.tensor.ReadAt(w.raw[j], int64(start)*int64(bytes)); err != nil {
				return err
			}
			continue
		}
		row := rowLength(t)
		for at := start; at < end; {
			r := at / row
			stop := min(end, (r+1)*row)
			for in.rows[r] >= 0 && stop < end && in.rows[stop/row] == in.rows[r]+int32(stop/row-r) { // rows that lie side by side
				stop = min(end, stop+row)
			}
			if in.rows[r] >= 0 {
				from := int64(in.rows[r])*int64(row) + int64(at%row)
				if err := in.tensor.ReadAt(w.raw[j][(at-start)*bytes:(stop-start)*bytes], from*int64(bytes)); err != nil {
					return err
				}
			} else {
				clear(w.raw[j][(at-start)*bytes : (stop-start)*bytes])
			}
			at = stop
		}
	}
	return nil
}

// rowLength is the number of elements of an index of the first dimension.
func rowLength(t tensor) int { return max(1, t.outline.Len()/max(1, t.outline.Shape[0])) }

// decode gives the elements [at, stop) of the inputs, of a chunk that begins at start.
func (w *worker) decode(t tensor, start, at, stop int, check bool) ([][]float32, error) {
	for j, in := range t.inputs {
		bytes := int(safetensors.ElementSize(in.tensor.DType))
		w.x[j] = grow(w.x[j], stop-at)
		if err := safetensors.Decode(w.x[j], in.tensor.DType, w.raw[j][(at-start)*bytes:(stop-start)*bytes]); err != nil {
			return nil, err
		}
		if check && !vector.Finite(w.x[j]) {
			i := beyond(w.x[j], math.Inf(1))
			return nil, fmt.Errorf("element %d is %g in %s: numbers to merge have to be finite", at+i, w.x[j][i], in.tensor.Path())
		}
	}
	for j, in := range t.inputs {
		if in.rows == nil {
			continue
		}
		row := rowLength(t)
		for i := at; i < stop; {
			end := min(stop, (i/row+1)*row)
			if in.rows[i/row] < 0 {
				copy(w.x[j][i-at:end-at], w.x[t.donor][i-at:end-at])
			}
			i = end
		}
	}
	return w.x[:len(t.inputs)], nil
}

// grow gives a slice of n elements, the same memory if it suffices.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		t := make([]T, n)
		copy(t, s[:cap(s)])
		return t
	}
	return s[:n]
}
