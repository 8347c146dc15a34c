package fusing

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/gomlx/compute/dtypes"

	"github.com/profuser/profuser/trainer/board"
	"github.com/profuser/profuser/trainer/flops"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/samples"
)

// watch is what lets one see how a training goes, beside metrics.jsonl.
type watch struct {
	model   flops.Model
	peak    float64 // operations a second; 0: unknown
	samples *journal
	greedy  *samples.Greedy
	asked   []prompt // the prompts of samples
}

// sampleLine is what samples.jsonl says of one answer.
type sampleLine struct {
	Step  int    `json:"step"`
	Epoch int    `json:"epoch"`
	Stage string `json:"stage"`
	ID    string `json:"id"`
	// Prompt is the rendered prompt; Reference the text of training mode, empty where there is none.
	Prompt    string `json:"prompt"`
	Reference string `json:"reference,omitempty"`
	// Answer is the model's; Finished is false when it was cut at the limit.
	Answer   string `json:"answer"`
	Finished bool   `json:"finished"`
}

// openWatch opens the files to go on after the state's step, and measures the peak.
func (t *trainer) openWatch(ctx context.Context) (err error) {
	if t.journal, err = openJournal(t.o.metrics(), t.state.Step); err != nil {
		return err
	}
	if t.journal.board, err = board.Open(t.o.tensorboard(), t.state.Step); err != nil {
		return errors.Join(err, t.closeWatch())
	}
	var parameters, trained int64
	for v := range t.learner.Store().IterVariables() {
		parameters += int64(v.Shape().Size())
		if v.Trainable {
			trained += int64(v.Shape().Size())
		}
	}
	t.watch.model, t.watch.peak = flops.Of(t.config, parameters, trained), t.o.PeakFlops
	if t.watch.peak == 0 {
		dtype := dtypes.Float32
		if t.o.Precision == loop.BFloat16 {
			dtype = dtypes.BFloat16
		}
		if t.watch.peak, err = flops.Peak(t.learner.Backend(), dtype); err != nil {
			return errors.Join(err, t.closeWatch())
		}
		t.watch.peak *= float64(max(1, t.o.Devices))
		fmt.Fprintf(t.o.Log, "train: %d weights; the backend multiplies matrices at %.3g %s operations a second (trainer.peak_flops)\n", parameters, t.watch.peak, strings.ToLower(dtype.String()))
	}
	if t.o.Samples > 0 {
		if err = t.openSamples(ctx); err != nil {
			return errors.Join(err, t.closeWatch())
		}
	}
	return nil
}

// openSamples chooses the held-out prompts with the smallest hashes that leave room for an answer.
func (t *trainer) openSamples(ctx context.Context) (err error) {
	if t.watch.samples, err = openJournal(t.o.samples(), t.state.Step); err != nil {
		return err
	}
	if err = t.readHeldOutPrompts(ctx); err != nil {
		return err
	}
	t.watch.asked = slices.Clone(t.held)
	slices.SortFunc(t.watch.asked, func(a, b prompt) int { return cmp.Compare(hashOf(a.id), hashOf(b.id)) })
	t.watch.asked = t.watch.asked[:min(t.o.Samples, len(t.watch.asked))]
	if len(t.watch.asked) == 0 {
		return fmt.Errorf("trainer.samples: %d, but no prompt is held out: raise prompts.holdout", t.o.Samples)
	}
	var prompts [][]int32
	for _, p := range t.watch.asked {
		prompts = append(prompts, p.tokens())
	}
	t.watch.greedy, err = samples.NewGreedy(t.learner, t.config, prompts, t.o.SampleTokens, t.result.Format.StopIDs())
	return err
}

// tokens are those of the prompt alone.
func (p prompt) tokens() []int32 {
	for _, of := range p.examples {
		if len(of) > 0 {
			return of[0].IDs[:of[0].Prompt]
		}
	}
	return nil
}

