package exam

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/models/serving/transport"
	"github.com/profuser/profuser/transforms/inflight"
)

// Options say what is asked of whom.
type Options struct {
	// Model is the model's directory, or "" with Endpoint, a server's base addresses separated by commas, and Tokenizer,
	// the directory of its tokenizer. ServedModel is its name there; "" takes the only one.
	Model, Endpoint, Tokenizer, ServedModel string
	// Backend computes a model of a directory, such as go:ops_sequential.
	Backend string
	// Concurrency is the number of items in flight at each address of Endpoint, 1 or more.
	Concurrency int
	// Task is the benchmark's name, Items its file, FewShot the file of its examples.
	Task, Items, FewShot string
	// Shots is the number of examples; -1 is the task's own.
	Shots int
	// Sampling is harness.FirstN or harness.Sampled.
	Sampling string
	// Subject keeps the items of one subject of MMLU, and is that of items without; "" keeps all.
	Subject string
	// Limit is the number of items of each subject, the first ones; 0 is all.
	Limit int
	// ChatTemplate says that prompts are rendered with the model's chat template.
	ChatTemplate bool
	// MaxNewTokens is the longest written answer in tokens, 1 or more.
	MaxNewTokens int
	// MaxRejects is how many items may stay without a score: below 1 a share, from 1 on a number.
	MaxRejects float64
	// JSONL writes items.jsonl too.
	JSONL bool
	// Out is the folder, local or in a bucket, of what is written.
	Out string

	task harness.Task
}

// Check says what is wrong with the options by themselves, naming the flag.
func (o *Options) Check() (err error) {
	if o.task, err = harness.Named(o.Task); err != nil {
		return fmt.Errorf("flag --task: %w", err)
	}
	switch {
	case (o.Model == "") == (o.Endpoint == ""):
		return errors.New("flags --model, --endpoint: want a model's directory or a server's address, one of them")
	case o.Endpoint != "" && o.Tokenizer == "":
		return errors.New("flag --tokenizer: a server's model needs the directory of its tokenizer here")
	case o.Endpoint == "" && (o.Tokenizer != "" || o.ServedModel != ""):
		return errors.New("flags --tokenizer, --served-model: go with --endpoint only")
	case o.Items == "":
		return errors.New("flag --items: a file of items is needed")
	case o.Out == "":
		return errors.New("flag --out: a folder for the results is needed")
	case o.Shots < -1:
		return fmt.Errorf("flag --shots: is %d, want 0 or more", o.Shots)
	case o.task.Fixed && o.Shots > 0:
		return fmt.Errorf("flag --shots: is %d, but %s has its own six examples: leave it out", o.Shots, o.Task)
	case o.Sampling != harness.FirstN && o.Sampling != harness.Sampled:
		return fmt.Errorf("flag --fewshot-sampling: is %q, want %s or %s", o.Sampling, harness.FirstN, harness.Sampled)
	case o.Limit < 0:
		return fmt.Errorf("flag --limit: is %d, want 0 (all) or more", o.Limit)
	case o.Subject != "" && o.Task != "mmlu":
		return fmt.Errorf("flag --subject: only mmlu has subjects, not %s", o.Task)
	case o.MaxNewTokens < 1:
		return fmt.Errorf("flag --max-new-tokens: is %d, want 1 or more", o.MaxNewTokens)
	case o.Concurrency < 1:
		return fmt.Errorf("flag --concurrency: is %d, want 1 or more", o.Concurrency)
	case !(o.MaxRejects >= 0):
		return fmt.Errorf("flag --max-rejects: is %g, want 0 or more", o.MaxRejects)
	}
	return nil
}

// shots is the number of examples.
func (o Options) shots() int {
	if o.Shots < 0 {
		return o.task.Shots
	}
	return o.Shots
}

// tokenizer is the directory of the tokenizer and the chat template.
func (o Options) tokenizer() string {
	if o.Model != "" {
		return o.Model
	}
	return o.Tokenizer
}

// engineItems is how many items are in flight to an engine: enough for the batches that it computes side by side.
const engineItems = 64

// model looks at the model, small, and describes it for the step.
func (o Options) model(ctx context.Context) (m inflight.Model, err error) {
	if o.Endpoint == "" {
		m = inflight.Model{Name: filepath.Base(filepath.Clean(o.Model)), Dir: o.Model, Backend: o.Backend, Concurrency: engineItems}
		_, _, err = engine.Check(o.Model, chat.Options{})
		return m, err
	}
	urls := strings.FieldsFunc(o.Endpoint, func(r rune) bool { return r == ',' })
	if o.ServedModel == "" {
		at := transport.Options{URLs: urls[:1], Key: os.Getenv(serving.KeyVariable), Attempts: 2}
		if o.ServedModel, err = serving.OnlyName(ctx, at); err != nil {
			return m, fmt.Errorf("asking %s for its model (--served-model names it): %w", urls[0], err)
		}
	}
	return inflight.Model{
		Name: o.ServedModel, Dir: o.Tokenizer, Concurrency: o.Concurrency * len(urls),
		Endpoint: inflight.Endpoint{
			URLs: strings.Join(urls, " "), Model: o.ServedModel, Kind: serving.Auto, Concurrency: o.Concurrency,
			Timeout: 10 * time.Minute, MaxWait: time.Minute, Attempts: 8, MaxFailures: 100,
		},
	}, nil
}
