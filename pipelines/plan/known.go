package plan

// Survey is what a look at the prompts, with every model's tokenizer, found. Means are over the prompts that were read.
type Survey struct {
	// Rows is how many prompts there will be, Items how many held-out items; Parts how many parts of prompts.
	Rows, Items, Parts float64
	// Read is how many of the prompts were read.
	Read int
	// WithReference is the share of the prompts that have one, WithExternalID that of those with an id of their own.
	WithReference, WithExternalID float64
	// PromptRowBytes and ItemRowBytes are the sizes of a row of prompts/ and of evaluation/items/ on the disk,
	// with their share of a part's own bytes.
	PromptRowBytes, ItemRowBytes float64
	// Readers are the target and the sources, by name; Judges the reward models.
	Readers, Judges map[string]Tokens
	// ItemReaders are like Readers, over the held-out items.
	ItemReaders map[string]Tokens
}

// Tokens are the mean numbers of tokens of one model.
type Tokens struct {
	// Prompt is the rendered prompt, Reference the reference with its end of turn where there is one.
	Prompt, Reference float64
	// Fits is the share of the prompts that fit the model's context with an answer of generate.max_new_tokens.
	Fits float64
	// Approximate says that another model's tokenizer counted, because the model's own is not here.
	Approximate bool
}

// Measured is what datasets of a run say.
type Measured struct {
	// Where names the run, as a reader knows it: "out/demo", or "a probe of 64 prompts".
	Where string
	// Datasets are the finished ones by name, such as generations/sage.
	Datasets map[string]Dataset
	// Seconds is the time that each call takes when the step has its calls in flight, by the step's label, such as
	// "generate sage": the time of the step divided by its calls.
	Seconds map[string]float64
	// Latency is the mean time in seconds from a call to its answer, by label.
	Latency map[string]float64
}

// Dataset is what one dataset holds. Means are over the rows that were read.
type Dataset struct {
	Parts, Rows, Rejects, Bytes int64
	// PartBytes is what a part takes besides its rows.
	PartBytes float64
	// PromptTokens, TextTokens and Entries are means for a row.
	PromptTokens, TextTokens, Entries float64
}

// accepted is the share of the records that became rows.
func (d Dataset) accepted() float64 { return float64(d.Rows) / float64(max(1, d.Rows+d.Rejects)) }

// rowBytes is the size of a row.
func (d Dataset) rowBytes() float64 {
	return max(0, float64(d.Bytes)-d.PartBytes*float64(d.Parts)) / float64(max(1, d.Rows))
}