// writeSamples writes what the model answers at a moment when the held-out losses are read.
func (t *trainer) writeSamples(at heldOutLine) error {
	if t.watch.greedy == nil {
		return nil
	}
	answers, err := t.watch.greedy.Answers()
	if err != nil {
		return err
	}
	tokens := t.result.Format.Tokenizer()
	for i, a := range answers {
		p := t.watch.asked[i]
		line := sampleLine{Step: at.Step, Epoch: at.Epoch, Stage: at.Stage, ID: p.id, Prompt: tokens.Decode(p.tokens(), false), Answer: tokens.Decode(a.IDs, true), Finished: a.Finished}
		if of := p.examples[training]; len(of) > 0 {
			line.Reference = tokens.Decode(of[0].IDs[of[0].Prompt:], true)
		}
		if err := t.watch.samples.write(line); err != nil {
			return err
		}
		if err := t.journal.board.Text(at.Step, fmt.Sprintf("sample/%d", i), fmt.Sprintf("    %s\n\n%s", line.Prompt, line.Answer)); err != nil {
			return err
		}
	}
	return nil
}

// readHeldOutPrompts reads them the first time.
func (t *trainer) readHeldOutPrompts(ctx context.Context) (err error) {
	if t.held != nil {
		return nil
	}
	t.held, err = t.corpus.heldOutPrompts(ctx)
	if ctx.Err() != nil {
		return fmt.Errorf("%w while reading the held-out prompts; the same command goes on from the last checkpoint", ErrStopped)
	}
	return err
}

// utilisation is the model FLOPs utilisation of a batch that took so long.
func (t *trainer) utilisation(b *laid, took time.Duration) float64 {
	if !(t.watch.peak > 0) {
		return 0
	}
	lengths, predicted := make([]int, len(b.examples)), 0
	for i, e := range b.examples {
		lengths[i] = e.Inputs()
		predicted += e.Answers()
	}
	return math.Round(1e4*t.watch.model.Step(lengths, predicted)/took.Seconds()/t.watch.peak) / 1e4
}

// syncWatch puts what was written so far on the disk.
func (t *trainer) syncWatch() error {
	for _, j := range []*journal{t.journal, t.watch.samples} {
		if j == nil {
			continue
		}
		if err := j.f.Sync(); err != nil {
			return fmt.Errorf("writing metrics: %w", err)
		}
	}
	return nil
}

func (t *trainer) closeWatch() error {
	var err error
	for _, j := range []*journal{t.journal, t.watch.samples} {
		if j != nil {
			err = errors.Join(err, j.close())
		}
	}
	return err
}

// text is a step as the progress shows it.
func (l stepLine) text() string {
	s := fmt.Sprintf("%s  loss %.4f", l.Stage, *l.Loss)
	if l.LossInference != nil && l.LossTraining != nil {
		s += fmt.Sprintf(" (inference %.4f, training %.4f)", *l.LossInference, *l.LossTraining)
	}
	s += fmt.Sprintf("  lr %.3g  grad %.2f  wait %.1f%%", l.LearningRate, *l.GradNorm, 100*l.Wait/l.Seconds)
	if l.Utilisation > 0 {
		s += fmt.Sprintf("  utilisation %.1f%%", 100*l.Utilisation)
	}
	return s
}

// show reports a step, and ends the run when too many were bad.
func (t *trainer) show(line stepLine) error {
	if line.Bad == nil {
		t.progress.Step(line.Tokens, line.text())
		return nil
	}
	fmt.Fprintf(t.o.Log, "step %d: loss or gradient is not finite, not applied (%d so far); its %d prompts are in %s\n", line.Step, t.state.Bad, len(line.Bad), t.o.metrics())
	if t.state.Bad >= t.o.MaxBadSteps {
		return fmt.Errorf("step %d: %d steps had a loss or gradient that is not finite, trainer.max_bad_steps is %d: lower trainer.learning_rate, or look at the prompts listed in %s", line.Step, t.state.Bad, t.o.MaxBadSteps, t.o.metrics())
	}
	return nil
}
