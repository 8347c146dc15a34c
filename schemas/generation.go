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
	// PromptTokens counts the source's tokens of the rendered prompt, 0 where they are not known.
	PromptTokens int32 `parquet:"prompt_tokens"`
	// Temperature of the sampling, 0 is greedy.
	Temperature float64 `parquet:"temperature"`
	// TopP of the sampling, in (0, 1].
	TopP float64 `parquet:"top_p"`
	// Seed of this request's random numbers.
	Seed int64 `parquet:"seed"`

	// TokenDistributions are empty in a response that was imported from a source which is not at hand.
	TokenDistributions
}

// Validate checks ids, ranges, the finish reason and the distributions (TokenDistributions), if there are any. The first
// fault is a *Fault.
func (g *Generation) Validate() error {
	c := &check{record: "generation", id: g.ID}
	c.promptID(g.ID)
	c.name("source", g.Source)
	c.that(g.Sample >= 0, "sample", g.Sample, "0 or more")
	c.text("text", g.Text)
	c.that(g.FinishReason == FinishStop || g.FinishReason == FinishLength, "finish_reason", g.FinishReason, FinishStop+" or "+FinishLength)
	c.that(g.PromptTokens >= 0, "prompt_tokens", g.PromptTokens, "0 or more")
	c.notNegative("temperature", g.Temperature)
	c.that(g.TopP > 0 && g.TopP <= 1, "top_p", g.TopP, "more than 0, at most 1")
	if d := &g.TokenDistributions; len(d.TokenIDs)+len(d.TokenLogProbs)+len(d.TextRank)+len(d.Counts)+len(d.IDs)+len(d.LogProbs)+len(d.StartBytes) == 0 {
		return c.err()
	}
	c.that(g.PromptTokens >= 1, "prompt_tokens", g.PromptTokens, "1 or more")
	c.tokens(&g.TokenDistributions, len(g.Text))
	if n := len(g.StartBytes); c.fault == nil && g.FinishReason == FinishStop {
		c.at(int(g.StartBytes[n-1]) == len(g.Text), "start_bytes", n-1, g.StartBytes[n-1], "the text's length for the end-of-turn token of a stopped answer")
	}
	return c.err()
}
