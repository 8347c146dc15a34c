package fusing

import (
	"fmt"
	"math"

	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/optim"
)

// epoch is one pass of the plan.
type epoch struct {
	stage   curriculum.Stage
	number  int // from 1, over all stages
	last    bool
	needs   flags
	weights [modes]float64
	prompts int
	batches int
	first   int // steps before it
}

// needsOf says which modes weigh something in a stage.
func needsOf(s curriculum.Stage) flags {
	return flags{inference: s.Inference > 0, training: s.Training > 0}
}

// needsOfAll says which modes weigh something anywhere.
func needsOfAll(stages []curriculum.Stage) flags {
	var all flags
	for _, s := range stages {
		if s.Epochs > 0 {
			n := needsOf(s)
			all = flags{all[0] || n[0], all[1] || n[1]}
		}
	}
	return all
}

// plan lists the epochs with their numbers of batches.
func plan(o *Options, c *corpus) ([]epoch, int, error) {
	var epochs []epoch
	total := 0
	for _, s := range o.Stages {
		needs := needsOf(s)
		for i := range s.Epochs {
			n := c.count(needs)
			if n == 0 {
				return nil, 0, fmt.Errorf("stage %s: no prompt has an example to train on (%d rows read, %d too long, %d prompts held out): raise trainer.max_length or lower prompts.holdout", s.Name, c.rows, c.dropped, len(c.held))
			}
			e := epoch{stage: s, number: len(epochs) + 1, last: i == s.Epochs-1, needs: needs, weights: [modes]float64{s.Inference, s.Training}, prompts: n, first: total}
			e.batches = (n + o.BatchPrompts - 1) / o.BatchPrompts
			total += e.batches
			epochs = append(epochs, e)
		}
	}
	return epochs, total, nil
}

// schedule spans all stages.
func schedule(o *Options, total int) optim.Schedule {
	return optim.Schedule{Peak: o.LearningRate, Warmup: int(math.Ceil(o.Warmup * float64(total))), Total: total, Floor: 0.1}
}
