package main

import (
	"os"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/gomlx/gomlx/core/tensors"
)

// warm are the steps before the clock starts: the first compiles.
const warm = 3

// measure runs steps until they have taken so many processor seconds.
func (b *fixedBatch) measure(step func() (float64, error), seconds float64, profile string) (r result, err error) {
	var from, begin float64
	var start time.Time
	for n := 0; n <= warm || cpu()-from < seconds; n++ {
		if n == 0 {
			begin = cpu()
		}
		loss, err := step()
		if err != nil {
			return r, err
		}
		if n < 16 {
			r.Losses = append(r.Losses, loss)
		}
		switch {
		case n == 0:
			r.FirstS = cpu() - begin
		case n == warm:
			if err := startProfile(profile); err != nil {
				return r, err
			}
			defer pprof.StopCPUProfile()
			from, start, b.applied = cpu(), time.Now(), 0
		case n > warm:
			r.Steps++
			r.Tokens += len(b.Tokens)
		}
	}
	r.CPU, r.Wall, r.Apply = cpu()-from, time.Since(start).Seconds(), b.applied
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return r, err
	}
	r.PeakMiB = float64(u.Maxrss) / 1024
	return r, nil
}

// cpu is the processor time of this process in seconds, user and system.
func cpu() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// startProfile writes a CPU profile to a file from now on, if one is named.
func startProfile(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return pprof.StartCPUProfile(f)
}

// inputs are the tensors of the graph.
func (b *fixedBatch) inputs() []any {
	a := len(b.Gold)
	k := len(b.IDs) / a
	return []any{
		tensors.FromFlatDataAndDimensions(b.Tokens, b.Rows, b.Length),
		tensors.FromFlatDataAndDimensions(b.Index, a), tensors.FromFlatDataAndDimensions(b.Gold, a), tensors.FromFlatDataAndDimensions(b.GoldWeight, a),
		tensors.FromFlatDataAndDimensions(b.TeacherWeight, a), tensors.FromFlatDataAndDimensions(b.IDs, a, k),
		tensors.FromFlatDataAndDimensions(b.Probs, a, k), tensors.FromFlatDataAndDimensions(b.Rest, a),
	}
}
