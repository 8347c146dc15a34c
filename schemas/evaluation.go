package schemas

// Evaluation is one model's result on one held-out item.
type Evaluation struct {
	// ID is the item's prompt id.
	ID string `parquet:"id"`
	// Model is the model's name; the trained model is "fused".
	Model string `parquet:"model"`
	// Skill is the item's first tag.
	Skill string `parquet:"skill"`
	// Text is the model's greedy answer.
	Text string `parquet:"text"`
	// Answer is the key.
	Answer string `parquet:"answer"`
	// Correct is exact match by the item's rule.
	Correct bool `parquet:"correct"`
	// Nats is the cross-entropy of the reference and end-of-turn.
	Nats float64 `parquet:"nats"`
	// Bytes is the length of the reference.
	Bytes int32 `parquet:"bytes"`
}

// Validate checks ids, names, UTF-8 and ranges. The first fault is a *Fault.
func (e *Evaluation) Validate() error {
	c := &check{record: "evaluation", id: e.ID}
	c.promptID(e.ID)
	c.name("model", e.Model)
	c.text("skill", e.Skill)
	c.text("text", e.Text)
	c.text("answer", e.Answer)
	c.notNegative("nats", e.Nats)
	c.that(e.Bytes >= 0, "bytes", e.Bytes, "0 or more")
	c.that(e.Bytes > 0 || e.Nats == 0, "nats", e.Nats, "0 where bytes is 0")
	return c.err()
}
