package fusing

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/best"
	"github.com/profuser/profuser/trainer/card"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/identity"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
	"github.com/profuser/profuser/trainer/result"
)

// trainer is one training under way.
type trainer struct {
	o        *Options
	id       identity.Identity
	sets     [modes]*dataset.Dataset
	config   decoder.Config
	result   result.Model
	corpus   *corpus
	held     []prompt // held-out prompts, once they were read
	plan     []epoch
	total    int
	schedule optim.Schedule
	learner  *loop.Learner
	forward  *loop.Forward
	journal  *journal
	watch    watch
	progress *loop.Progress
	shift    curriculum.Shift // of an adaptive stage
	state    loop.State
	saved    time.Time // of the last checkpoint
}

// ErrStopped says that the training stopped before its end, with a checkpoint to go on from.
var ErrStopped = errors.New("stopped")

// run resumes and does the rest of the plan.
func (t *trainer) run(ctx context.Context) (err error) {
	state, resumed, err := t.learner.Resume(t.o.checkpoints(), t.id, t.o.Log)
	if err != nil {
		return err
	}
	if resumed {
		t.state = state
		if err := t.recall(); err != nil {
			return err
		}
	}
	fmt.Fprintf(t.o.Log, "train: %d rows, %d prompts held out, %d rows too long; %d steps in %d epochs\n", t.corpus.rows, len(t.corpus.held), t.corpus.dropped, t.total, len(t.plan))
	if err := t.openWatch(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.closeWatch()) }()
	t.progress = loop.NewProgress(t.o.Log, t.total)
	if resumed {
		fmt.Fprintf(t.o.Log, "train: going on after step %d of %d\n", t.state.Step, t.total)
		t.progress.Resume(t.state.Step)
	} else if err := t.begin(ctx); err != nil {
		return err
	}
	for _, e := range t.plan {
		if t.state.Step >= e.first+e.batches {
			continue
		}
		if err := t.epoch(ctx, e); err != nil {
			return err
		}
	}
	t.progress.Finish()
	return t.finish()
}

// begin says where the training starts from.
func (t *trainer) begin(ctx context.Context) error {
	if err := t.readHeldOut(ctx, t.plan[0], "start", 0); err != nil {
		return err
	}
	if !t.dueDecision(t.plan[0].stage) {
		return nil
	}
	return t.decide(ctx, t.plan[0])
}

// epoch does what is left of an epoch and what belongs to its end.
func (t *trainer) epoch(ctx context.Context, e epoch) error {
	batches := t.ahead(ctx, e)
	defer batches.Close()
	for at := t.state.Step - e.first; at < e.batches; at++ {
		if err := ctx.Err(); err != nil || (t.o.StopAfter > 0 && t.state.Step == t.o.StopAfter) {
			return t.stop()
		}
		started := time.Now()
		b, waited, err := batches.Next(ctx)
		if err != nil && ctx.Err() != nil {
			return t.stop()
		} else if err != nil {
			return err
		}
		t.weigh(&e)
		if err := t.step(e, b, waited, started); err != nil {
			return err
		}
		if t.dueDecision(e.stage) {
			if err := t.decide(ctx, e); err != nil {
				return err
			}
		}
		if n := t.o.EvaluateSteps; n > 0 && t.state.Step%n == 0 && at+1 < e.batches {
			if err := t.readHeldOut(ctx, e, "step", t.state.Step); err != nil {
				return err
			}
		}
		t.state.Position = at + 1
		t.state.Seconds += time.Since(started).Seconds()
		if at+1 < e.batches && t.due() {
			if err := t.checkpoint(); err != nil {
				return err
			}
		}
	}
	end := "epoch"
	if e.last {
		end = "stage"
	}
	if err := t.readHeldOut(ctx, e, end, t.state.Step); err != nil {
		return err
	}
	if err := t.keepBest(); err != nil {
		return err
	}
	if t.o.KeepEpochs {
		dir := filepath.Join(t.o.epochs(), strconv.Itoa(e.number))
		if err := t.saveModel(dir); err != nil {
			return err
		}
	}
	return t.checkpoint()
}

// step does one batch.
func (t *trainer) step(e epoch, b *laid, waited time.Duration, started time.Time) error {
	t.state.Step++
	t.state.Stage, t.state.Epoch = e.stage.Name, e.number
	blend := t.o.blend(e.stage)
	line := stepLine{Step: t.state.Step, Epoch: e.number, Stage: e.stage.Name, LearningRate: t.rate(e.stage)}
	g := b.counts
	var sums losses
	inputs := make([][]any, len(b.micros))
	for i, m := range b.micros {
		m.weigh(g, t.o.Normalize, e.weights, blend)
		inputs[i] = m.inputs()
	}
	reports, err := t.learner.AccumulateAll(inputs)
	if err != nil {
		return fmt.Errorf("step %d: %w", t.state.Step, err)
	}
	for i, m := range b.micros {
		sums.add(m, g, t.o.Normalize, reports[i][0], reports[i][1])
	}
	line.Tokens, line.Wait = b.tokens(), seconds(waited)
	line.take(sums, g, e.weights, blend)
	norm, err := math.NaN(), error(loop.ErrNotFinite)
	if line.Loss != nil {
		norm, err = t.learner.Apply(line.LearningRate, 1)
	} else {
		t.learner.Drop()
	}
	line.GradNorm = finite(norm)
	if errors.Is(err, loop.ErrNotFinite) {
		t.state.Bad++
		for _, p := range b.prompts {
			line.Bad = append(line.Bad, p.id)
		}
	} else if err != nil {
		return fmt.Errorf("step %d: %w", t.state.Step, err)
	}
	line.Seconds = seconds(time.Since(started))
	line.Utilisation = t.utilisation(b, time.Since(started))
	if err := t.journal.write(line); err != nil {
		return err
	}
	return t.show(line)
}

