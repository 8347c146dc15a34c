package fusing

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
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
		if s.Runs() {
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
		if !s.Runs() {
			continue
		}
		needs := needsOf(s)
		n := c.count(needs)
		if n == 0 {
			return nil, 0, fmt.Errorf("stage %s: no prompt has an example to train on (%d rows read, %d too long, %d prompts held out): raise trainer.max_length or lower prompts.holdout", s.Name, c.rows, c.dropped, len(c.held))
		}
		pass := (n + o.BatchPrompts - 1) / o.BatchPrompts
		left := s.Steps
		if left == 0 {
			left = s.Epochs * pass
		}
		for left > 0 {
			e := epoch{stage: s, number: len(epochs) + 1, needs: needs, weights: [modes]float64{s.Inference, s.Training}, prompts: n, first: total}
			e.batches = min(pass, left)
			left -= e.batches
			e.last = left == 0
			total += e.batches
			epochs = append(epochs, e)
		}
	}
	return epochs, total, checkAdaptive(o, c)
}

// checkFused demands that a dataset was fused as the configuration says, so that no method is trained on another one's
// data. want are the configuration's keys of the step fuse; a dataset that does not say what it was made with is taken.
func checkFused(d *dataset.Dataset, want map[string]string) error {
	has := d.Header.Depends
	if len(has) == 0 || len(want) == 0 {
		return nil
	}
	var differ []string
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if has[key] != want[key] {
			differ = append(differ, fmt.Sprintf("%s is %s, the dataset has %s", key, want[key], cmp.Or(has[key], "none")))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(has)) {
		if _, ok := want[key]; !ok && !strings.HasSuffix(key, " files") {
			differ = append(differ, fmt.Sprintf("%s is not set, the dataset has %s", key, has[key]))
		}
	}
	if len(differ) == 0 {
		return nil
	}
	return fmt.Errorf("dataset %s was fused by another configuration: %s; run profuser fuse with this one, into another out, or set these keys back", d.Name(), strings.Join(differ, "; "))
}

// checkAdaptive demands held-out prompts with a response where the weights follow their loss.
func checkAdaptive(o *Options, c *corpus) error {
	for _, p := range c.held {
		if p.has[inference] {
			return nil
		}
	}
	if slices.ContainsFunc(o.Stages, func(s curriculum.Stage) bool { return s.Adaptive && s.Runs() }) {
		return fmt.Errorf("curriculum.kind adaptive follows the loss of held-out prompts in inference mode, and there are none: raise prompts.holdout, now %g", o.Holdout)
	}
	return nil
}

// rate is the learning rate of the next step: that of the schedule over all stages, with the stage's own peak if it has one.
func (t *trainer) rate(s curriculum.Stage) float64 {
	schedule := t.schedule
	if s.LearningRate > 0 {
		schedule.Peak = s.LearningRate
	}
	return schedule.Rate(t.state.Step)
}

// weigh gives an epoch the weights of now, which only an adaptive stage moves.
func (t *trainer) weigh(e *epoch) {
	if e.stage.Adaptive {
		e.weights[inference], e.weights[training] = t.shift.Weights()
	}
}

// dueDecision reports whether the weights may move now: at the start and at equal distances, but not at the end.
func (t *trainer) dueDecision(s curriculum.Stage) bool {
	return s.Adaptive && t.state.Step < t.total && t.state.Step%t.o.Adaptive.Every(t.total) == 0
}

// decide lets an adaptive stage move its weights by the held-out losses, says so in the metrics, and remembers it. It comes
// before the checkpoint of its step, so that a resumed training neither repeats nor forgets it.
func (t *trainer) decide(ctx context.Context, e epoch) error {
	heldOut, err := t.heldOut(ctx, e.stage)
	if err != nil {
		return err
	}
	loss := math.NaN()
	if l, ok := heldOut[modeNames[inference]]; ok {
		loss = l.Loss
	}
	line := decisionLine{Step: t.state.Step, Epoch: e.number, Stage: e.stage.Name}
	var improvement *float64
	if t.shift, improvement = t.shift.Decide(t.o.Adaptive, t.state.Step, loss); improvement != nil {
		line.Decision.Improvement = finite(*improvement)
	}
	line.Decision.Shift, line.Decision.HeldOut = t.shift.S, heldOut
	line.Decision.Inference, line.Decision.Training = t.shift.Weights()
	if t.state.Curriculum, err = json.Marshal(t.shift); err != nil {
		return fmt.Errorf("remembering the weights: %w", err)
	}
	return t.journal.write(line)
}

// recall takes up what a checkpoint remembers of an adaptive stage.
func (t *trainer) recall() error {
	if len(t.state.Curriculum) == 0 {
		return nil
	}
	if err := json.Unmarshal(t.state.Curriculum, &t.shift); err != nil {
		return fmt.Errorf("reading the checkpoint's curriculum: %w", err)
	}
	return nil
}

// schedule spans all stages.
func schedule(o *Options, total int) optim.Schedule {
	return optim.Schedule{Peak: o.LearningRate, Warmup: int(math.Ceil(o.Warmup * float64(total))), Total: total, Floor: 0.1}
}
