package compare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/records"
	"github.com/profuser/profuser/internal/report/scores"
	"github.com/profuser/profuser/schemas"
)

// Run is one of the two: a name for the page and where its results lie.
type Run struct {
	// Name is what the page calls it.
	Name string
	// Store is its out folder.
	Store dataset.Store
}

// loaded is what is read of a run.
type loaded struct {
	name        string
	target      string                                   // "" where no step has recorded it
	settings    map[string]map[string]string             // step, key: value
	evaluations map[string]map[string]schemas.Evaluation // model, item id
	selections  map[string]map[string]schemas.Selection  // mode, prompt id
	readings    map[string]map[string]schemas.TeacherForcing
	rewards     map[string]map[schemas.ResponseKey]float64
	prompts     map[string]schemas.Prompt
	steps       map[string]records.Step
	metrics     []metric
	epochs      []scores.Epoch
	benchmarks  map[string]benchmark // folder
}

// metric is a line of trainer/metrics.jsonl.
type metric struct {
	Step          int      `json:"step"`
	LossInference *float64 `json:"loss_inference"`
	LossTraining  *float64 `json:"loss_training"`
	HeldOut       map[string]struct {
		Loss float64 `json:"loss"`
	} `json:"held_out"`
}

// benchmark is a summary.json of profuser evaluate --task, in the public harness's shape.
type benchmark struct {
	Results     map[string]map[string]any `json:"results"`
	Conventions string                    `json:"lm_eval_conventions"`
}

// stepOf says which step made a dataset, by the first part of its name.
var stepOf = map[string]string{
	"prompts": "ingest", "generations": "generate", "rewards": "reward", "crossentropy": "crossentropy", "crossentropy-responses": "crossentropy-responses", "verdicts": "judge",
	"selections": "fuse", "fusion": "fuse", "evaluation": "evaluate",
}

// load reads a run; a folder without any dataset is an error.
func load(ctx context.Context, run Run) (*loaded, error) {
	l := &loaded{
		name: run.Name, settings: map[string]map[string]string{}, evaluations: map[string]map[string]schemas.Evaluation{}, selections: map[string]map[string]schemas.Selection{},
		readings: map[string]map[string]schemas.TeacherForcing{}, rewards: map[string]map[schemas.ResponseKey]float64{}, prompts: map[string]schemas.Prompt{},
		steps: map[string]records.Step{}, benchmarks: map[string]benchmark{},
	}
	keys, err := run.Store.List(ctx, "")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	seen := map[string]bool{}
	for _, key := range keys {
		folder, file := path.Split(key)
		name := strings.TrimSuffix(folder, "/")
		step := stepOf[strings.SplitN(name, "/", 2)[0]]
		if step == "" || seen[name] || path.Base(name) == "rejected" || !strings.HasPrefix(file, "_MANIFEST-") {
			continue
		}
		seen[name] = true
		if err := l.dataset(ctx, run.Store, name, step); err != nil {
			return nil, err
		}
	}
	if len(seen) == 0 {
		return nil, fmt.Errorf("comparing with %s: no dataset is finished there: want a run's out folder or its configuration", run.Store.URL())
	}
	return l, l.files(ctx, run.Store, keys)
}

// dataset reads one committed dataset.
func (l *loaded) dataset(ctx context.Context, store dataset.Store, name, step string) error {
	d, err := dataset.Open(ctx, store, name)
	if err != nil {
		return err
	}
	l.note(step, d.Manifest.Depends)
	l.note(step, d.Header.Depends)
	_, of, _ := strings.Cut(name, "/")
	switch step {
	case "ingest":
		return each(ctx, d, func(p schemas.Prompt) { l.prompts[p.ID] = p }, "id", "messages", "tags")
	case "crossentropy":
		l.readings[of] = map[string]schemas.TeacherForcing{}
		return each(ctx, d, func(r schemas.TeacherForcing) { l.readings[of][r.ID] = r }, "id", "source", "nats", "bytes", "tokens", "nats_per_byte")
	case "reward":
		l.rewards[of] = map[schemas.ResponseKey]float64{}
		return each(ctx, d, func(r schemas.Reward) { l.rewards[of][r.Key()] = r.Score })
	case "fuse":
		if name != "selections" {
			return nil
		}
		return each(ctx, d, func(s schemas.Selection) {
			if l.selections[s.Mode] == nil {
				l.selections[s.Mode] = map[string]schemas.Selection{}
			}
			l.selections[s.Mode][s.ID] = s
		})
	case "evaluate":
		if of == "items" {
			return nil
		}
		l.evaluations[of] = map[string]schemas.Evaluation{}
		return each(ctx, d, func(e schemas.Evaluation) { l.evaluations[of][e.ID] = e })
	}
	return nil
}

// note records the keys that a step's results depend on. Those that name other results by a digest say nothing that the
// other results' own keys do not.
func (l *loaded) note(step string, depends map[string]string) {
	for key, value := range depends {
		if strings.HasPrefix(key, "dataset ") || key == "training" || key == "models.fused files" {
			continue
		}
		if l.settings[step] == nil {
			l.settings[step] = map[string]string{}
		}
		l.settings[step][key] = value
		if key == "target.model" {
			l.target = strings.Trim(value, `"`)
		}
	}
}

// each calls f with every row of a dataset, of which the columns given are read.
func each[T any](ctx context.Context, d *dataset.Dataset, f func(T), columns ...string) error {
	for k := range d.Parts() {
		rows, err := dataset.Columns[T](ctx, d, k, columns...)
		if err != nil {
			return err
		}
		for _, row := range rows {
			f(row)
		}
	}
	return nil
}

// files reads what is no dataset: records of steps, the training's metrics and keys, reward scores, benchmarks.
func (l *loaded) files(ctx context.Context, store dataset.Store, keys []string) error {
	steps, err := records.Steps(ctx, store)
	if err != nil {
		return err
	}
	for _, s := range steps {
		l.steps[s.Step] = s
	}
	if l.metrics, err = records.Lines[metric](ctx, store, "trainer/metrics.jsonl"); err != nil {
		return err
	}
	for _, key := range keys {
		folder, file := path.Split(key)
		var err error
		switch {
		case key == "trainer/done.json":
			var done struct {
				Depends map[string]string `json:"depends"`
			}
			if err = decode(ctx, store, key, &done); err == nil {
				l.note("train", done.Depends)
			}
		case key == "evaluation/rewards.json":
			var data []byte
			if data, err = store.Read(ctx, key); err == nil {
				l.epochs, err = scores.Epochs(bytes.NewReader(data), key)
			}
		case file == "summary.json" && folder != "":
			var b benchmark
			if err = decode(ctx, store, key, &b); err == nil && b.Conventions != "" {
				l.benchmarks[strings.TrimSuffix(folder, "/")] = b
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// decode reads a JSON file.
func decode(ctx context.Context, store dataset.Store, key string, into any) error {
	data, err := store.Read(ctx, key)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("reading %s in %s: %w", key, store.URL(), err)
	}
	return nil
}
