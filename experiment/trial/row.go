package trial

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/profuser/profuser/experiment/design"
	"github.com/profuser/profuser/experiment/material"
)

// Result is what one row gave with one seed.
type Result struct {
	// Sets are the benchmarks' scores from 0 to 1: acc_norm of arc_challenge and hellaswag, the strict match of gsm8k, mc2 of
	// truthfulqa, else acc.
	Sets map[string]float64 `json:"sets"`
	// Free are the shares of held-out questions answered right in the model's own words, by kind; Chars is the answers' mean length.
	Free  map[string]float64 `json:"free"`
	Chars float64            `json:"chars"`
	// NatsPerByte is the cross-entropy of the held-out references, which are in the fuller style.
	NatsPerByte float64 `json:"nats_per_byte"`
	// Reward is the mean of the reward models' scores of those answers, Curve the same by epoch for the rows that want it.
	Reward *float64 `json:"reward,omitempty"`
	Curve  []Score  `json:"curve,omitempty"`
	// Updates are the optimizer's steps, Exposures the texts shown for each prompt, Seconds the training's time.
	Updates   int     `json:"updates,omitempty"`
	Exposures float64 `json:"exposures,omitempty"`
	Seconds   float64 `json:"seconds,omitempty"`
}

// row is one row with one seed.
type row struct {
	condition
	design.Row
	section string
}

// label names a row and its seed for people.
func (r row) label() string { return fmt.Sprintf("%s/%s, seed %d", r.section, r.Name, r.seed) }

// digest is what the row's result depends on; names of rows and sections do not count.
func (l *Lab) rowDigest(r row) string {
	d := l.Design
	how := []any{revision, "row", l.groundDigest(r.condition), d.SetItems, r.Set, r.Model, r.Merge}
	if r.Merge != "" {
		for _, name := range slices.Sorted(maps.Keys(d.Models)) {
			if strings.Contains(r.Merge, "{"+name+"}") {
				how = append(how, l.modelDigest(name))
			}
		}
	}
	return digest(how...)
}

// rows are all rows, seed by seed, so that a stopped experiment has whole tables of its first seeds; those without training
// come once.
func (l *Lab) rows() (all []row) {
	for _, seed := range l.Design.Seeds {
		for _, s := range l.Design.Sections {
			for _, r := range s.Rows {
				c := condition{seed: seed, wrong: s.Wrong, short: s.Short, formats: s.Formatted, target: s.Target}
				for _, option := range r.Set {
					if strings.HasPrefix(option, "sources=") {
						c.sources = option
					}
				}
				if r.Set != nil || seed == l.Design.Seeds[0] {
					all = append(all, row{c, r, s.Name})
				}
			}
		}
	}
	return all
}

func (l *Lab) resultFile(r row) string {
	return filepath.Join(l.Dir, "results", l.rowDigest(r)+".json")
}

// ErrBusy says that another experiment works in the folder.
var ErrBusy = errors.New("wait for it, or give another -out")

// Run does what is not done yet. Another one in the same folder is refused.
func (l *Lab) Run(ctx context.Context) error {
	if err := os.MkdirAll(l.Dir, 0o755); err != nil {
		return err
	}
	lock, err := os.Open(l.Dir)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("another experiment works in %s: %w", l.Dir, ErrBusy)
	}
	return perform(ctx, l.tasks(), l.Design.Jobs, l.Say)
}

// tasks are what is not done yet, in the order in which it is begun.
func (l *Lab) tasks() []task {
	tasks := []task{l.sets()}
	var lessons, grounds, rows []task
	seen := map[string]bool{}
	add := func(to *[]task, t task) {
		if !seen[t.name] {
			seen[t.name] = true
			*to = append(*to, t)
		}
	}
	for _, r := range l.rows() {
		t := task{name: r.label(), run: func(ctx context.Context) error { return l.measureRow(ctx, r) }}
		if exists(l.resultFile(r)) && exists(l.scoresFile(r)) || seen[l.rowDigest(r)] {
			continue
		}
		seen[l.rowDigest(r)] = true
		g := l.ground(r.condition)
		t.needs = []string{"benchmark sets", g.name}
		for _, name := range slices.Sorted(maps.Keys(l.Design.Models)) {
			if r.Model == name || strings.Contains(r.Merge, "{"+name+"}") || slices.Contains(l.competitors(r.condition), name) {
				add(&lessons, l.lesson(name))
				t.needs = append(t.needs, "lesson "+name)
			}
		}
		add(&grounds, g)
		add(&rows, t)
	}
	// A section's common steps come just before its first row needs them: rows that are ready go first.
	return slices.Concat(tasks, lessons, interleave(rows, grounds))
}

// interleave puts each ground before the first row that needs it.
func interleave(rows, grounds []task) (all []task) {
	for _, r := range rows {
		for i, g := range grounds {
			if slices.Contains(r.needs, g.name) {
				all = append(all, g)
				grounds = slices.Delete(slices.Clone(grounds), i, i+1)
				break
			}
		}
		all = append(all, r)
	}
	return all
}

