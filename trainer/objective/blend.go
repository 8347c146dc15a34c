package objective

// Blend weighs the two parts of a loss: L = Text·L_SFT + Teacher·L_KL.
type Blend struct{ Text, Teacher float64 }

// ByBeta is L = L_SFT + β·L_KL, β at least 0: the text always counts whole.
//
// Source: the ProFuser paper.
func ByBeta(beta float64) Blend { return Blend{Text: 1, Teacher: beta} }

// ByLambda is L = λ·L_SFT + (1-λ)·L_KL, λ in [0, 1].
//
// Source: FuseLLM (Wan et al. 2024, arXiv 2401.10491), with λ = 0.9 there.
func ByLambda(lambda float64) Blend { return Blend{Text: lambda, Teacher: 1 - lambda} }

// Of is the loss of its two parts.
func (b Blend) Of(text, teacher float64) float64 { return b.Text*text + b.Teacher*teacher }
