package schemas

// Status says how a target position got its distribution.
type Status = int32

// Position statuses.
const (
	// StatusNone: nothing is known of the teacher's opinion; no entries, no weight.
	StatusNone Status = 0
	// StatusExact: source and target token cover the same bytes.
	StatusExact Status = 1
	// StatusBoundary: they start at the same byte and end at different ones.
	StatusBoundary Status = 2
	// StatusInner: the target token starts inside a source token.
	StatusInner Status = 3
	// StatusOneHot: the text's token with probability one (comparison modes).
	StatusOneHot Status = 4
)

// FusionExample is one prompt and one text in target tokens, with the winner's distributions aligned to them.
type FusionExample struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// Mode is ModeInference or ModeTraining.
	Mode string `parquet:"mode"`
	// Source wrote or read the text.
	Source string `parquet:"source"`
	// Sample is the response's number, 0 in training mode.
	Sample int32 `parquet:"sample"`
	// Selected is true for the winner's row.
	Selected bool `parquet:"selected"`
	// Weight scales the example's loss; 1.
	Weight float64 `parquet:"weight"`
	// Reward is the mean score of the response, nil in training mode.
	Reward *float64 `parquet:"reward,optional"`
	// PromptIDs are target tokens of the rendered prompt, generation prompt included.
	PromptIDs []int32 `parquet:"prompt_ids,list" parquet-element:",split"`
	// TextIDs [n] are the target's own tokens of the text, end-of-turn last when the text has one.
	TextIDs []int32 `parquet:"text_ids,list" parquet-element:",split"`
	// Counts [n] is the number of entries at each position; 0 where Status is none.
	Counts []int32 `parquet:"counts,list" parquet-element:",split"`
	// IDs [sum Counts] are target vocabulary ids, most probable first within a position.
	IDs []int32 `parquet:"ids,list" parquet-element:",split"`
	// LogProbs [sum Counts], nats, rounded to 6 significant bits so that a position's mass is kept; the rest mass of a position is max(0, 1 - Σ exp).
	LogProbs []float32 `parquet:"logprobs,list" parquet-element:",split"`
	// Status [n] holds the position statuses.
	Status []int32 `parquet:"status,list" parquet-element:",split"`
	// NatsPerByte is the source's cross-entropy of the text.
	NatsPerByte float64 `parquet:"nats_per_byte"`
	// Margin is the selection's.
	Margin *float64 `parquet:"margin,optional"`
	// Text is the response or the reference.
	Text string `parquet:"text"`
}

// Validate checks ids, mode, list lengths, statuses against counts, and the distributions: ids from 0, descending
// log-probs, mass at most 1 within rounding. Whether the text's token is stored depends on the alignment method and is
// not checked here. The first fault is a *Fault.
func (e *FusionExample) Validate() error {
	c := &check{record: "fusion_example", id: e.ID}
	c.promptID(e.ID)
	c.mode(e.Mode)
	c.name("source", e.Source)
	c.that(e.Sample >= 0 && (e.Mode == ModeInference || e.Sample == 0), "sample", e.Sample, "0 or more, 0 in training mode")
	c.notNegative("weight", e.Weight)
	if e.Reward != nil {
		c.finite("reward", *e.Reward)
		c.that(e.Mode == ModeInference, "reward", *e.Reward, "null in training mode")
	}
	c.that(len(e.PromptIDs) > 0, "prompt_ids", words("empty"), "at least one token")
	c.ids("prompt_ids", e.PromptIDs)
	c.that(len(e.TextIDs) > 0, "text_ids", words("empty"), "at least one token")
	c.ids("text_ids", e.TextIDs)
	c.length("counts", len(e.Counts), len(e.TextIDs), "text_ids")
	c.length("status", len(e.Status), len(e.TextIDs), "text_ids")
	c.entries(e.Counts, e.IDs, e.LogProbs, storedRounding)
	if c.fault == nil {
		c.statuses(e)
	}
	c.notNegative("nats_per_byte", e.NatsPerByte)
	if e.Margin != nil {
		c.notNegative("margin", *e.Margin)
	}
	c.text("text", e.Text)
	return c.err()
}

// statuses checks each position's status against its entries; lengths are known to fit.
func (c *check) statuses(e *FusionExample) {
	offset := 0
	for i, status := range e.Status {
		count := e.Counts[i]
		c.at(status >= StatusNone && status <= StatusOneHot, "status", i, status, "0 to 4")
		c.at((status == StatusNone) == (count == 0), "counts", i, count, "0 where status is 0 (none) and nowhere else")
		if status == StatusOneHot && c.fault == nil {
			c.at(count == 1, "counts", i, count, "1 where status is 4 (one-hot)")
			c.at(e.LogProbs[offset] == 0, "logprobs", offset, e.LogProbs[offset], "0 where status is 4 (one-hot)")
		}
		offset += int(count)
	}
}
