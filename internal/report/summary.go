package report

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/records"
	"github.com/profuser/profuser/schemas"
)

// Summary is summary.json.
type Summary struct {
	// Models are the target, the sources and, once trained, the fused model.
	Models []ModelSummary `json:"models"`
	// Steps are what each step cost, in the order of the job.
	Steps []records.Step `json:"steps"`
	// Items is the number of held-out items.
	Items int `json:"items"`
	// Won counts the prompts that each competitor wins, by mode; empty before fuse.
	Won map[string]map[string]int `json:"won,omitempty"`
	// WinRates are the target's against each source, by mode: lower nats per byte, or preferred by more reward models.
	WinRates map[string]map[string]float64 `json:"win_rates,omitempty"`
	// Methods is the share of right answers among those that each method picks, on the prompts with a final answer.
	Methods map[string]float64 `json:"methods,omitempty"`
	// Agreements is the share of prompts on which two opinions (reward models, methods, modes, oracle) have the same
	// favourite.
	Agreements map[string]map[string]float64 `json:"agreements,omitempty"`
	// Alignments are the pairs of source and target, Storage what distributions take on disk.
	Alignments []Alignment `json:"alignments,omitempty"`
	Storage    []Storage   `json:"storage,omitempty"`
}

// ModelSummary is one model on the held-out items.
type ModelSummary struct {
	// Name is the model's; the trained one is fused.
	Name string `json:"name"`
	// Role is target, source or fused.
	Role string `json:"role"`
	// NatsPerByte is the cross-entropy of all references over their bytes.
	NatsPerByte float64 `json:"nats_per_byte"`
	// Accuracy is the share of right answers, exact match.
	Accuracy float64 `json:"accuracy"`
	// BySkill is the accuracy by the items' first tag.
	BySkill map[string]float64 `json:"by_skill"`
}

// fused is the trained model's name in evaluations.
const fused = "fused"

// summarize reads evaluations and step records.
func summarize(ctx context.Context, c *config.Config, store dataset.Store) (Summary, error) {
	var s Summary
	for _, name := range append(c.Competitors(), fused) {
		rows, err := all[schemas.Evaluation](ctx, store, "evaluation/"+name)
		if err != nil {
			return s, err
		}
		if len(rows) == 0 {
			continue
		}
		m := ModelSummary{Name: name, Role: "source", BySkill: map[string]float64{}}
		switch name {
		case c.Target.Model:
			m.Role = "target"
		case fused:
			m.Role = fused
		}
		var nats, bytes, right float64
		count := map[string]float64{}
		for _, r := range rows {
			nats += r.Nats
			bytes += float64(r.Bytes)
			count[r.Skill]++
			if r.Correct {
				right++
				m.BySkill[r.Skill]++
			} else {
				m.BySkill[r.Skill] += 0
			}
		}
		for skill, n := range count {
			m.BySkill[skill] /= n
		}
		m.NatsPerByte, m.Accuracy = nats/max(1, bytes), right/float64(len(rows))
		s.Models = append(s.Models, m)
		s.Items = max(s.Items, len(rows))
	}
	steps, err := records.Steps(ctx, store)
	s.Steps = steps
	return s, err
}

// advantage adds what the selections say.
func (s *Summary) advantage(t *advantage.Table) {
	s.Won, s.WinRates = t.Won, map[string]map[string]float64{}
	for mode, against := range t.Against {
		s.WinRates[mode] = map[string]float64{}
		for source, r := range against {
			if r.N > 0 {
				s.WinRates[mode][source] = r.Share()
			}
		}
	}
}

// opinions adds who agrees with whom, and how right the methods are.
func (s *Summary) opinions(a *advantage.Agreements, quality map[string]advantage.Rate) {
	s.Agreements, s.Methods = map[string]map[string]float64{}, map[string]float64{}
	for i, name := range a.Names {
		for j, other := range a.Names {
			if i == j || a.Rates[i][j].N == 0 {
				continue
			}
			if s.Agreements[name] == nil {
				s.Agreements[name] = map[string]float64{}
			}
			s.Agreements[name][other] = a.Rates[i][j].Share()
		}
	}
	for name, r := range quality {
		s.Methods[name] = r.Share()
	}
}

// skills are the skills of all models, sorted.
func (s Summary) skills() []string {
	seen := map[string]bool{}
	for _, m := range s.Models {
		for k := range m.BySkill {
			seen[k] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// all reads every row of a dataset; none when it is not committed.
func all[T any](ctx context.Context, store dataset.Store, name string) ([]T, error) {
	if done, err := committed(ctx, store, name); err != nil || !done {
		return nil, err
	}
	return dataset.All[T](ctx, store, name)
}

// committed says whether a dataset has a manifest.
func committed(ctx context.Context, store dataset.Store, name string) (bool, error) {
	keys, err := store.List(ctx, name+"/")
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, name+"/_MANIFEST") }), err
}

// table prints the held-out results, a row for each model.
func (s Summary) table(w io.Writer) error {
	if len(s.Models) == 0 {
		_, err := fmt.Fprintln(w, "nothing has been evaluated yet (profuser evaluate)")
		return err
	}
	fmt.Fprintf(w, "Held out, %d items: cross-entropy of the references (nats per byte), exact-match accuracy in all and by skill\n\n", s.Items)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(t, "model\trole\tnats/byte\taccuracy\t")
	for _, k := range s.skills() {
		fmt.Fprint(t, k, "\t")
	}
	fmt.Fprintln(t)
	for _, m := range s.Models {
		fmt.Fprintf(t, "%s\t%s\t%.4f\t%.3f\t", m.Name, m.Role, m.NatsPerByte, m.Accuracy)
		for _, k := range s.skills() {
			fmt.Fprintf(t, "%.2f\t", m.BySkill[k])
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}
