package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"
	"syscall"
	"time"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
)

// result is the line that the program prints.
type result struct {
	Steps   int       `json:"steps"`
	Tokens  int       `json:"tokens"`
	CPU     float64   `json:"cpu_seconds"`
	Wall    float64   `json:"wall_seconds"`
	FirstS  float64   `json:"first_step_cpu_seconds"`
	PeakMiB float64   `json:"peak_mib"`
	Losses  []float64 `json:"losses"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "speed: "+err.Error())
		os.Exit(1)
	}
}

func run() error {
	var o struct{ dir, config, backend, profile string }
	var seconds float64
	var rows, length int
	flag.StringVar(&o.dir, "dir", "", "folder with config.json, model.safetensors and batch.json")
	flag.StringVar(&o.config, "make", "", "write that folder from this config.json, and end")
	flag.IntVar(&rows, "rows", 8, "rows of the batch that -make writes")
	flag.IntVar(&length, "length", 128, "tokens of a row")
	flag.StringVar(&o.backend, "backend", "", "as in trainer.backend")
	flag.Float64Var(&seconds, "seconds", 10, "processor seconds to measure for, after the first steps")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the measured steps here")
	flag.Parse()
	if o.dir == "" {
		return errors.New("-dir is missing")
	}
	if o.config != "" {
		return writeFolder(o.dir, o.config, rows, length)
	}
	b, err := readBatch(o.dir)
	if err != nil {
		return err
	}
	step, err := b.prepare(o.dir, o.backend)
	if err != nil {
		return err
	}
	r, err := b.measure(step, seconds, o.profile)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// prepare makes the step: forward, backward, clipping, AdamW; it returns the loss before it.
func (b *fixedBatch) prepare(dir, backend string) (func() (float64, error), error) {
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		return nil, err
	}
	store, err := decoder.LoadStore(dir, c)
	if err != nil {
		return nil, err
	}
	teaching := objective.Teaching{Divergence: objective.KL, Rest: objective.Bucket, Temperature: 1}
	l, err := loop.NewLearner(backend, store, optim.Default(), func(scope *model.Scope, in []*graph.Node) ([]*graph.Node, map[string]*graph.Node) {
		network := loop.NewNetwork(scope, c, in[0])
		logits, backward := network.Rows(in[1], "")
		ce, divergence, gradient := objective.Fusion(logits, objective.Positions{Gold: in[2], GoldWeight: in[3], TeacherWeight: in[4], IDs: in[5], Probs: in[6], Rest: in[7]}, teaching)
		backward(gradient)
		return []*graph.Node{ce, divergence}, network.Gradients()
	})
	if err != nil {
		return nil, err
	}
	return func() (float64, error) {
		reports, err := l.Accumulate(b.inputs()...)
		if err != nil {
			return 0, err
		}
		loss := 0.0
		for i := range b.Gold {
			loss += float64(b.GoldWeight[i]*reports[0][i]) + float64(b.TeacherWeight[i]*reports[1][i])
		}
		_, err = l.Apply(learningRate, 1)
		return loss, err
	}, nil
}

// learningRate is that of bench.py.
const learningRate = 1e-3

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
			if profile != "" {
				f, err := os.Create(profile)
				if err != nil {
					return r, err
				}
				if err := pprof.StartCPUProfile(f); err != nil {
					return r, err
				}
				defer pprof.StopCPUProfile()
			}
			from, start = cpu(), time.Now()
		case n > warm:
			r.Steps++
			r.Tokens += len(b.Tokens)
		}
	}
	r.CPU, r.Wall = cpu()-from, time.Since(start).Seconds()
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
