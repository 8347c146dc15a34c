package config

import "time"

// Config is the whole of fusion.yaml, resolved. Tags of a field: yaml is its key; default its value when absent;
// allow an interval or the words allowed; required marks keys without a default; example stands in a new file; path
// says that the value is a file or folder, relative to the configuration file.
type Config struct {
	// Version of this format.
	Version int `yaml:"version" default:"1" allow:"[1, 1]"`
	// A method of the paper's comparison by name: it sets the keys listed under Presets. In the file they are defaults that the file's own keys replace; `--set preset=NAME` replaces the file's keys, and further --set options replace its own.
	Preset string `yaml:"preset" default:"none" allow:"none | profuser | simul | reverse | infer_only | train_only | adaptive | sft | fusellm | fusellm_avg"`
	// Seed of everything random: sampling, shuffling, tie-breaking.
	Seed int64 `yaml:"seed" default:"1" allow:"[0, inf)"`
	// Where everything is written: a local folder, gs:// or s3://. The flag --out replaces it, relative to the current folder.
	Out string `yaml:"out" default:"out" path:"out"`
	// The conversations to fuse on.
	Prompts Prompts `yaml:"prompts"`
	// Everything that can be run, by name.
	Models []Model `yaml:"models" required:"true" example:"[{name: target, path: models/target}, {name: helper, path: models/helper}, {name: judge, path: models/judge}]"`
	// The model that is trained.
	Target Target `yaml:"target"`
	// Names of the other models whose knowledge is fused. Ties go to the target, then in this order.
	Sources []string `yaml:"sources" required:"true" example:"[helper]"`
	// How sources write their answers.
	Generate Generate `yaml:"generate"`
	// Which entries of a distribution are stored.
	Truncate Truncate `yaml:"truncate"`
	// Scores of the answers.
	Reward Reward `yaml:"reward"`
	// Reading the references.
	CrossEntropy CrossEntropy `yaml:"crossentropy"`
	// Who wins a prompt.
	Advantage Advantage `yaml:"advantage"`
	// Moving distributions to the target's tokens.
	Align Align `yaml:"align"`
	// What becomes a fusion example.
	Fuse Fuse `yaml:"fuse"`
	// The loss.
	Objective Objective `yaml:"objective"`
	// The stages of training.
	Curriculum Curriculum `yaml:"curriculum"`
	// Optimiser, batches and checkpoints.
	Trainer Trainer `yaml:"trainer"`
	// Held-out items, answered before and after.
	Evaluate Evaluate `yaml:"evaluate"`
	// Where the data jobs run.
	Runner Runner `yaml:"runner"`
	// What profuser plan assumes where nothing was measured. No dataset depends on it.
	Plan Plan `yaml:"plan"`
	// What the report shows. No dataset depends on it.
	Report Report `yaml:"report"`

	dir string // of the configuration file
}

// Prompts is the section of the same name.
type Prompts struct {
	// Input files: JSON lines or Parquet, local or in a bucket.
	Files []string `yaml:"files" required:"true" path:"file" example:"[prompts.jsonl]"`
	// Names of the input's columns.
	Columns Columns `yaml:"columns"`
	// Which user turns of a conversation become prompts: the last one, or each.
	Turns string `yaml:"turns" default:"last" allow:"last | each"`
	// Prompts in one part, the unit of work, retry and file.
	PartRows int `yaml:"part_rows" default:"256" allow:"[1, 65536]"`
	// Share of the prompts, by hash of the id, that training never sees; their loss is reported.
	Holdout float64 `yaml:"holdout" default:"0.02" allow:"[0, 1)"`
	// Accepted faulty rows: below 1 a share of them, from 1 on a number (1 is one row); duplicates and contaminated prompts do not count.
	MaxRejects float64 `yaml:"max_rejects" default:"0" allow:"[0, 1) or a whole number"`
	// Benchmark files (JSON lines, Parquet, CSV, or plain text): prompts that share a run of words with one of their texts are rejected as contaminated.
	Decontaminate []string `yaml:"decontaminate" default:"[]" path:"file" json:",omitempty"`
	// Words in such a run; benchmarks of short texts want less.
	DecontaminateWords int `yaml:"decontaminate_words" default:"13" allow:"[5, 50]" json:",omitempty"`
}

