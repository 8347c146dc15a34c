package schemas

// Finish reasons of a generation.
const (
	// FinishStop means the source ended its turn; the end-of-turn token is the last of TokenIDs.
	FinishStop = "stop"
	// FinishLength means the text was cut at the token limit; it has no end-of-turn.
	FinishLength = "length"
)

// Generation is one source's answer to one prompt, with its distributions at every position.
type Generation struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// Source is the model's name in the configuration.
	Source string `parquet:"source"`
	// Sample numbers the answers of one source to one prompt from 0.
	Sample int32 `parquet:"sample"`
	// Text is the answer: the bytes of its tokens before end-of-turn, without template bytes.
	Text string `parquet:"text"`
	// FinishReason is FinishStop or FinishLength.
	FinishReason string `parquet:"finish_reason"`
	// PromptTokens counts the source's tokens of the rendered prompt.
	PromptTokens int32 `parquet:"prompt_tokens"`
	// Temperature of the sampling, 0 is greedy.
	Temperature float64 `parquet:"temperature"`
	// TopP of the sampling, in (0, 1].
	TopP float64 `parquet:"top_p"`
	// Seed of this request's random numbers.
	Seed int64 `parquet:"seed"`

	TokenDistributions
}
