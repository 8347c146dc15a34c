package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
)

// result is the line that the program prints.
type result struct {
	Steps   int     `json:"steps"`
	Tokens  int     `json:"tokens"`
	CPU     float64 `json:"cpu_seconds"`
	Wall    float64 `json:"wall_seconds"`
	FirstS  float64 `json:"first_step_cpu_seconds"`
	PeakMiB float64 `json:"peak_mib"`
	// Apply is the part of CPU that clipping and AdamW took, on the host.
	Apply  float64   `json:"apply_cpu_seconds"`
	Losses []float64 `json:"losses"`
}

// options are the flags.
type options struct {
	dir, config, backend, profile, precision string
	recompute                                bool
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "speed: "+err.Error())
		os.Exit(1)
	}
}

func run() error {
	var o options
	var seconds float64
	var rows, length int
	flag.StringVar(&o.dir, "dir", "", "folder with config.json, model.safetensors and batch.json")
	flag.StringVar(&o.config, "make", "", "write that folder from this config.json, and end")
	flag.IntVar(&rows, "rows", 8, "rows of the batch that -make writes")
	flag.IntVar(&length, "length", 128, "tokens of a row")
	flag.StringVar(&o.backend, "backend", "", "as in trainer.backend")
	flag.StringVar(&o.precision, "precision", "", "as in trainer.precision")
	flag.BoolVar(&o.recompute, "recompute", false, "as in trainer.gradient_checkpointing")
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
	step, err := b.prepare(o)
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
func (b *fixedBatch) prepare(o options) (func() (float64, error), error) {
	c, err := decoder.ReadConfig(o.dir)
	if err != nil {
		return nil, err
	}
	store, err := decoder.LoadStore(o.dir, c)
	if err != nil {
		return nil, err
	}
	if c, err = loop.Computing(c, o.backend, o.precision, o.recompute); err != nil {
		return nil, err
	}
	teaching := objective.Teaching{Divergence: objective.KL, Rest: objective.Bucket, Temperature: 1}
	l, err := loop.NewLearner(o.backend, store, optim.Default(), func(scope *model.Scope, in []*graph.Node) ([]*graph.Node, map[string]*graph.Node) {
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
		from := cpu()
		_, err = l.Apply(learningRate, 1)
		b.applied += cpu() - from
		return loss, err
	}, nil
}

// learningRate is that of bench.py.
const learningRate = 1e-3