// Columns names the columns of the input.
type Columns struct {
	// Column of the conversation: a list of {role, content}.
	Messages string `yaml:"messages" default:"messages"`
	// Column of the ground-truth answer; rows without one take part in inference mode only.
	Reference string `yaml:"reference" default:"reference"`
	// Column of the row's own id.
	ExternalID string `yaml:"external_id" default:"id"`
	// Column of the row's labels.
	Tags string `yaml:"tags" default:"tags"`
}

// Model is one entry of models.
type Model struct {
	// Name by which target, sources and reward.models refer to it; also a folder's name under out.
	Name string `yaml:"name" required:"true"`
	// Hugging Face directory: config.json, tokenizer.json, tokenizer_config.json, model.safetensors.
	Path string `yaml:"path" default:"" path:"dir"`
	// A server that runs the model, instead of path; its key is in the environment variable PROFUSER_API_KEY.
	Endpoint *Endpoint `yaml:"endpoint"`
	// Directory with tokenizer.json and tokenizer_config.json, for endpoints: prompts become tokens here; a served target's is the model's whole folder, where it is to be trained. Reward models asked by score or judge need none.
	Tokenizer string `yaml:"tokenizer" default:"" path:"dir"`
	// The model is not at hand: its responses, or scores, come by profuser import. Such a source reads nothing, so it takes no part in training mode, and its responses teach without distributions.
	Imported bool `yaml:"imported" default:"false" json:",omitempty"`
	// Chat template: auto (the directory's own), or a built-in one (vicuna, llama-2, chatml).
	ChatTemplate string `yaml:"chat_template" default:"auto"`
	// Context length in tokens; auto takes the model's.
	Context Auto `yaml:"context" default:"auto" allow:"[1, inf)"`
	// What computes: the Go backend, or xla:/path/to/plugin.so in a binary of make build-xla.
	Backend string `yaml:"backend" default:"go:ops_sequential" allow:"go:ops_sequential | xla:/…"`
	// The token that ends an answer; auto takes the one that the template puts there.
	EndOfTurn string `yaml:"end_of_turn" default:"auto"`
	// Whether a BOS token is put before the rendering: auto leaves it to the template.
	BOS string `yaml:"bos" default:"auto" allow:"auto | always | never"`
}

// Endpoint is a server that runs a model.
type Endpoint struct {
	// Base addresses; requests are spread over them. Inside braces they need quotes.
	URLs []string `yaml:"urls" required:"true"`
	// The model's name on the server.
	Model string `yaml:"model" required:"true"`
	// The server's kind.
	Kind string `yaml:"kind" default:"auto" allow:"auto | vllm | sglang | llama.cpp"`
	// Requests in flight.
	Concurrency int `yaml:"concurrency" default:"32" allow:"[1, 65536]"`
	// Time limit of one request.
	Timeout time.Duration `yaml:"timeout" default:"120s"`
	// How often a request is sent at most; a row whose request fails so often is rejected with the last reason.
	Attempts int `yaml:"attempts" default:"8" allow:"[1, 1000]"`
	// Longest wait before a request is sent again, also where the server asks for more.
	MaxWait time.Duration `yaml:"max_wait" default:"60s"`
	// How a reward model is asked: vLLM's /classify, /pooling or /score (activation off), SGLang's /classify, TEI's /predict (raw scores), or a chat model that judges (judge); docs/serving.md tells more.
	Reward string `yaml:"reward" default:"classify" allow:"classify | pooling | score | sglang | predict | judge"`
	// What a judge is to say of an answer before its verdict.
	Criteria string `yaml:"criteria" default:"how helpful, correct and complete the answer is"`
	// Folder or bucket (gs://, s3://) that keeps replies, so that a repeated run costs no calls; none without it.
	Cache string `yaml:"cache" default:"" path:"out"`
}

// Target is the section of the same name.
type Target struct {
	// Name of the model that is trained.
	Model string `yaml:"model" required:"true" example:"target"`
	// Whether the target's own answers and readings can win.
	Compete bool `yaml:"compete" default:"true"`
}

// Generate is the section of the same name.
type Generate struct {
	// Sampling temperature; 0 is greedy.
	Temperature float64 `yaml:"temperature" default:"0.7" allow:"[0, 10]"`
	// Nucleus sampling: the smallest set of tokens with this mass.
	TopP float64 `yaml:"top_p" default:"0.95" allow:"(0, 1]"`
	// Longest answer in tokens.
	MaxNewTokens int `yaml:"max_new_tokens" default:"1024" allow:"[1, inf)"`
	// Answers for each prompt and source. Each competes; a source's first of equal answers stands for all.
	Samples int `yaml:"samples" default:"1" allow:"[1, 64]"`
	// Accepted prompts that a source cannot answer: below 1 a share, from 1 on a number.
	MaxRejects float64 `yaml:"max_rejects" default:"0.01" allow:"[0, 1) or a whole number"`
}

