package plan

// What rows take on the disk, measured on the demo's datasets with profuser inspect (docs/plan.md): ids and texts of a row,
// and for each position its token, log-prob, rank, count, start and text. Entries are a key of the section plan.
const (
	partBytes       = 3500 // footer and column headers
	generationRow   = 30
	readingRow      = 40
	rewardRow       = 9.3
	rewardPartBytes = 2000
	selectionRow    = 14
	candidateBytes  = 8
	exampleRow      = 38
	examplePosition = 1.6 // text_ids, counts, status, text
	examplePrompt   = 0.9 // prompt_ids
	sourcePosition  = 7.5 // token_ids, token_logprobs, text_rank, counts, start_bytes, text
	evaluationRow   = 24
	textToken       = 0.8 // the bytes of a token's text
)

// What a judge is told besides the answers, and the longest reply that it may write (transforms/judge).
const (
	questionTokens = 200
	mostReply      = 512
)

// What Beam shuffles: ids to find duplicates (transforms/source, repeats.go), and part numbers.
const (
	idRecord    = 32
	idList      = 12 * 16 // a part's 16 lists of ids, besides the ids
	chunkRecord = 2 * 120
	partRecord  = 40  // a part's number before it is made, and the note that it is
	sumsRecord  = 400 // a part's sums of scores
)
