package compare

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/internal/report/records"
	"github.com/profuser/profuser/schemas"
)

// Comparison is report-compare.json. "here" is the run that was asked for, "there" the other one; a mark that one run lacks
// is not there.
type Comparison struct {
	// Here and There name the runs.
	Here  string `json:"here"`
	There string `json:"there"`
	// Missing says what one of them has not made.
	Missing []string `json:"missing"`
	// Settings are the keys in which they differ.
	Settings []Setting `json:"settings"`
	// Marks compare models on held-out items.
	Marks []Mark `json:"marks"`
	// WinRates are the target's against each source.
	WinRates []WinRate `json:"win_rates"`
	// Agreements say of each mode how often both runs have the same winner.
	Agreements []Agreement `json:"agreements"`
	// Benchmarks compare results of profuser evaluate --task in folders of the same path.
	Benchmarks []Benchmark `json:"benchmarks"`
	// Costs are those of the steps.
	Costs []Cost `json:"costs"`
}

// Setting is a key with two values.
type Setting struct {
	// Steps name those whose results depend on it.
	Steps []string `json:"steps"`
	// Key is the configuration's, or says which files.
	Key string `json:"key"`
	// Here and There are the values as they were recorded, "" where the key has no effect.
	Here  string `json:"here"`
	There string `json:"there"`
}

// Mark compares one model of both runs.
type Mark struct {
	// Model is its name; Skill is all, or the items' first tag.
	Model string `json:"model"`
	Skill string `json:"skill"`
	// Measure is accuracy (more is better) or nats_per_byte, the mean over items of the cross-entropy of the reference (less is
	// better).
	Measure string `json:"measure"`
	Paired
}

// WinRate is the target's against one source in one mode; nil where a run has none.
type WinRate struct {
	Mode   string   `json:"mode"`
	Source string   `json:"source"`
	Here   *float64 `json:"here"`
	There  *float64 `json:"there"`
}

// Agreement counts the prompts that both runs decided.
type Agreement struct {
	Mode string `json:"mode"`
	// Prompts is their number, OnlyHere and OnlyThere are those that one run decided alone.
	Prompts   int `json:"prompts"`
	OnlyHere  int `json:"only_here"`
	OnlyThere int `json:"only_there"`
	// Same is the number with the same winner.
	Same int `json:"same"`
	// Winners counts prompts by winner here, then there.
	Winners map[string]map[string]int `json:"winners"`
	// Changed are the first prompts, by id, with another winner.
	Changed []Change `json:"changed"`
}

// Change is a prompt with another winner.
type Change struct {
	ID     string `json:"id"`
	Prompt string `json:"prompt"`
	Here   string `json:"here"`
	There  string `json:"there"`
}

// Benchmark compares a metric of one task; the items are not paired.
type Benchmark struct {
	// Folder, Task and Metric say which.
	Folder string `json:"folder"`
	Task   string `json:"task"`
	Metric string `json:"metric"`
	// Here and There are the values, with standard errors where there are any.
	Here       float64 `json:"here"`
	HereError  float64 `json:"here_error"`
	There      float64 `json:"there"`
	ThereError float64 `json:"there_error"`
	// Difference is Here - There, StandardError √(HereError² + ThereError²).
	Difference    float64 `json:"difference"`
	StandardError float64 `json:"standard_error"`
}

// Cost is a step's in both runs; zero where a run has not made it.
type Cost struct {
	Step         string  `json:"step"`
	HereSeconds  float64 `json:"here_seconds"`
	ThereSeconds float64 `json:"there_seconds"`
	HereBytes    int64   `json:"here_peak_bytes"`
	ThereBytes   int64   `json:"there_peak_bytes"`
	HereRows     int     `json:"here_rows"`
	ThereRows    int     `json:"there_rows"`
}

