package checkpoints

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/schemas"
)

// Results is evaluation/rewards.json.
type Results struct {
	// Rows are the checkpoints in the order of training.
	Rows []Row `json:"rows"`
}

// Row is one checkpoint.
type Row struct {
	// Epoch, Step and Stage say when: the epoch's number over all stages, 0 before training, and its last step. A model of
	// --model has none of them.
	Epoch int    `json:"epoch"`
	Step  int    `json:"step"`
	Stage string `json:"stage"`
	// Model is its folder, or the name of a served target.
	Model string `json:"model"`
	// Responses counts the answers that every reward model has scored; the others are left out.
	Responses int `json:"responses"`
	Moments
	// Rewards are the scores of each reward model by itself, over the same answers.
	Rewards map[string]Moments `json:"rewards"`
}

// Moments are those of scores, raw logits or a judge's numbers. Of a Row they are of each answer's mean score over the reward
// models.
type Moments struct {
	// Mean is the mean, Deviation the population's standard deviation.
	Mean      float64 `json:"mean"`
	Deviation float64 `json:"sd"`
}

// momentsOf computes them.
func momentsOf(s *advantage.Stats) Moments { return Moments{s.Mean(), s.Std()} }

// Summarize adds up a checkpoint's scores: of each reward model, by response.
func Summarize(scores map[string]map[schemas.ResponseKey]float64) Row {
	row := Row{Rewards: map[string]Moments{}}
	judges := slices.Sorted(maps.Keys(scores))
	if len(judges) == 0 {
		return row
	}
	var all advantage.Stats
	each := make([]advantage.Stats, len(judges))
	for key := range scores[judges[0]] {
		var given []float64
		for _, judge := range judges {
			if score, ok := scores[judge][key]; ok {
				given = append(given, score)
			}
		}
		if len(given) < len(judges) {
			continue
		}
		all.Add(*advantage.MeanScore(given))
		for i := range judges {
			each[i].Add(given[i])
		}
	}
	row.Responses, row.Moments = int(all.N), momentsOf(&all)
	for i, judge := range judges {
		row.Rewards[judge] = momentsOf(&each[i])
	}
	return row
}

// write writes the results, and prints the table.
func (s *step) write(ctx context.Context, store dataset.Store) error {
	results := Results{Rows: []Row{}}
	for _, c := range s.list {
		scores := map[string]map[schemas.ResponseKey]float64{}
		for _, judge := range s.judges {
			rows, err := scoresOf(ctx, store, wanted.ItemRewards(c.name, judge))
			if err != nil {
				return err
			}
			scores[judge] = rows
		}
		row := Summarize(scores)
		row.Epoch, row.Step, row.Stage, row.Model = c.at.Epoch, c.at.Step, c.at.Stage, c.shown
		results.Rows = append(results.Rows, row)
	}
	data, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return err
	}
	var table bytes.Buffer
	Table(&table, results, s.judges)
	for _, file := range []struct {
		key  string
		data []byte
	}{{"evaluation/" + s.name + ".json", append(data, '\n')}, {"evaluation/" + s.name + ".md", table.Bytes()}} {
		if err := dataset.Replace(ctx, store, file.key, file.data); err != nil {
			return err
		}
	}
	fmt.Fprintf(s.out, "\n%s\n%s/evaluation has %s.json and %s.md.\n", table.String(), store.URL(), s.name, s.name)
	return nil
}

// scoresOf reads a reward model's scores.
func scoresOf(ctx context.Context, store dataset.Store, name string) (map[schemas.ResponseKey]float64, error) {
	rows, err := dataset.All[schemas.Reward](ctx, store, name)
	scores := map[schemas.ResponseKey]float64{}
	for _, r := range rows {
		scores[r.Key()] = r.Score
	}
	return scores, err
}

// Table writes results as Markdown: means ± standard deviations.
func Table(w io.Writer, r Results, judges []string) {
	fmt.Fprintf(w, "| epoch | step | stage | model | responses | reward | %s |\n|%s\n", strings.Join(judges, " | "), strings.Repeat("---|", 6+len(judges)))
	for _, row := range r.Rows {
		cells := []string{fmt.Sprint(row.Epoch), fmt.Sprint(row.Step), row.Stage, row.Model, fmt.Sprint(row.Responses), row.Moments.String()}
		for _, judge := range judges {
			cells = append(cells, row.Rewards[judge].String())
		}
		fmt.Fprintf(w, "| %s |\n", strings.Join(cells, " | "))
	}
}

// String is mean ± standard deviation.
func (m Moments) String() string { return fmt.Sprintf("%.3f ± %.3f", m.Mean, m.Deviation) }
