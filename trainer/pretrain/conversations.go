package pretrain

import (
	"context"
	"fmt"

	"github.com/gomlx/gomlx/core/tensors"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/loop"
)

// Conversations trains a language model on conversations and saves it.
func Conversations(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	config, store, format, err := o.open()
	if err != nil {
		return err
	}
	if o.MaxLength == 0 || o.MaxLength > config.Context() {
		o.MaxLength = config.Context()
	}
	sequences, dropped, err := readConversations(o.Data, format, o.MaxLength)
	if err != nil {
		return err
	}
	lengths, tokens := make([]int, len(sequences)), 0
	for i, s := range sequences {
		lengths[i] = s.Inputs()
		tokens += s.Inputs()
	}
	fmt.Fprintf(o.Log, "%d conversations, %d tokens, %d dropped\n", len(sequences), tokens, dropped)
	learner, err := loop.NewLearner(o.Backend, store, o.Optimizer, languageModel(config))
	if err != nil {
		return err
	}
	stream := batch.NewStream(lengths, o.BatchTokens, o.Seed)
	next := func() step {
		members, s := stream.Next()
		picked := make([]batch.Sequence, len(members))
		real := 0
		for i, m := range members {
			picked[i] = sequences[m]
			real += lengths[m]
		}
		rows := batch.Pack(picked, len(members), s, answerUnit(o.BatchTokens))
		return step{inputs: rowInputs(rows), count: float64(rows.Real), tokens: real}
	}
	describe := func(means []float64) string { return fmt.Sprintf("loss %.4f", means[0]) }
	if err := o.run(ctx, learner, lengths, next, describe); err != nil {
		return err
	}
	if err := o.save(store, config, format); err != nil || len(o.HeldOut) == 0 {
		return err
	}
	return o.heldOutConversations(learner, config, format)
}

// answerUnit is what numbers of predicting positions are rounded up to: a sixteenth of a batch.
func answerUnit(batchTokens int) int { return max(8, batchTokens/16) }

// rowInputs are the tensors of languageModel.
func rowInputs(r *batch.Rows) []any {
	a := len(r.Index)
	weight := make([]float32, a)
	for i := range r.Real {
		weight[i] = 1
	}
	return []any{
		tensors.FromFlatDataAndDimensions(r.Tokens, r.B, r.S), tensors.FromFlatDataAndDimensions(r.Index, a),
		tensors.FromFlatDataAndDimensions(r.Gold, a), tensors.FromFlatDataAndDimensions(weight, a),
	}
}

func (o *Options) tokenizerDir() string {
	if o.Init != "" {
		return o.Init
	}
	return o.Tokenizer
}

// open reads or makes the model and its format.
func (o *Options) open() (decoder.Config, *model.Store, *chat.Format, error) {
	var none decoder.Config
	source := o.Init
	if source == "" {
		source = o.Config
	}
	config, err := decoder.ReadConfig(source)
	if err != nil {
		return none, nil, nil, err
	}
	if err := loop.Trainable(config); err != nil {
		return none, nil, nil, fmt.Errorf("model %s: %w", source, err)
	}
	format, err := chat.Load(o.tokenizerDir(), chat.Options{})
	if err != nil {
		return none, nil, nil, err
	}
	if size := format.Tokenizer().Size(); size > config.VocabSize() {
		return none, nil, nil, fmt.Errorf("tokenizer %s has %d tokens, the model's vocabulary only %d: give a matching config", o.tokenizerDir(), size, config.VocabSize())
	}
	var store *model.Store
	if o.Init != "" {
		store, err = decoder.LoadStore(o.Init, config)
	} else {
		store, err = decoder.InitStore(config, o.Seed)
	}
	return config, store, format, err
}