// measureRow trains or merges, measures, keeps the result, and has the answers scored.
func (l *Lab) measureRow(ctx context.Context, r row) error {
	if exists(l.resultFile(r)) {
		return l.score(ctx, r)
	}
	ground, dir := l.groundDir(r.condition), l.rowDir(r)
	if err := copyCommon(ground, dir); err != nil {
		return err
	}
	answers, err := "fused", error(nil)
	var out Result
	switch {
	case r.Model != "":
		answers = r.Model
	case r.Merge != "":
		err = l.merge(ctx, r, dir)
	default:
		out, err = l.train(ctx, r, dir)
	}
	if err != nil {
		return err
	}
	if out.Sets, err = l.askSets(ctx, r, l.model(r), dir); err != nil {
		return err
	}
	if err := out.readAnswers(ctx, dir, answers); err != nil {
		return err
	}
	data, err := json.MarshalIndent(out, "", " ")
	if err != nil {
		return err
	}
	if err := write(l.resultFile(r), append(data, '\n')); err != nil {
		return err
	}
	return l.score(ctx, r)
}

func (l *Lab) rowDir(r row) string { return filepath.Join(l.Dir, "rows", l.rowDigest(r)) }

// model is the folder of the model that is measured.
func (l *Lab) model(r row) string {
	if r.Model != "" {
		return l.modelDir(r.Model)
	}
	return filepath.Join(l.rowDir(r), "model")
}

// tidy keeps the models, their curve and their answers.
func tidy(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if !slices.Contains([]string{"model", "trainer", "evaluation", "fusion.yaml"}, e.Name()) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.RemoveAll(filepath.Join(dir, "trainer", "checkpoints")), os.RemoveAll(filepath.Join(dir, "trainer", "tensorboard")))
}

// train makes a row's dataset and model, and lets the model answer.
func (l *Lab) train(ctx context.Context, r row, dir string) (out Result, err error) {
	config := filepath.Join(dir, "fusion.yaml")
	var set []string
	for _, option := range r.Set {
		set = append(set, "--set", option)
	}
	run := func(program string, args ...string) {
		if err == nil {
			err = l.command(ctx, "row-"+l.rowDigest(r), program, append(args, set...)...)
		}
	}
	run(l.Profuser, "run", config)
	start := time.Now()
	run(l.Trainer, "train", config)
	out.Seconds = time.Since(start).Seconds()
	run(l.Profuser, "evaluate", config)
	if err != nil {
		return out, err
	}
	return out, out.readCurve(filepath.Join(dir, "trainer", "metrics.jsonl"))
}

// readCurve counts updates and exposures.
func (out *Result) readCurve(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	modes, epochs := 0, 0
	for s := bufio.NewScanner(bytes.NewReader(data)); s.Scan(); {
		var line struct {
			Step      int      `json:"step"`
			Epoch     int      `json:"epoch"`
			Loss      *float64 `json:"loss"`
			Inference *float64 `json:"loss_inference"`
			Training  *float64 `json:"loss_training"`
		}
		if err := json.Unmarshal(s.Bytes(), &line); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if line.Loss == nil {
			continue
		}
		out.Updates, epochs = line.Step, line.Epoch
		for _, mode := range []*float64{line.Inference, line.Training} {
			if mode != nil {
				modes++
			}
		}
	}
	if out.Updates > 0 {
		out.Exposures = float64(modes) / float64(out.Updates) * float64(epochs)
	}
	return nil
}

// merge makes a merged model and lets it answer.
func (l *Lab) merge(ctx context.Context, r row, dir string) error {
	text := r.Merge
	for _, name := range slices.Sorted(maps.Keys(l.Design.Models)) {
		path, err := filepath.Abs(l.modelDir(name))
		if err != nil {
			return err
		}
		text = strings.ReplaceAll(text, "{"+name+"}", path)
	}
	file, log := filepath.Join(dir, "merge.yaml"), "row-"+l.rowDigest(r)
	if err := write(file, []byte(text)); err != nil {
		return err
	}
	if model := filepath.Join(dir, "model"); !exists(model) {
		if err := l.command(ctx, log, l.Trainer, "merge", "--config", file, "--out", model); err != nil {
			return err
		}
	}
	return l.command(ctx, log, l.Profuser, "evaluate", filepath.Join(dir, "fusion.yaml"))
}

// metrics are the benchmarks' headline metrics, as summary.json names them.
var metrics = map[string]string{
	"mmlu": "acc,none", "hellaswag": "acc_norm,none", "arc_challenge": "acc_norm,none", "winogrande": "acc,none", "gsm8k": "exact_match,strict-match", "truthfulqa": "acc,none",
}

// askSets measures a model on the six sets, by chat and without examples.
func (l *Lab) askSets(ctx context.Context, r row, model, dir string) (map[string]float64, error) {
	scores := map[string]float64{}
	for _, name := range material.Benchmarks {
		task, shots := name, []string{"--shots", "0"}
		if name == "truthfulqa" {
			task, shots = "truthfulqa_mc2", nil
		}
		out := filepath.Join(dir, "sets", name)
		args := append([]string{
			"evaluate", "--task", task, "--model", model, "--items", filepath.Join(l.setsDir(), name+".jsonl"), "--out", out,
			"--apply-chat-template", "--max-new-tokens", "48",
		}, shots...)
		if err := l.command(ctx, "row-"+l.rowDigest(r), l.Profuser, args...); err != nil {
			return nil, err
		}
		data, err := os.ReadFile(filepath.Join(out, "summary.json"))
		if err != nil {
			return nil, err
		}
		var summary struct{ Results, Groups map[string]map[string]any }
		if err := json.Unmarshal(data, &summary); err != nil {
			return nil, err
		}
		values := summary.Results[task]
		if g, ok := summary.Groups[task]; ok {
			values = g
		}
		score, ok := values[metrics[name]].(float64)
		if !ok {
			return nil, fmt.Errorf("%s/summary.json: %s has no %s", out, task, metrics[name])
		}
		scores[name] = score
	}
	return scores, nil
}