// Truncate is the section of the same name.
type Truncate struct {
	// Entries are kept, most probable first, until they have this mass.
	Mass float64 `yaml:"mass" default:"0.99" allow:"(0, 1]"`
	// At most so many entries at a position; the text's own token is always kept.
	TopK int `yaml:"top_k" default:"32" allow:"[1, 1024]"`
	// Entries below this probability are dropped.
	MinProb float64 `yaml:"min_prob" default:"0.001" allow:"[0, 1)"`
}

// Reward is the section of the same name.
type Reward struct {
	// Names of the reward models; each has one vote.
	Models []string `yaml:"models" required:"true" example:"[judge]"`
	// Accepted answers that a reward model cannot score: below 1 a share, from 1 on a number.
	MaxRejects float64 `yaml:"max_rejects" default:"0.01" allow:"[0, 1) or a whole number"`
}

// CrossEntropy is the section crossentropy.
type CrossEntropy struct {
	// Accepted references that a source cannot read: below 1 a share, from 1 on a number.
	MaxRejects float64 `yaml:"max_rejects" default:"0.01" allow:"[0, 1) or a whole number"`
}

// Advantage is the section of the same name.
type Advantage struct {
	// Measure that compares readings: nats per byte, or per token (which favours finer tokenizers).
	CrossEntropy string `yaml:"cross_entropy" default:"per_byte" allow:"per_byte | per_token"`
	// Inference mode: the sources' own answers.
	Inference Inference `yaml:"inference"`
	// Training mode: the references.
	Training Training `yaml:"training"`
}

// Inference is the section advantage.inference.
type Inference struct {
	// vote: each reward model votes for its best answer, most votes win, then the mean z-score, then the order of sources. borda: ranks summed. mean_z: scores normalised over the dataset, averaged. single: one reward model. perplexity: the target reads all answers, the least surprising wins. length: the longest. random: by seed and id. judge: a chat model compares pairs of answers, each in both orders, and wins are counted. oracle: the right final answer, where the prompt has one.
	Method string `yaml:"method" default:"vote" allow:"vote | borda | mean_z | single | judge | perplexity | length | random | oracle"`
	// The reward model that method single asks.
	Single string `yaml:"single" default:"" json:",omitempty"`
	// The chat model that method judge asks, a name from models; reward.max_rejects is its budget too.
	Judge string `yaml:"judge" default:"" json:",omitempty"`
	// The measure by which method judge compares, in words.
	Criteria string `yaml:"criteria" default:"how helpful, correct and complete the answer is" json:",omitempty"`
	// Answers that cannot win.
	Filters Filters `yaml:"filters"`
}

// Filters is the section advantage.inference.filters.
type Filters struct {
	// Drop answers cut at max_new_tokens.
	Unfinished bool `yaml:"unfinished" default:"true"`
	// Drop empty answers.
	Empty bool `yaml:"empty" default:"true"`
	// Drop answers with a larger share of repeated word 4-grams; 1 drops none.
	MaxRepeat float64 `yaml:"max_repeat" default:"0.5" allow:"[0, 1]"`
	// Drop answers that contain one of these phrases.
	Refusals []string `yaml:"refusals" default:"[]"`
	// Unicode's names of the scripts that answers are written in, such as [Latin, Han]; an empty list allows all.
	Scripts []string `yaml:"scripts" default:"[]" json:",omitempty"`
	// Drop answers with a smaller share of letters in these scripts.
	MinScript float64 `yaml:"min_script" default:"0.5" allow:"(0, 1]" json:",omitempty"`
	// Drop answers of fewer bytes.
	MinBytes int `yaml:"min_bytes" default:"0" allow:"[0, inf)" json:",omitempty"`
	// Drop answers of more bytes; 0 is no limit.
	MaxBytes int `yaml:"max_bytes" default:"0" allow:"[0, inf)" json:",omitempty"`
}

