package schemas

// TokenDistributions holds the tokens of one text and, for each of them, the distribution that a model had before
// it, over the model's own vocabulary. Lists over positions have length T; entries are flat, Counts cuts them (CSR).
type TokenDistributions struct {
	// TokenIDs [T] are the text's tokens, end-of-turn last when the model ended its turn.
	TokenIDs []int32 `parquet:"token_ids,list" parquet-element:",delta"`
	// TokenLogProbs [T] are the log-probs of TokenIDs, nats, not rounded.
	TokenLogProbs []float32 `parquet:"token_logprobs,list" parquet-element:",split"`
	// TextRank [T] is the place of TokenIDs[t] among the stored entries by model rank, -1 if it was added from outside the top-k.
	TextRank []int32 `parquet:"text_rank,list" parquet-element:",delta"`
	// Counts [T] is the number of entries stored at each position, at most top_k + 1.
	Counts []int32 `parquet:"counts,list" parquet-element:",delta"`
	// IDs [sum Counts] are vocabulary ids, most probable first within a position.
	IDs []int32 `parquet:"ids,list" parquet-element:",delta"`
	// LogProbs [sum Counts] are true normalised log-probs, nats at temperature 1, rounded to bfloat16, descending within a position.
	LogProbs []float32 `parquet:"logprobs,list" parquet-element:",split"`
	// StartBytes [T] is the byte offset of each token in the text; negative where a token begins in the template.
	StartBytes []int32 `parquet:"start_bytes,list" parquet-element:",delta"`
}
