package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"unicode/utf8"

	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/internal/report/scores"
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
	return draw.Boxes{Title: "Figure 1 of the paper, right: length of references and responses, by system message", Of: "system message", Groups: groups, Series: l.modelColours(names), Format: "%.0f"}.
		Draw().Named("figure-1-right", "Characters (Unicode code points), for the five most frequent system messages, the lack of one among them. Box: first to third quartile; stroke: median; ring and number: mean. "+
		"In the paper the references, by GPT-4, are longer than the sources' responses: that makes inference mode the easier one to learn, and is why it comes first.")
}

// rewardCurves draws mean and standard deviation of the reward scores by epoch (figure 4), a line for each run.
func rewardCurves(runs []scores.Run) draw.Figure {
	chart := draw.Lines{Title: "Figure 4 of the paper: reward scores by epoch", XLabel: "epoch", YLabel: "score"}
	for k, c := range runs {
		line := draw.Line{Name: cmp.Or(c.Name, "this run"), Dots: true, Colour: k}
		for _, r := range c.Epochs {
			line.X, line.Y, line.Spread = append(line.X, float64(r.Epoch)), append(line.Y, r.Mean), append(line.Spread, r.SD)
		}
		chart.All = append(chart.All, line)
	}
	if len(runs) == 1 {
		chart.Marks = map[float64]string{}
		for i, r := range runs[0].Epochs[1:] { // a stage begins where the epoch before its first one ends
			if before := runs[0].Epochs[i]; r.Stage != before.Stage {
				chart.Marks[float64(before.Epoch)] = r.Stage
			}
		}
	}
	return chart.Draw().Named("figure-4", "Mean over the held-out responses of the mean score of the reward models, in their own unit; the bars reach one standard deviation over responses up and down. "+
		"Epochs count over the whole curriculum; epoch 0 is the target before training.")
}

// benchmarked draws the benchmark scores of the models trained with each advantage method (figure 3), from a file.
func benchmarked(methods []scores.Method) draw.Figure {
	chart := draw.Bars{Title: "Figure 3 of the paper: benchmark of the models trained with each advantage method", Of: "method", Series: draw.Numbered(0, "score"), Format: "%.1f", Top: 1e-9}
	for _, m := range methods {
		chart.Groups = append(chart.Groups, draw.Group{Label: m.Name, Values: []float64{m.Score}, Spread: []float64{m.SD}})
		chart.Top = max(chart.Top, 1.2*m.Score) // room for the spread behind the value
	}
	if len(methods) == 0 {
		return draw.Figure{}
	}
	return chart.Draw().Named("figure-3-benchmark", "Mean score over seeds, in the benchmarks' own unit, and its standard deviation where it is known: the file given with --methods.")
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