// Training is the section advantage.training.
type Training struct {
	// min_ce: the source with the lowest cross-entropy on the reference wins. average: the sources' aligned distributions are mixed (Avg-CE).
	Method string `yaml:"method" default:"min_ce" allow:"min_ce | average"`
	// Temperature of the weights ce of method average.
	Temperature float64 `yaml:"temperature" default:"1" allow:"(0, inf)"`
	// What the weights of method average are made from: ce is softmax(-CE / temperature), reward is softmax(exp(-CE)), FuseLLM's own.
	Weights string `yaml:"weights" default:"ce" allow:"ce | reward"`
}

// Align is the section of the same name.
type Align struct {
	// exact: by bytes, following every stored alternative as far as it agrees with the text. The others are kept for comparison: exact_match and min_edit_distance (FuseLLM's), statistics (FuseChat's, by co-alignment counts over the corpus), transport (PTA-LLM's; the target reads all answers for it).
	Method string `yaml:"method" default:"exact" allow:"exact | exact_match | min_edit_distance | statistics | transport"`
	// What the comparison methods give a position that copies nothing. next: a one-hot of the text's token. current: FuseLLM's one-hot of the token before it.
	Fallback string `yaml:"fallback" default:"none" allow:"none | next | current"`
}

// Fuse is the section of the same name.
type Fuse struct {
	// Rows written for a prompt: the winner's, or all (the trainer reads the selected ones, unless objective.example_weights says otherwise).
	Keep string `yaml:"keep" default:"winner" allow:"winner | all"`
	// What happens to prompts that the target itself wins.
	TargetWins string `yaml:"target_wins" default:"keep" allow:"keep | drop"`
	// Whether examples say how likely the source holds each chunk of the text that both tokenisations share; objective.kind alm needs it.
	Chunks bool `yaml:"chunks" default:"false"`
	// Accepted prompts without an example: below 1 a share, from 1 on a number.
	MaxRejects float64 `yaml:"max_rejects" default:"0.01" allow:"[0, 1) or a whole number"`
}

// Evaluate is the section of the same name.
type Evaluate struct {
	// Files of held-out items: prompts with answer and candidates.
	Files []string `yaml:"files" default:"[]" path:"file" example:"[heldout.jsonl]"`
	// Longest answer in tokens.
	MaxNewTokens int `yaml:"max_new_tokens" default:"64" allow:"[1, inf)"`
	// Accepted items that a model cannot answer: below 1 a share, from 1 on a number.
	MaxRejects float64 `yaml:"max_rejects" default:"0.01" allow:"[0, 1) or a whole number"`
}

// Runner is the section of the same name; docs/runners.md tells more.
type Runner struct {
	// prism runs in this process, direct too, one bundle after another, for tests. portable is any Beam job server, flink one with other defaults. dataflow is Google's.
	Name string `yaml:"name" default:"prism" allow:"prism | direct | portable | flink | dataflow"`
	// The job server of portable, host:port; flink takes localhost:8099 if there is none here.
	Endpoint string `yaml:"endpoint" default:""`
	// Who starts workers: LOOPBACK this process, PROCESS the runner, EXTERNAL a worker pool (profuser worker-pool), DOCKER the runner in containers. auto: LOOPBACK for portable, EXTERNAL for flink.
	Environment string `yaml:"environment" default:"auto" allow:"auto | LOOPBACK | PROCESS | EXTERNAL | DOCKER"`
	// PROCESS: the command, or JSON with command and env (default: this program). EXTERNAL: the pool's host:port (localhost:50000). DOCKER: the image (Beam's own for Go).
	EnvironmentConfig string `yaml:"environment_config" default:""`
	// The program that is sent to workers; without one, DOCKER and dataflow send this program and the others, whose workers are this program already, send none.
	WorkerBinary string `yaml:"worker_binary" default:"" path:"file"`
	// How often a step whose job failed is submitted again; finished parts are kept.
	Retries int `yaml:"retries" default:"0" allow:"[0, 1000]"`
	// Time before a job is submitted again.
	RetryWait time.Duration `yaml:"retry_wait" default:"10s"`
	// Time after which a job none of whose counts has moved is cancelled and has failed, as when its runner lost a worker and did not notice.
	Stall time.Duration `yaml:"stall" default:"24h"`
	// Options of the runner, by its own names. No secrets: runners show them.
	Options map[string]string `yaml:"options" default:"{}"`
}