// compared sets the runs against each other.
func compared(here, there *loaded) Comparison {
	c := Comparison{Here: here.name, There: there.name, Missing: []string{}, Settings: settings(here, there), Marks: []Mark{}}
	for _, step := range records.Order {
		c.absent(step, here.settings[step] != nil, there.settings[step] != nil)
	}
	for _, model := range union(here.evaluations, there.evaluations) {
		a, b := here.evaluations[model], there.evaluations[model]
		if c.absent("the evaluation of "+model, a != nil, b != nil); a != nil && b != nil {
			c.Marks = append(c.Marks, marks(model, a, b)...)
		}
	}
	c.absent("the training's metrics", here.metrics != nil, there.metrics != nil)
	c.WinRates = winRates(here, there)
	c.Agreements = agreements(here, there)
	c.Benchmarks = benchmarks(here, there)
	c.Costs = costs(here, there)
	return c
}

// absent notes what only one run has.
func (c *Comparison) absent(what string, here, there bool) {
	if here == there {
		return
	}
	name := c.Here
	if here {
		name = c.There
	}
	if slices.Contains(records.Order, what) {
		what = "the step " + what
	}
	c.Missing = append(c.Missing, fmt.Sprintf("%s lacks %s", name, what))
}

// union are the keys of two maps, sorted.
func union[T any](a, b map[string]T) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]T{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// settings lists the keys in which steps that both runs have made differ, each once.
func settings(here, there *loaded) []Setting {
	out := []Setting{}
	at := map[[3]string]int{}
	for _, step := range records.Order {
		a, b := here.settings[step], there.settings[step]
		if a == nil || b == nil {
			continue
		}
		for _, key := range union(a, b) {
			if a[key] == b[key] {
				continue
			}
			same := [3]string{key, a[key], b[key]}
			if i, ok := at[same]; ok {
				out[i].Steps = append(out[i].Steps, step)
				continue
			}
			at[same] = len(out)
			out = append(out, Setting{[]string{step}, key, a[key], b[key]})
		}
	}
	return out
}

// marks compares a model's results: accuracy by skill, and cross-entropy.
func marks(model string, here, there map[string]schemas.Evaluation) []Mark {
	type both struct{ right, otherRight, nats, otherNats []float64 }
	all, bySkill := &both{}, map[string]*both{}
	number := map[bool]float64{true: 1}
	for _, id := range slices.Sorted(maps.Keys(here)) {
		a := here[id]
		b, ok := there[id]
		if !ok {
			continue
		}
		if bySkill[a.Skill] == nil {
			bySkill[a.Skill] = &both{}
		}
		for _, x := range []*both{all, bySkill[a.Skill]} {
			x.right, x.otherRight = append(x.right, number[a.Correct]), append(x.otherRight, number[b.Correct])
			if a.Bytes > 0 && b.Bytes > 0 {
				x.nats, x.otherNats = append(x.nats, a.Nats/float64(a.Bytes)), append(x.otherNats, b.Nats/float64(b.Bytes))
			}
		}
	}
	out := []Mark{{model, "all", "accuracy", pair(all.right, all.otherRight)}}
	for _, skill := range slices.Sorted(maps.Keys(bySkill)) {
		out = append(out, Mark{model, skill, "accuracy", pair(bySkill[skill].right, bySkill[skill].otherRight)})
	}
	if len(all.nats) > 0 {
		out = append(out, Mark{model, "all", "nats_per_byte", pair(all.nats, all.otherNats)})
	}
	return out
}

// table counts a run's wins, on the responses that were candidates.
func (l *loaded) table() *advantage.Table {
	t := advantage.NewTable(l.target)
	judges := slices.Sorted(maps.Keys(l.rewards))
	for _, mode := range schemas.Modes {
		for _, id := range slices.Sorted(maps.Keys(l.selections[mode])) {
			s := l.selections[mode][id]
			t.Add(s)
			if mode != schemas.ModeInference {
				continue
			}
			var responses []advantage.Response
			for _, candidate := range s.Candidates {
				r := advantage.Response{Source: candidate.Source, Sample: candidate.Sample}
				for _, judge := range judges {
					score, ok := l.rewards[judge][candidate.Key(id)]
					if !ok {
						score = math.NaN()
					}
					r.Scores = append(r.Scores, score)
				}
				responses = append(responses, r)
			}
			t.Responses(responses, advantage.Filters{})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(l.readings[l.target])) {
		var readings []advantage.Reading
		for name, of := range l.readings {
			if r, ok := of[id]; ok {
				readings = append(readings, advantage.Reading{Source: name, Nats: r.Nats, Bytes: r.Bytes, Tokens: r.Tokens})
			}
		}
		t.Readings(readings)
	}
	return t
}

// winRates compares the target's, of modes and sources that a run has.
func winRates(here, there *loaded) []WinRate {
	a, b := here.table(), there.table()
	share := func(t *advantage.Table, mode, source string) *float64 {
		if r := t.Against[mode][source]; r != nil && r.N > 0 {
			x := r.Share()
			return &x
		}
		return nil
	}
	out := []WinRate{}
	for _, mode := range schemas.Modes {
		for _, source := range union(a.Against[mode], b.Against[mode]) {
			w := WinRate{mode, source, share(a, mode, source), share(b, mode, source)}
			if w.Here != nil || w.There != nil {
				out = append(out, w)
			}
		}
	}
	return out
}

// changesShown is how many prompts with another winner are listed.
const changesShown = 50

// agreements compares winners prompt by prompt.
func agreements(here, there *loaded) []Agreement {
	out := []Agreement{}
	for _, mode := range schemas.Modes {
		a, b := here.selections[mode], there.selections[mode]
		if a == nil || b == nil {
			continue
		}
		g := Agreement{Mode: mode, Winners: map[string]map[string]int{}, Changed: []Change{}}
		for _, id := range union(a, b) {
			x, ok := a[id]
			y, other := b[id]
			switch {
			case !other:
				g.OnlyHere++
				continue
			case !ok:
				g.OnlyThere++
				continue
			}
			g.Prompts++
			if g.Winners[x.Source] == nil {
				g.Winners[x.Source] = map[string]int{}
			}
			g.Winners[x.Source][y.Source]++
			if x.Source == y.Source {
				g.Same++
			} else if len(g.Changed) < changesShown {
				g.Changed = append(g.Changed, Change{id, beginning(here.prompts[id]), x.Source, y.Source})
			}
		}
		out = append(out, g)
	}
	return out
}

// beginning is the start of a prompt's last turn.
func beginning(p schemas.Prompt) string {
	if len(p.Messages) == 0 {
		return ""
	}
	return draw.Clip(strings.Join(strings.Fields(p.Messages[len(p.Messages)-1].Content), " "), 100)
}

// benchmarks compares the metrics that both runs have of the same folder and task. Their keys are such as "acc,none", beside
// "acc_stderr,none" with a number, or "N/A" where the error is not known.
func benchmarks(here, there *loaded) []Benchmark {
	out := []Benchmark{}
	for _, folder := range union(here.benchmarks, there.benchmarks) {
		a, b := here.benchmarks[folder].Results, there.benchmarks[folder].Results
		for _, task := range union(a, b) {
			for _, key := range union(a[task], b[task]) {
				metric, filter, isMetric := strings.Cut(key, ",")
				x, ok := a[task][key].(float64)
				y, other := b[task][key].(float64)
				if !isMetric || strings.HasSuffix(metric, "_stderr") || !ok || !other {
					continue
				}
				xError, _ := a[task][metric+"_stderr,"+filter].(float64)
				yError, _ := b[task][metric+"_stderr,"+filter].(float64)
				out = append(out, Benchmark{folder, task, strings.TrimSuffix(key, ",none"), x, xError, y, yError, x - y, math.Hypot(xError, yError)})
			}
		}
	}
	return out
}

// costs lists the steps of both runs.
func costs(here, there *loaded) []Cost {
	out := []Cost{}
	names := union(here.steps, there.steps)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(records.Place(a), records.Place(b)) })
	for _, step := range names {
		a, b := here.steps[step], there.steps[step]
		out = append(out, Cost{step, a.Seconds, b.Seconds, a.PeakBytes, b.PeakBytes, a.Rows, b.Rows})
	}
	return out
}

// shown writes a p-value.
func shown(p float64) string {
	if p < 0.0001 {
		return "< 0.0001"
	}
	return strconv.FormatFloat(p, 'f', 4, 64)
}
