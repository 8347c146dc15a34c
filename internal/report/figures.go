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

// losses draws the loss curves of both modes, with a line where a stage begins.
func (l *loaded) losses() template.HTML {
	inference, training := series{Name: "inference mode"}, series{Name: "training mode"}
	heldInference, heldTraining := series{Name: "held out, inference mode", Dots: true}, series{Name: "held out, training mode", Dots: true}
	whole := series{Name: "batch loss"} // of metrics without modes
	for _, m := range l.metrics {
		whole.smooth(m.Step, m.Loss)
		inference.smooth(m.Step, m.LossInference)
		training.smooth(m.Step, m.LossTraining)
		for mode, s := range map[string]*series{schemas.ModeInference: &heldInference, schemas.ModeTraining: &heldTraining} {
			if h, ok := m.HeldOut[mode]; ok {
				s.at(m.Step, h.Loss)
			}
		}
	}
	all := []series{inference, training, heldInference, heldTraining}
	if len(inference.X)+len(training.X) == 0 {
		all = append([]series{whole}, all...)
	}
	return lines("Loss by step and mode (of batches smoothed)", "optimiser step", "nats", all, l.stages())
}

// stages are the steps where stages begin.
func (l *loaded) stages() map[float64]string {
	marks := map[float64]string{}
	stage := ""
	for _, m := range l.metrics {
		if m.Stage != stage && m.Stage != "" {
			stage = m.Stage
			marks[float64(m.Step)] = stage
		}
	}
	return marks
}

// pace draws the learning rate, and what the steps' time went to; empty where the metrics do not say.
func (l *loaded) pace() template.HTML {
	rate := series{Name: "learning rate"}
	wait, utilisation := series{Name: "waiting for data"}, series{Name: "model FLOPs utilisation"}
	for _, m := range l.metrics {
		if m.Loss == nil {
			continue
		}
		if m.LearningRate > 0 {
			rate.at(m.Step, m.LearningRate)
		}
		if m.Wait != nil && m.Seconds > 0 {
			percent := 100 * *m.Wait / m.Seconds
			wait.smooth(m.Step, &percent)
		}
		if m.Utilisation > 0 {
			percent := 100 * m.Utilisation
			utilisation.smooth(m.Step, &percent)
		}
	}
	return lines("Learning rate", "optimiser step", "", []series{rate}, l.stages()) +
		lines("Share of a step's time (smoothed)", "optimiser step", "%", []series{wait, utilisation}, l.stages())
}

// smooth appends the moving mean of the values so far, in which each one counts a fifth; nil and what is not finite is
// left out.
func (s *series) smooth(step int, y *float64) {
	if y == nil || math.IsNaN(*y) || math.IsInf(*y, 0) {
		return
	}
	mean := *y
	if n := len(s.Y); n > 0 {
		mean = s.Y[n-1] + 0.2*(*y-s.Y[n-1])
	}
	s.X, s.Y = append(s.X, float64(step)), append(s.Y, mean)
}

// at appends a point, the first one of a step.
func (s *series) at(step int, y float64) {
	if n := len(s.X); n == 0 || s.X[n-1] != float64(step) {
		s.X, s.Y = append(s.X, float64(step)), append(s.Y, y)
	}
}

// sampled is what the model in training answered to one held-out prompt, moment by moment.
type sampled struct {
	Prompt, Reference string
	Answers           []sample
}

// moments is the number of answers to a prompt that are shown.
const moments = 6

// answered groups the samples by prompt: the first and the last answer and some between.
func (l *loaded) answered() []sampled {
	number := map[string]int{}
	var all []sampled
	for _, s := range l.samples {
		i, ok := number[s.ID]
		if !ok {
			i = len(all)
			number[s.ID] = i
			all = append(all, sampled{Prompt: s.Prompt, Reference: s.Reference})
		}
		all[i].Answers = append(all[i].Answers, s)
	}
	for i := range all {
		if n := len(all[i].Answers); n > moments {
			var some []sample
			for k := range moments {
				some = append(some, all[i].Answers[k*(n-1)/(moments-1)])
			}
			all[i].Answers = some
		}
	}
	return all
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
