package schemas

// Winners of a comparison.
const (
	WinnerFirst  = "first"
	WinnerSecond = "second"
	WinnerTie    = "tie"
)

// Verdict is what a judge says of two responses to one prompt, shown in one order. Rows stand by prompt, then in the
// configured order of sources; each pair has two rows, one for each order.
type Verdict struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// First and FirstSample are the response that was shown first.
	First       string `parquet:"first"`
	FirstSample int32  `parquet:"first_sample"`
	// Second and SecondSample are the response that was shown second.
	Second       string `parquet:"second"`
	SecondSample int32  `parquet:"second_sample"`
	// Winner is WinnerFirst, WinnerSecond or WinnerTie.
	Winner string `parquet:"winner"`
	// Text is the judge's reply; empty where the responses have equal texts, a tie without a question.
	Text string `parquet:"text"`
}

// Validate checks ids, that two different responses were shown, and the winner. The first fault is a *Fault.
func (v *Verdict) Validate() error {
	c := &check{record: "verdict", id: v.ID}
	c.promptID(v.ID)
	c.name("first", v.First)
	c.that(v.FirstSample >= 0, "first_sample", v.FirstSample, "0 or more")
	c.name("second", v.Second)
	c.that(v.SecondSample >= 0, "second_sample", v.SecondSample, "0 or more")
	c.that(v.First != v.Second || v.FirstSample != v.SecondSample, "second", v.Second, "another response than the first")
	c.that(v.Winner == WinnerFirst || v.Winner == WinnerSecond || v.Winner == WinnerTie, "winner", v.Winner, "first, second or tie")
	c.that(v.Text != "" || v.Winner == WinnerTie, "text", v.Text, "the judge's reply")
	c.text("text", v.Text)
	return c.err()
}
