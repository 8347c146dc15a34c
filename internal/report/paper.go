package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/schemas"
)

// lengths draws how long references and responses are, for the five most frequent system messages (figure 1, right).
func (l *loaded) lengths() draw.Figure {
	count, label := map[string]int{}, map[string]string{}
	for _, p := range l.prompts {
		count[p.SystemHash]++
		label[p.SystemHash] = "no system message"
		if p.Messages[0].Role == "system" {
			label[p.SystemHash] = p.Messages[0].Content
		}
	}
	systems := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	names := append([]string{reference}, l.config.Competitors()...)
	var groups []draw.SpreadGroup
	for _, hash := range systems[:min(5, len(systems))] {
		lengths := make([][]float64, len(names))
		for _, p := range l.prompts {
			if p.SystemHash != hash {
				continue
			}
			if p.Reference != nil {
				lengths[0] = append(lengths[0], float64(utf8.RuneCountInString(*p.Reference)))
			}
			for k, name := range names[1:] {
				for _, g := range l.generations[name][p.ID] {
					lengths[k+1] = append(lengths[k+1], float64(utf8.RuneCountInString(g.Text)))
				}
			}
		}
		g := draw.SpreadGroup{Label: fmt.Sprintf("%s (%d prompts)", draw.Clip(label[hash], 40), count[hash])}
		for _, all := range lengths {
			g.Spreads = append(g.Spreads, draw.SpreadOf(all))
		}
		groups = append(groups, g)
	}
	return draw.Boxes{Title: "Figure 1, right: length of references and responses, by system message", Of: "system message", Groups: groups, Series: l.modelColours(names), Format: "%.0f"}.
		Draw().Named("figure-1-right", "Characters (Unicode code points), for the five most frequent system messages, the lack of one among them. Box: first to third quartile; stroke: median; ring and number: mean. "+
		"In the paper the references, by GPT-4, are longer than the sources' responses: that makes inference mode the easier one to learn, and is why it comes first.")
}

// Curve is the reward scores of one run's epochs, under the run's name.
type Curve struct {
	// Name is the run's; "" is the run of the report itself.
	Name string
	Rows []RewardRow
}

// RewardRow is one epoch of rewards.json, which profuser evaluate --reward writes.
type RewardRow struct {
	// Epoch counts over the whole curriculum; 0 is the target before training.
	Epoch int `json:"epoch"`
	// Step is the optimiser step after it, Stage the stage's name.
	Step  int    `json:"step"`
	Stage string `json:"stage"`
	// Responses is their number; Mean and SD are over responses, of the mean over reward models.
	Responses int     `json:"responses"`
	Mean      float64 `json:"mean"`
	SD        float64 `json:"sd"`
}

// ReadRewards reads a rewards.json; file names it in errors.
func ReadRewards(r io.Reader, file string) ([]RewardRow, error) {
	var all struct {
		Rows []RewardRow `json:"rows"`
	}
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return nil, fmt.Errorf("reading %s: %w: profuser evaluate --reward writes it anew", file, err)
	}
	if len(all.Rows) == 0 {
		return nil, fmt.Errorf("reading %s: it has no rows: profuser evaluate --reward writes it anew", file)
	}
	for i, row := range all.Rows {
		switch {
		case i > 0 && row.Epoch <= all.Rows[i-1].Epoch:
			return nil, fmt.Errorf("reading %s, row %d: epoch %d after epoch %d, want rising ones", file, i+1, row.Epoch, all.Rows[i-1].Epoch)
		case row.SD < 0 || row.Responses < 1:
			return nil, fmt.Errorf("reading %s, row %d: %d responses and standard deviation %g, want at least 1 and 0", file, i+1, row.Responses, row.SD)
		}
	}
	return all.Rows, nil
}

// rewardCurves draws mean and standard deviation of the reward scores by epoch (figure 4), a line for each run.
func rewardCurves(curves []Curve) draw.Figure {
	chart := draw.Lines{Title: "Figure 4: reward scores by epoch", XLabel: "epoch", YLabel: "score"}
	for k, c := range curves {
		line := draw.Line{Name: cmp.Or(c.Name, "this run"), Dots: true, Colour: k}
		for _, r := range c.Rows {
			line.X, line.Y, line.Spread = append(line.X, float64(r.Epoch)), append(line.Y, r.Mean), append(line.Spread, r.SD)
		}
		chart.All = append(chart.All, line)
	}
	if len(curves) == 1 {
		chart.Marks = map[float64]string{}
		stage := ""
		for _, r := range curves[0].Rows {
			if r.Stage != stage && r.Stage != "" {
				stage = r.Stage
				chart.Marks[float64(r.Epoch)] = stage
			}
		}
	}
	return chart.Draw().Named("figure-4", "Mean over the held-out responses of the mean score of the reward models, in their own unit; the bars reach one standard deviation over responses up and down. "+
		"Epochs count over the whole curriculum; epoch 0 is the target before training.")
}

// winRateNote is what figure 1, left, says; agree is how often both modes have the same winner.
func winRateNote(agree float64) string {
	note := "Share of the prompts on which the target beats the source, ties counted half. Training mode: fewer nats per byte of the reference. Inference mode: more reward models prefer the target's response. Dashed: one half. " +
		"In the paper Vicuna-7B-v1.5 beats Llama-2-7B-Chat on 68 % of the prompts in training mode and on 45 % in inference mode: the modes see different strengths."
	if !math.IsNaN(agree) {
		note += fmt.Sprintf(" Here both modes have the same winner on %.0f %% of the prompts.", 100*agree)
	}
	return note
}

// modeOrder is that of the two modes in figures.
var modeOrder = []string{schemas.ModeTraining, schemas.ModeInference}
