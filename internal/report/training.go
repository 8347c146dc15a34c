package report

import (
	"math"

	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/schemas"
)

// The two modes have the same colours in every figure.
const (
	trainingColour  = 3
	inferenceColour = 4
)

// curve is a line of a chart in the making.
type curve struct{ draw.Line }

// losses draws the loss curves of both modes, with a line where a stage begins (figure 5).
func (l *loaded) losses() draw.Figure {
	inference, training := curve{draw.Line{Name: "inference mode", Colour: inferenceColour}}, curve{draw.Line{Name: "training mode", Colour: trainingColour}}
	heldInference := curve{draw.Line{Name: "held out, inference mode", Colour: inferenceColour, Dots: true}}
	heldTraining := curve{draw.Line{Name: "held out, training mode", Colour: trainingColour, Dots: true}}
	whole := curve{draw.Line{Name: "batch loss"}} // of metrics without modes
	for _, m := range l.metrics {
		whole.smooth(m.Step, m.Loss)
		inference.smooth(m.Step, m.LossInference)
		training.smooth(m.Step, m.LossTraining)
		for mode, c := range map[string]*curve{schemas.ModeInference: &heldInference, schemas.ModeTraining: &heldTraining} {
			if h, ok := m.HeldOut[mode]; ok {
				c.at(m.Step, h.Loss)
			}
		}
	}
	all := []draw.Line{inference.Line, training.Line, heldInference.Line, heldTraining.Line}
	if len(inference.X)+len(training.X) == 0 {
		all = append([]draw.Line{whole.Line}, all...)
	}
	return draw.Lines{Title: "Figure 5: loss of both modes in the course of the training", XLabel: "optimiser step", YLabel: "nats a token", All: all, Marks: l.stages()}.
		Draw().Named("figure-5", "Fusion loss of batches (moving mean, a new value counts a fifth) and of the held-out prompts (shapes), in nats a token, by optimiser step; dashed uprights: where a stage begins. "+figure5Doubt)
}

// figure5Doubt says what is known of the paper's figure 5.
const figure5Doubt = "What the paper's own Figure 5 shows could not be read when this was made; summaries of it name a more stable training as a finding (docs/report.md)."

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
func (l *loaded) pace() []draw.Figure {
	rate := curve{draw.Line{Name: "learning rate"}}
	wait, utilisation := curve{draw.Line{Name: "waiting for data"}}, curve{draw.Line{Name: "model FLOPs utilisation", Colour: 1}}
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
	return []draw.Figure{
		draw.Lines{Title: "Learning rate", XLabel: "optimiser step", All: []draw.Line{rate.Line}, Marks: l.stages()}.Draw().Named("learning-rate", "By optimiser step."),
		draw.Lines{Title: "Time: what a step's seconds go to", XLabel: "optimiser step", YLabel: "%", All: []draw.Line{wait.Line, utilisation.Line}, Marks: l.stages()}.
			Draw().Named("step-time", "Per cent of a step, moving mean: waiting for the next batch, and the model's arithmetic over what the backend could do."),
	}
}

// smooth appends the moving mean of the values so far, in which each one counts a fifth; nil and what is not finite is
// left out.
func (c *curve) smooth(step int, y *float64) {
	if y == nil || math.IsNaN(*y) || math.IsInf(*y, 0) {
		return
	}
	mean := *y
	if n := len(c.Y); n > 0 {
		mean = c.Y[n-1] + 0.2*(*y-c.Y[n-1])
	}
	c.X, c.Y = append(c.X, float64(step)), append(c.Y, mean)
}

// at appends a point, the first one of a step.
func (c *curve) at(step int, y float64) {
	if n := len(c.X); n == 0 || c.X[n-1] != float64(step) {
		c.X, c.Y = append(c.X, float64(step)), append(c.Y, y)
	}
}

// weights draws the weights that an adaptive curriculum decided on, from decision to decision; nothing for other kinds.
func (l *loaded) weights() draw.Figure {
	inference, training := curve{draw.Line{Name: "w_I, inference mode", Colour: inferenceColour}}, curve{draw.Line{Name: "w_T, training mode", Colour: trainingColour}}
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
	return draw.Lines{Title: "Weights of the two modes", XLabel: "optimiser step", YLabel: "weight", All: []draw.Line{inference.Line, training.Line}}.
		Draw().Named("weights", "They follow the held-out losses (curriculum.kind: adaptive).")
}

// hold draws a value that stays until the next one: w from x on, nil the one before up to x.
func (c *curve) hold(x float64, w *float64) {
	if n := len(c.Y); n > 0 {
		c.X, c.Y = append(c.X, x), append(c.Y, c.Y[n-1])
	}
	if w != nil {
		c.X, c.Y = append(c.X, x), append(c.Y, *w)
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
