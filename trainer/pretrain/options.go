package pretrain

import (
	"errors"
	"fmt"
	"io"

	"github.com/profuser/profuser/trainer/optim"
)

// Options say what is trained on what, and for how long.
type Options struct {
	// Data are the JSON-lines files, read in this order. Required.
	Data []string
	// HeldOut are files of the same kind that are only read, after the training: their loss is printed.
	HeldOut []string
	// Out is the model directory to write. Required.
	Out string
	// Init is a model directory to start from; its tokenizer files are copied. Either Init or Config and Tokenizer.
	Init string
	// Config is the config.json of a new model.
	Config string
	// Tokenizer is the directory of a new model's tokenizer files.
	Tokenizer string
	// Steps is the number of optimizer steps; 0 means that Tokens or one pass over the data decides.
	Steps int
	// Tokens is the number of tokens to train on, padding not counted; 0 means one pass over the data.
	Tokens int64
	// BatchTokens is the number of positions of a batch: rows times bucket length. Default 3072.
	BatchTokens int
	// MaxLength is the longest sequence in tokens; longer texts are cut on the right. Default: the model's context.
	MaxLength int
	// LearningRate is the peak. Default 3e-3.
	LearningRate float64
	// Warmup is the number of warm-up steps. Default 40.
	Warmup int
	// Optimizer holds AdamW's constants.
	Optimizer optim.AdamW
	// Seed of the initial weights and of the order of examples. Default 1.
	Seed int64
	// DType is the storage type of the result: bfloat16, float32 or float16. Default bfloat16.
	DType string
	// Backend is GoMLX's configuration string. Default go:ops_sequential.
	Backend string
	// LanguageModel weighs the next-token loss on the chosen answer (reward models only); 0 is none.
	LanguageModel float64
	// Log receives progress.
	Log io.Writer
}

// validate names the first option that cannot be.
func (o *Options) validate() error {
	switch {
	case len(o.Data) == 0:
		return errors.New("option data: name at least one JSON-lines file")
	case o.Out == "":
		return errors.New("option out: name the model directory to write")
	case o.Init == "" && (o.Config == "" || o.Tokenizer == ""):
		return errors.New("options init, config, tokenizer: give init (a model to start from), or config and tokenizer (a new model)")
	case o.Init != "" && (o.Config != "" || o.Tokenizer != ""):
		return errors.New("options init, config, tokenizer: init excludes the other two")
	case o.Steps < 0 || o.Tokens < 0:
		return errors.New("options steps, tokens: must not be negative")
	case o.Steps > 0 && o.Tokens > 0:
		return errors.New("options steps, tokens: give one of them")
	case o.BatchTokens < 1:
		return fmt.Errorf("option batch-tokens: %d, must be positive", o.BatchTokens)
	case o.MaxLength < 0:
		return fmt.Errorf("option max-length: %d, must not be negative", o.MaxLength)
	case !(o.LearningRate > 0):
		return fmt.Errorf("option learning-rate: %g, must be positive", o.LearningRate)
	case o.Warmup < 0:
		return fmt.Errorf("option warmup: %d, must not be negative", o.Warmup)
	case o.LanguageModel < 0:
		return fmt.Errorf("option language-model: %g, must not be negative", o.LanguageModel)
	case o.DType != "bfloat16" && o.DType != "float32" && o.DType != "float16":
		return fmt.Errorf("option dtype: %q; bfloat16, float32 and float16 can be written", o.DType)
	}
	return nil
}
