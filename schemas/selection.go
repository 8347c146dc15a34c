package schemas

// Modes of advantage.
const (
	// ModeInference compares the sources' own responses by reward models.
	ModeInference = "inference"
	// ModeTraining compares cross-entropies on the reference.
	ModeTraining = "training"
)

// Candidate is one source's standing in a selection.
type Candidate struct {
	// Source is the model's name.
	Source string `parquet:"source"`
	// Value is the mode's measure: nats per byte (training), mean z-score over reward models (inference).
	Value float64 `parquet:"value"`
	// Votes counts reward models that prefer this response, shares included; 0 in training mode.
	Votes float64 `parquet:"votes"`
}

// Selection says which source wins one prompt in one mode.
type Selection struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// Mode is ModeInference or ModeTraining.
	Mode string `parquet:"mode"`
	// Source is the winner.
	Source string `parquet:"source"`
	// Margin is the winner's lead over the runner-up, never negative; nil with one candidate.
	Margin *float64 `parquet:"margin,optional"`
	// Candidates in the configured order: target, then sources.
	Candidates []Candidate `parquet:"candidates,list"`
}
