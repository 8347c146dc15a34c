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
	// Selected is true for the winner's row.
	Selected bool `parquet:"selected"`
	// Weight scales the example's loss; 1.
	Weight float64 `parquet:"weight"`
	// Reward is the mean score of the response, nil in training mode.
	Reward *float64 `parquet:"reward,optional"`
	// PromptIDs are target tokens of the rendered prompt, generation prompt included.
	PromptIDs []int32 `parquet:"prompt_ids,list" parquet-element:",delta"`
	// TextIDs [n] are the target's own tokens of the text, end-of-turn last when the text has one.
	TextIDs []int32 `parquet:"text_ids,list" parquet-element:",delta"`
	// Counts [n] is the number of entries at each position; 0 where Status is none.
	Counts []int32 `parquet:"counts,list" parquet-element:",delta"`
	// IDs [sum Counts] are target vocabulary ids, most probable first within a position.
	IDs []int32 `parquet:"ids,list" parquet-element:",delta"`
	// LogProbs [sum Counts], nats, rounded to bfloat16; the rest mass of a position is max(0, 1 - Σ exp).
	LogProbs []float32 `parquet:"logprobs,list" parquet-element:",split"`
	// Status [n] holds the position statuses.
	Status []int32 `parquet:"status,list" parquet-element:",delta"`
	// NatsPerByte is the source's cross-entropy of the text.
	NatsPerByte float64 `parquet:"nats_per_byte"`
	// Margin is the selection's.
	Margin *float64 `parquet:"margin,optional"`
	// Text is the response or the reference.
	Text string `parquet:"text"`
}
