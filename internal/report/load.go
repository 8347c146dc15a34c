package report

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"iter"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/records"
	"github.com/profuser/profuser/internal/report/scores"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

// loaded is what the page is made from.
type loaded struct {
	config      *config.Config
	summary     Summary
	prompts     []schemas.Prompt
	generations map[string]map[string][]schemas.Generation   // source, prompt id; in order of samples
	readings    map[string]map[string]schemas.TeacherForcing // source, prompt id
	// targetReadings are the target's of the responses; empty where the method needs none.
	targetReadings map[schemas.ResponseKey]schemas.TeacherForcing
	rewards        map[string]map[schemas.ResponseKey]float64 // reward model
	selections     []schemas.Selection
	fusion         map[string][]schemas.FusionExample // mode
	datasets       []datasetLine
	metrics        []metric
	samples        []sample
	epochs         []scores.Epoch          // of figure 4
	formats        map[string]*chat.Format // model; without those that cannot be loaded
	noTokens       []string                // says which
}

// datasetLine is one committed dataset.
type datasetLine struct {
	Name    string
	Parts   int
	Rows    int64
	Bytes   int64
	Rejects map[string]int64
}

// metric is a line of trainer/metrics.jsonl.
type metric struct {
	Step          int      `json:"step"`
	Stage         string   `json:"stage"`
	End           string   `json:"end"`
	Loss          *float64 `json:"loss"`
	LossInference *float64 `json:"loss_inference"`
	LossTraining  *float64 `json:"loss_training"`
	LearningRate  float64  `json:"learning_rate"`
	Seconds       float64  `json:"seconds"`
	Wait          *float64 `json:"wait"`
	Utilisation   float64  `json:"utilisation"`
	HeldOut       map[string]struct {
		Loss float64 `json:"loss"`
	} `json:"held_out"`
	// Decision holds the weights from the next step on, of an adaptive curriculum.
	Decision *struct {
		Inference float64 `json:"weight_inference"`
		Training  float64 `json:"weight_training"`
	} `json:"decision"`
}

// sample is a line of trainer/samples.jsonl.
type sample struct {
	Step      int    `json:"step"`
	ID        string `json:"id"`
	Prompt    string `json:"prompt"`
	Reference string `json:"reference"`
	Answer    string `json:"answer"`
	Finished  bool   `json:"finished"`
}

// load reads everything that is there.
func load(ctx context.Context, c *config.Config, store dataset.Store) (*loaded, error) {
	l := &loaded{
		config: c, generations: map[string]map[string][]schemas.Generation{}, readings: map[string]map[string]schemas.TeacherForcing{},
		targetReadings: map[schemas.ResponseKey]schemas.TeacherForcing{},
		rewards:        map[string]map[schemas.ResponseKey]float64{}, fusion: map[string][]schemas.FusionExample{},
	}
	var err error
	if l.summary, err = summarize(ctx, c, store); err != nil {
		return nil, err
	}
	if l.prompts, err = read[schemas.Prompt](ctx, store, l, "prompts"); err != nil {
		return nil, err
	}
	for _, name := range c.Competitors() {
		if err := l.loadSource(ctx, store, name); err != nil {
			return nil, err
		}
	}
	for _, name := range c.Reward.Models {
		rows, err := read[schemas.Reward](ctx, store, l, "rewards/"+name)
		if err != nil {
			return nil, err
		}
		l.rewards[name] = map[schemas.ResponseKey]float64{}
		for _, r := range rows {
			l.rewards[name][r.Key()] = r.Score
		}
	}
	if l.selections, err = read[schemas.Selection](ctx, store, l, "selections"); err != nil {
		return nil, err
	}
	for _, mode := range schemas.Modes {
		name := "fusion/" + mode
		if l.fusion[mode], err = read[schemas.FusionExample](ctx, store, l, name); err != nil {
			return nil, err
		}
		l.stored(name, l.size(name), sparse(l.fusion[mode], func(x schemas.FusionExample) dist.Sparse {
			return dist.Sparse{Counts: x.Counts, IDs: x.IDs, LogProbs: x.LogProbs}
		}))
	}
	if len(l.selections) > 0 {
		l.loadFormats()
		l.summary.advantage(l.table())
		l.summary.Alignments = l.alignments()
	}
	if l.metrics, err = records.Lines[metric](ctx, store, "trainer/metrics.jsonl"); err != nil {
		return nil, err
	}
	if l.samples, err = records.Lines[sample](ctx, store, "trainer/samples.jsonl"); err != nil {
		return nil, err
	}
	l.epochs, err = readRewards(ctx, store)
	return l, err
}

// rewardsFile is what profuser evaluate --reward writes.
const rewardsFile = "evaluation/rewards.json"

// readRewards reads the run's own reward scores; none before they are there.
func readRewards(ctx context.Context, store dataset.Store) ([]scores.Epoch, error) {
	b, err := store.Read(ctx, rewardsFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	return scores.Epochs(bytes.NewReader(b), rewardsFile)
}

// loadSource reads what one competitor wrote and read.
func (l *loaded) loadSource(ctx context.Context, store dataset.Store, name string) (err error) {
	generations, readings, responses := "generations/"+name, "crossentropy/"+name, "crossentropy-responses/"+name
	answers, err := read[schemas.Generation](ctx, store, l, generations)
	if err != nil {
		return err
	}
	l.generations[name] = map[string][]schemas.Generation{}
	for _, g := range answers {
		l.generations[name][g.ID] = append(l.generations[name][g.ID], g)
	}
	l.stored(generations, l.size(generations), sparse(answers, func(g schemas.Generation) dist.Sparse {
		return dist.Sparse{Counts: g.Counts, IDs: g.IDs, LogProbs: g.LogProbs}
	}))
	own, err := read[schemas.TeacherForcing](ctx, store, l, readings)
	if err != nil {
		return err
	}
	l.readings[name] = map[string]schemas.TeacherForcing{}
	for _, r := range own {
		l.readings[name][r.ID] = r
	}
	ofTarget, err := read[schemas.TeacherForcing](ctx, store, l, responses)
	if err != nil {
		return err
	}
	for _, r := range ofTarget {
		l.targetReadings[r.Key()] = r
	}
	l.stored(readings, l.size(readings), sparse(own, func(r schemas.TeacherForcing) dist.Sparse {
		return dist.Sparse{Counts: r.Counts, IDs: r.IDs, LogProbs: r.LogProbs}
	}))
	return nil
}

// sparse are the distributions of rows.
func sparse[T any](rows []T, of func(T) dist.Sparse) iter.Seq[dist.Sparse] {
	return func(yield func(dist.Sparse) bool) {
		for _, r := range rows {
			if !yield(of(r)) {
				return
			}
		}
	}
}

// size is a dataset's, in bytes.
func (l *loaded) size(name string) int64 {
	for _, d := range l.datasets {
		if d.Name == name {
			return d.Bytes
		}
	}
	return 0
}

// read is all, and notes the dataset.
func read[T any](ctx context.Context, store dataset.Store, l *loaded, name string) ([]T, error) {
	rows, err := all[T](ctx, store, name)
	if err != nil || rows == nil {
		return rows, err
	}
	d, err := dataset.Open(ctx, store, name)
	if err != nil {
		return nil, err
	}
	m := d.Manifest
	l.datasets = append(l.datasets, datasetLine{name, len(m.Parts), m.Rows, m.Bytes, m.RejectCodes})
	return rows, nil
}