// Plan is the section of the same name.
type Plan struct {
	// Prompts that are read for their numbers of tokens, drawn evenly; 0 reads all.
	Sample int `yaml:"sample" default:"1000" allow:"[0, inf)"`
	// Tokens of an answer, end of turn included; never more than generate.max_new_tokens.
	ResponseTokens float64 `yaml:"response_tokens" default:"250" allow:"(0, inf)"`
	// Stored entries at each position of a text. The default was measured with SmolLM2-135M at mass 0.99, top 32 (docs/datasets.md).
	Entries float64 `yaml:"entries" default:"13.6" allow:"(0, 1024]"`
	// Bytes of a stored entry in a file: its id and log-prob. The default was measured (docs/plan.md).
	EntryBytes float64 `yaml:"entry_bytes" default:"2.7" allow:"(0, inf)"`
	// Time that a served model takes for each token of an answer, in one stream among many.
	TokenLatency time.Duration `yaml:"token_latency" default:"25ms"`
	// Time that a served model takes for a request besides: the network, its queue, and reading the prompt.
	RequestLatency time.Duration `yaml:"request_latency" default:"250ms"`
	// Tokens that a GPU writes a second, in all streams together.
	TokensWritten float64 `yaml:"tokens_written" default:"2500" allow:"(0, inf)"`
	// Tokens that a GPU reads a second: prompts, references, and what reward models score.
	TokensRead float64 `yaml:"tokens_read" default:"15000" allow:"(0, inf)"`
	// Price of a GPU for an hour.
	GPUHourPrice float64 `yaml:"gpu_hour_price" default:"0" allow:"[0, inf)"`
	// Price of a million tokens given to a model, where tokens are paid.
	PromptPrice float64 `yaml:"prompt_price" default:"0" allow:"[0, inf)"`
	// Price of a million tokens that a model writes.
	ResponsePrice float64 `yaml:"response_price" default:"0" allow:"[0, inf)"`
	// The prices' unit, as it is printed.
	Currency string `yaml:"currency" default:"USD"`
	// Models for which some of these numbers are others.
	Models []PlanModel `yaml:"models" default:"[]"`
}

// PlanModel is one entry of plan.models; 0 takes the number of the section plan.
type PlanModel struct {
	// Name of the model, from models.
	Name string `yaml:"name" required:"true"`
	// Tokens of an answer.
	ResponseTokens float64 `yaml:"response_tokens" default:"0" allow:"[0, inf)"`
	// Stored entries at each position.
	Entries float64 `yaml:"entries" default:"0" allow:"[0, 1024]"`
	// Tokens that a GPU writes a second.
	TokensWritten float64 `yaml:"tokens_written" default:"0" allow:"[0, inf)"`
	// Tokens that a GPU reads a second.
	TokensRead float64 `yaml:"tokens_read" default:"0" allow:"[0, inf)"`
	// Price of a GPU for an hour.
	GPUHourPrice float64 `yaml:"gpu_hour_price" default:"0" allow:"[0, inf)"`
	// Price of a million tokens given.
	PromptPrice float64 `yaml:"prompt_price" default:"0" allow:"[0, inf)"`
	// Price of a million tokens written.
	ResponsePrice float64 `yaml:"response_price" default:"0" allow:"[0, inf)"`
}

// Report is the section of the same name.
type Report struct {
	// Prompts that can be looked through in report.html, those with the smallest ids (which are hashes) of larger runs; 0 leaves the browser out.
	BrowserPrompts int `yaml:"browser_prompts" default:"10000" allow:"[0, 1000000]"`
	// Prompts whose aligned tokens are in the page too, again those with the smallest ids. Tokens take most of the page's size (docs/report-browser.md).
	BrowserTokens int `yaml:"browser_tokens" default:"1000" allow:"[0, 1000000]"`
}

// For is the section with the numbers of one model.
func (p Plan) For(model string) Plan {
	for _, m := range p.Models {
		if m.Name != model {
			continue
		}
		for _, n := range []struct {
			own     float64
			general *float64
		}{
			{m.ResponseTokens, &p.ResponseTokens},
			{m.Entries, &p.Entries},
			{m.TokensWritten, &p.TokensWritten},
			{m.TokensRead, &p.TokensRead},
			{m.GPUHourPrice, &p.GPUHourPrice},
			{m.PromptPrice, &p.PromptPrice},
			{m.ResponsePrice, &p.ResponsePrice},
		} {
			if n.own > 0 {
				*n.general = n.own
			}
		}
	}
	return p
}

// Auto is a whole number, or 0 for auto.
type Auto int
