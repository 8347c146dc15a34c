package report

import (
	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/schemas"
)

// The two modes have the same colours in every figure.
const (
	trainingColour  = 3
	inferenceColour = 4
)

// losses draws the loss curves of both modes, with a line where a stage begins (figure 5).
func (l *loaded) losses() draw.Figure {
	inference, training := draw.Line{Name: "inference mode", Colour: inferenceColour}, draw.Line{Name: "training mode", Colour: trainingColour}
	heldInference := draw.Line{Name: "held out, inference mode", Colour: inferenceColour, Dots: true}
	heldTraining := draw.Line{Name: "held out, training mode", Colour: trainingColour, Dots: true}
	whole := draw.Line{Name: "batch loss"} // of metrics without modes
	for _, m := range l.metrics {
		whole.Smooth(float64(m.Step), m.Loss)
		inference.Smooth(float64(m.Step), m.LossInference)
		training.Smooth(float64(m.Step), m.LossTraining)
		for mode, c := range map[string]*draw.Line{schemas.ModeInference: &heldInference, schemas.ModeTraining: &heldTraining} {
			if h, ok := m.HeldOut[mode]; ok {
				c.At(float64(m.Step), h.Loss)
			}
		}
	}
	all := []draw.Line{inference, training, heldInference, heldTraining}
	if len(inference.X)+len(training.X) == 0 {
		all = append([]draw.Line{whole}, all...)
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
	rate := draw.Line{Name: "learning rate"}
	wait, utilisation := draw.Line{Name: "waiting for data"}, draw.Line{Name: "model FLOPs utilisation", Colour: 1}
	for _, m := range l.metrics {
		if m.Loss == nil {
			continue
		}
		if m.LearningRate > 0 {
			rate.At(float64(m.Step), m.LearningRate)
		}
		if m.Wait != nil && m.Seconds > 0 {
			percent := 100 * *m.Wait / m.Seconds
			wait.Smooth(float64(m.Step), &percent)
		}
		if m.Utilisation > 0 {
			percent := 100 * m.Utilisation
			utilisation.Smooth(float64(m.Step), &percent)
		}
	}
	return []draw.Figure{
		draw.Lines{Title: "Learning rate", XLabel: "optimiser step", All: []draw.Line{rate}, Marks: l.stages()}.Draw().Named("learning-rate", "By optimiser step."),
		draw.Lines{Title: "Time: what a step's seconds go to", XLabel: "optimiser step", YLabel: "%", All: []draw.Line{wait, utilisation}, Marks: l.stages()}.
			Draw().Named("step-time", "Per cent of a step, moving mean: waiting for the next batch, and the model's arithmetic over what the backend could do."),
	}
}

// weights draws the weights that an adaptive curriculum decided on, from decision to decision; nothing for other kinds.
func (l *loaded) weights() draw.Figure {
	inference, training := draw.Line{Name: "w_I, inference mode", Colour: inferenceColour}, draw.Line{Name: "w_T, training mode", Colour: trainingColour}
	last := 0.0
	for _, m := range l.metrics {
		last = float64(m.Step)
		if m.Decision != nil {
			hold(&inference, last, &m.Decision.Inference)
			hold(&training, last, &m.Decision.Training)
		}
	}
	hold(&inference, last, nil)
	hold(&training, last, nil)
	return draw.Lines{Title: "Weights of the two modes", XLabel: "optimiser step", YLabel: "weight", All: []draw.Line{inference, training}}.
		Draw().Named("weights", "They follow the held-out losses (curriculum.kind: adaptive).")
}

// hold draws a value that stays until the next one: w from x on, nil the one before up to x.
func hold(l *draw.Line, x float64, w *float64) {
	if n := len(l.Y); n > 0 {
		l.X, l.Y = append(l.X, x), append(l.Y, l.Y[n-1])
	}
	if w != nil {
		l.X, l.Y = append(l.X, x), append(l.Y, *w)
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
