package report

import (
	"cmp"
	"fmt"
	"html/template"
	"maps"
	"math"
	"slices"

	"github.com/profuser/profuser/schemas"
)

// accuracy draws accuracy by skill for every model.
func (l *loaded) accuracy() template.HTML {
	var names []string
	for _, m := range l.summary.Models {
		names = append(names, m.Name)
	}
	var groups []bar
	for _, skill := range append([]string{"all"}, l.summary.skills()...) {
		g := bar{Label: clip(skill, 16)}
		for _, m := range l.summary.Models {
			v := m.BySkill[skill]
			if skill == "all" {
				v = m.Accuracy
			}
			g.Values = append(g.Values, v)
		}
		groups = append(groups, g)
	}
	return bars("Exact-match accuracy on the held-out items", groups, l.modelColours(names), 1, "%.2f", 0)
}

// nats draws the held-out cross-entropy of every model.
func (l *loaded) nats() template.HTML {
	top := 1e-9
	var names []string
	var g bar
	for _, m := range l.summary.Models {
		names, g.Values = append(names, m.Name), append(g.Values, m.NatsPerByte)
		top = max(top, m.NatsPerByte)
	}
	g.Label = "references"
	return bars("Cross-entropy of the held-out references, nats per byte (less is better)", []bar{g}, l.modelColours(names), top, "%.3f", 0)
}

// modelColours gives each model the same colour in every chart: competitors in their order, then fused and reference.
func (l *loaded) modelColours(names []string) legend {
	out := legend{Names: names}
	for _, n := range names {
		k := slices.Index(l.config.Competitors(), n) % (colours - 2)
		switch n {
		case fused:
			k = colours - 2
		case reference:
			k = colours - 1
		}
		out.Classes = append(out.Classes, fmt.Sprintf("c%d", k))
	}
	return out
}

// reference is the name of the ground-truth answers among the models.
const reference = "reference"

// lengths draws mean lengths of references and responses by system message, the five most frequent ones (figure 1,
// right, of the paper).
func (l *loaded) lengths() template.HTML {
	count, label := map[string]int{}, map[string]string{}
	for _, p := range l.prompts {
		count[p.SystemHash]++
		label[p.SystemHash] = "none"
		if p.Messages[0].Role == "system" {
			label[p.SystemHash] = clip(p.Messages[0].Content, 18)
		}
	}
	systems := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) })
	names := append([]string{reference}, l.config.Competitors()...)
	var groups []bar
	top := 1.0
	for _, hash := range systems[:min(5, len(systems))] {
		sum, n := make([]float64, len(names)), make([]float64, len(names))
		for _, p := range l.prompts {
			if p.SystemHash != hash {
				continue
			}
			if p.Reference != nil {
				sum[0] += float64(len(*p.Reference))
				n[0]++
			}
			for k, name := range names[1:] {
				for _, g := range l.generations[name][p.ID] {
					sum[k+1] += float64(len(g.Text))
					n[k+1]++
				}
			}
		}
		g := bar{Label: label[hash]}
		for k := range names {
			v := sum[k] / n[k]
			g.Values = append(g.Values, v)
			top = math.Max(top, v)
		}
		groups = append(groups, g)
	}
	return bars("Mean length in bytes, by system message", groups, l.modelColours(names), top, "%.0f", 0)
}

// losses draws the loss curves, with a line where a stage begins.
func (l *loaded) losses() template.HTML {
	step, inference, training := series{Name: "batch loss"}, series{Name: "held out, inference", Dots: true}, series{Name: "held out, training", Dots: true}
	marks := map[float64]string{}
	stage := ""
	smooth := math.NaN()
	for _, m := range l.metrics {
		if m.Stage != stage && m.Stage != "" {
			stage = m.Stage
			marks[float64(m.Step)] = stage
		}
		x := float64(m.Step)
		if m.Loss != nil {
			if math.IsNaN(smooth) {
				smooth = *m.Loss
			}
			smooth += 0.2 * (*m.Loss - smooth)
			step.X, step.Y = append(step.X, x), append(step.Y, smooth)
		}
		for mode, s := range map[string]*series{schemas.ModeInference: &inference, schemas.ModeTraining: &training} {
			if h, ok := m.HeldOut[mode]; ok && (len(s.X) == 0 || s.X[len(s.X)-1] != x) {
				s.X, s.Y = append(s.X, x), append(s.Y, h.Loss)
			}
		}
	}
	return lines("Loss by step (batch loss smoothed; its weights change with the stage)", "optimiser step", "nats", []series{step, inference, training}, marks)
}

// weights draws the weights that an adaptive curriculum decided on, from decision to decision; nothing for other kinds.
func (l *loaded) weights() template.HTML {
	inference, training := series{Name: "w_I, inference mode"}, series{Name: "w_T, training mode"}
	last := 0.0
	for _, m := range l.metrics {
		last = float64(m.Step)
		if m.Decision != nil {
			inference.hold(last, &m.Decision.Inference)
			training.hold(last, &m.Decision.Training)
		}
	}
	inference.hold(last, nil)
	training.hold(last, nil)
	return lines("Weights of the two modes, which follow the held-out loss", "optimiser step", "weight", []series{inference, training}, nil)
}

// hold draws a value that stays until the next one: w from x on, nil the one before up to x.
func (s *series) hold(x float64, w *float64) {
	if n := len(s.Y); n > 0 {
		s.X, s.Y = append(s.X, x), append(s.Y, s.Y[n-1])
	}
	if w != nil {
		s.X, s.Y = append(s.X, x), append(s.Y, *w)
	}
}

// clip shortens a text.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
