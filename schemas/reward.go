package schemas

// Reward is one reward model's score of one response. Rows stand by prompt, then in the configured order of sources.
type Reward struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// Source wrote the response.
	Source string `parquet:"source"`
	// Sample is the response's number.
	Sample int32 `parquet:"sample"`
	// Score is the reward model's raw logit at the last token, no sigmoid.
	Score float64 `parquet:"score"`
}

// Validate checks ids and that the score is finite. The first fault is a *Fault.
func (r *Reward) Validate() error {
	c := &check{record: "reward", id: r.ID}
	c.promptID(r.ID)
	c.name("source", r.Source)
	c.that(r.Sample >= 0, "sample", r.Sample, "0 or more")
	c.finite("score", r.Score)
	return c.err()
}