// take fills in the losses; Loss stays nil when it is not finite.
func (l *stepLine) take(s losses, g global, weights [modes]float64, blend objective.Blend) {
	var loss, text, teacher float64
	parts := [modes]**float64{&l.LossInference, &l.LossTraining}
	for m := range modes {
		if g.examples[m] == 0 {
			continue
		}
		of := blend.Of(s.text[m], s.teacher[m])
		*parts[m] = finite(of)
		loss += weights[m] * of
		text += weights[m] * s.text[m]
		teacher += weights[m] * s.teacher[m]
	}
	l.Loss, l.SFT, l.KL = finite(loss), finite(text), finite(teacher)
}

// finite is x, or nil when JSON has no word for it.
func finite(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// readHeldOut writes the losses on the held-out prompts, of both modes whatever the stage weighs.
func (t *trainer) readHeldOut(ctx context.Context, e epoch, end string, step int) error {
	line := heldOutLine{Step: step, Epoch: e.number, Stage: e.stage.Name, End: end}
	if end == "start" {
		line.Epoch = 0
	}
	var err error
	if line.HeldOut, err = t.heldOut(ctx, e.stage); err != nil {
		return err
	}
	if err := t.journal.write(line); err != nil {
		return err
	}
	return t.writeSamples(line)
}

// heldOut reads the held-out prompts: the losses of both modes, weights 1, as a stage blends their parts.
func (t *trainer) heldOut(ctx context.Context, s curriculum.Stage) (map[string]heldOutLoss, error) {
	if err := t.readHeldOutPrompts(ctx); err != nil {
		return nil, err
	}
	examples, g := collect(t.held, flags{true, true})
	blend := t.o.blend(s)
	out := map[string]heldOutLoss{}
	var sums losses
	for _, m := range cut(examples, g, t.o, [modes]float64{1, 1}, blend) {
		reports, err := t.forward.Call(m.inputs()...)
		if err != nil {
			return nil, fmt.Errorf("reading the held-out prompts: %w", err)
		}
		sums.add(m, g, t.o.Normalize, reports[0], reports[1])
	}
	for m := range modes {
		if g.examples[m] > 0 && finite(sums.text[m]) != nil && finite(sums.teacher[m]) != nil {
			out[modeNames[m]] = heldOutLoss{Loss: blend.Of(sums.text[m], sums.teacher[m]), SFT: sums.text[m], KL: sums.teacher[m], Examples: g.examples[m]}
		}
	}
	return out, nil
}

// due reports whether a checkpoint inside an epoch should be made now.
func (t *trainer) due() bool {
	if n := t.o.CheckpointSteps; n > 0 {
		return t.state.Step%n == 0
	}
	return time.Since(t.saved) > time.Minute
}

// checkpoint saves all that is needed to go on; the metrics so far are on the disk before it.
func (t *trainer) checkpoint() error {
	if err := t.syncWatch(); err != nil {
		return err
	}
	t.saved = time.Now()
	return t.learner.Save(t.o.checkpoints(), t.state, t.o.KeepLast)
}

// stop ends a run before its end.
func (t *trainer) stop() error {
	if err := t.checkpoint(); err != nil {
		return err
	}
	return fmt.Errorf("%w after step %d of %d; the same command goes on from there", ErrStopped, t.state.Step, t.total)
}

// saveModel writes a Hugging Face directory that appears whole or not at all, with what the metrics say so far.
func (t *trainer) saveModel(dir string) error {
	c := card.Card{About: t.o.About, Settings: t.o.Settings, Metrics: t.o.metrics(), Digest: t.id.Digest}
	for _, d := range t.sets {
		if d != nil {
			c.Sets = append(c.Sets, card.SetOf(d))
		}
	}
	if t.o.SaveAdapter {
		c.Adapter = t.o.LoRA.Rank
	}
	var err error
	if t.result.Card, err = c.Markdown(); err != nil {
		return err
	}
	return t.result.Save(dir)
}

// keepBest keeps the model if the last reading of the held-out prompts is among the best.
func (t *trainer) keepBest() error {
	if t.o.KeepBest == 0 {
		return nil
	}
	readings, _, err := card.Readings(t.o.metrics())
	if err != nil {
		return err
	}
	if len(readings) == 0 || readings[len(readings)-1].Step != t.state.Step {
		return nil // no held-out prompt has an example, or its loss is not finite
	}
	losses := readings[len(readings)-1].Losses()
	return best.Keep(t.o.best(), t.o.KeepBest, best.Record{Step: t.state.Step, Loss: best.Mean(losses), Losses: losses}, t.saveModel)
}

// finish saves the result and marks the training as finished.
func (t *trainer) finish() error {
	if err := t.saveModel(t.o.model()); err != nil {
		return err
	}
	b, err := json.Marshal(mark{t.id.Digest, t.total, t.id.Items})
	if err == nil {
		err = loop.WriteSynced(t.o.done()+".tmp", append(b, '\n'))
	}
	if err == nil {
		err = os.Rename(t.o.done()+".tmp", t.o.done())
	}
	if err != nil {
		return fmt.Errorf("marking the training as finished: %w", err)
	}
	fmt.Fprintf(t.o.Log, "train: %d steps in %s: %s\n", t.total, time.Duration(t.state.Seconds*float64(time.Second)).Round(time.Millisecond), t.o.model())
	return nil
}
