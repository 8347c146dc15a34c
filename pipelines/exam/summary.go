package exam

import (
	"math"
	"strings"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/schemas"
)

// Summary is summary.json, in the shape of the public harness's results: metrics are keys such as "acc,none" and
// "acc_stderr,none", a standard error of one item is "N/A".
type Summary struct {
	// Results has a row a task; MMLU has one a subject.
	Results map[string]map[string]any `json:"results"`
	// Groups has MMLU's rows over its subjects: acc over all items, acc_subjects over subjects.
	Groups map[string]map[string]any `json:"groups,omitempty"`
	// Configs says how each task was asked.
	Configs map[string]map[string]any `json:"configs"`
	// Versions are the harness's versions of the tasks.
	Versions map[string]float64 `json:"versions"`
	// Shots is the number of examples.
	Shots map[string]int `json:"n-shot"`
	// HigherIsBetter says so of each metric.
	HigherIsBetter map[string]map[string]bool `json:"higher_is_better"`
	// Samples counts the items in the file and those with a score.
	Samples map[string]Count `json:"n-samples"`
	// Config says who was asked.
	Config map[string]any `json:"config"`
	// Conventions is the release of lm_eval whose conventions these are.
	Conventions string `json:"lm_eval_conventions"`
}

// Count is how many items a task has.
type Count struct {
	// Original is how many were asked, Effective how many have a score: the others were rejected.
	Original  int `json:"original"`
	Effective int `json:"effective"`
}

// Summarize adds up the scores; asked counts the items of each subject ("" for a task without).
func Summarize(o Options, model string, scores []schemas.BenchmarkScore, asked map[string]int) Summary {
	t := o.task
	s := Summary{
		Results: map[string]map[string]any{}, Configs: map[string]map[string]any{}, Versions: map[string]float64{}, Shots: map[string]int{},
		HigherIsBetter: map[string]map[string]bool{}, Samples: map[string]Count{}, Conventions: "lm_eval " + harness.Version,
		Config: map[string]any{"model": model, "limit": nil},
	}
	if o.Limit > 0 {
		s.Config["limit"] = o.Limit
	}
	group := &pool{}
	for _, subject := range subjectsOf(scores) {
		name := t.Name
		if subject != "" {
			name += "_" + subject
		}
		row := map[string]any{"alias": strings.TrimPrefix(name, "mmlu_")}
		s.Versions[name], s.Shots[name], s.HigherIsBetter[name] = t.Revision, o.shots(), map[string]bool{}
		s.Configs[name] = map[string]any{"task": name, "num_fewshot": o.shots(), "fewshot_sampling": o.sampling(), "apply_chat_template": o.ChatTemplate}
		if t.Generates {
			s.Configs[name]["max_gen_toks"] = o.MaxNewTokens
		}
		n := 0
		for _, metric := range t.Metrics {
			values := valuesOf(scores, subject, metric)
			mean, stderr := harness.Mean(values)
			key, filter := keyOf(metric)
			row[key+","+filter], row[key+"_stderr,"+filter] = mean, known(stderr)
			s.HigherIsBetter[name][key] = true
			if n = len(values); metric == harness.Acc {
				group.add(mean, stderr, n)
			}
		}
		s.Results[name], s.Samples[name] = row, Count{asked[subject], n}
	}
	if t.Name == "mmlu" {
		s.Groups = map[string]map[string]any{"mmlu": group.row()}
	}
	return s
}

// sampling is how the examples were chosen.
func (o Options) sampling() string {
	if o.task.FirstOnly || o.shots() == 0 {
		return harness.FirstN
	}
	return o.Sampling
}

// keyOf is a metric's name and filter in the harness's results.
func keyOf(metric string) (key, filter string) {
	if metric == harness.Strict || metric == harness.Flexible {
		return "exact_match", metric
	}
	return metric, "none"
}

// known is a standard error as JSON has it.
func known(stderr float64) any {
	if math.IsNaN(stderr) {
		return "N/A"
	}
	return stderr
}

// subjectsOf are the subjects in the order of their first item.
func subjectsOf(scores []schemas.BenchmarkScore) []string {
	var documents []harness.Document
	for _, s := range scores {
		documents = append(documents, harness.Document{Subject: s.Subject})
	}
	return subjects(documents)
}

// valuesOf are a metric's values over the items of a subject.
func valuesOf(scores []schemas.BenchmarkScore, subject, metric string) (values []float64) {
	for _, s := range scores {
		for _, m := range s.Metrics {
			if s.Subject == subject && m.Name == metric {
				values = append(values, m.Value)
			}
		}
	}
	return values
}

// pool gathers the subjects of a group.
type pool struct {
	means, stderrs []float64
	sizes          []int
}

func (p *pool) add(mean, stderr float64, n int) {
	p.means, p.stderrs, p.sizes = append(p.means, mean), append(p.stderrs, stderr), append(p.sizes, n)
}

// row has the mean over items with the pooled standard error, and the mean over subjects.
func (p *pool) row() map[string]any {
	var sum, items float64
	for i, m := range p.means {
		sum += m * float64(p.sizes[i])
		items += float64(p.sizes[i])
	}
	subjects, _ := harness.Mean(p.means)
	return map[string]any{
		"alias": "mmlu", "acc,none": sum / items, "acc_stderr,none": known(harness.Pooled(p.stderrs, p.sizes)),
		"acc_subjects,none": subjects, "acc_subjects_stderr,none": known(harness.MeanOfMeans(p.stderrs)),
	}
}
