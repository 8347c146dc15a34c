package pretrain

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/loop"
)

// pair is a row of reward training.
type pair struct {
	Messages []schemas.Message `json:"messages"`
	Chosen   *string           `json:"chosen"`
	Rejected *string           `json:"rejected"`
}

// tokenPair is a pair in tokens: the whole conversations, and the chosen one with its answer marked.
type tokenPair struct {
	chosen, rejected []int32
	answer           batch.Sequence
}

func (p tokenPair) length() int { return max(len(p.chosen), len(p.rejected)) }

// Reward trains a scalar head, and the model under it, on preference pairs and saves the result.
func Reward(ctx context.Context, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	if o.Init == "" {
		return errors.New("option init: a reward model starts from a model directory")
	}
	config, store, format, err := o.open()
	if err != nil {
		return err
	}
	if store.GetVariable(decoder.Path("score.weight")) == nil {
		if config, err = config.Rewarding(); err != nil {
			return fmt.Errorf("making a reward model of %s: %w", o.Init, err)
		}
		if err := decoder.AddRewardHead(store, config); err != nil {
			return fmt.Errorf("making a reward model of %s: %w", o.Init, err)
		}
	}
	if o.LanguageModel > 0 && !config.Tied {
		return fmt.Errorf("option language-model: %s has an output head of its own, which a reward model does not keep; only tied embeddings can", o.Init)
	}
	if o.MaxLength == 0 || o.MaxLength > config.Context() {
		o.MaxLength = config.Context()
	}
	pairs, dropped, err := readPairs(o.Data, format, o.MaxLength)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.Log, "%d pairs, %d dropped\n", len(pairs), dropped)
	learner, err := loop.NewLearner(o.Backend, store, o.Optimizer, rewardModel(config, o.LanguageModel))
	if err != nil {
		return err
	}
	if err := o.runPairs(ctx, learner, pairs); err != nil {
		return err
	}
	if err := o.save(store, config, format); err != nil || len(o.HeldOut) == 0 {
		return err
	}
	return o.heldOutPairs(learner, config, format)
}

// runPairs deals pairs out by the length of their longer side, half a batch's rows each way.
func (o *Options) runPairs(ctx context.Context, learner *loop.Learner, pairs []tokenPair) error {
	half := *o
	half.BatchTokens = max(1, o.BatchTokens/2)
	half.Tokens = o.Tokens / 2
	lengths := make([]int, len(pairs))
	for i, p := range pairs {
		lengths[i] = p.length()
	}
	stream := batch.NewStream(lengths, half.BatchTokens, o.Seed)
	next := func() step {
		members, s := stream.Next()
		picked := make([]tokenPair, len(members))
		real := 0
		for i, m := range members {
			picked[i] = pairs[m]
			real += len(pairs[m].chosen) + len(pairs[m].rejected)
		}
		return step{inputs: pairInputs(picked, s, answerUnit(half.BatchTokens)), count: float64(len(members)), tokens: real}
	}
	describe := func(means []float64) string {
		text := fmt.Sprintf("loss %.4f  right %.3f", means[0], means[1])
		if o.LanguageModel > 0 {
			text += fmt.Sprintf("  language model %.4f", means[2])
		}
		return text
	}
	return half.run(ctx, learner, lengths, next, describe)
}

// readPairs encodes all pairs; those longer than maxLength tokens are dropped and counted.
func readPairs(files []string, format *chat.Format, maxLength int) (out []tokenPair, dropped int, err error) {
	err = eachLine(files, func(row pair) error {
		if row.Chosen == nil || row.Rejected == nil || len(row.Messages) == 0 {
			return errors.New("a pair needs the fields messages, chosen and rejected")
		}
		var p tokenPair
		var err error
		if p.chosen, err = format.Conversation(row.Messages, *row.Chosen); err != nil {
			return err
		}
		if p.rejected, err = format.Conversation(row.Messages, *row.Rejected); err != nil {
			return err
		}
		e, err := format.Encode(row.Messages, *row.Chosen, true)
		if err != nil {
			return err
		}
		p.answer = batch.Sequence{IDs: append(slices.Clone(e.PromptIDs), e.TextIDs...), Prompt: len(e.PromptIDs)}
		if n := len(p.answer.IDs); n > len(p.chosen) || !slices.Equal(p.answer.IDs, p.chosen[:n]) {
			return errors.New("the chat template renders an answer differently inside the whole conversation")
		}
		if p.length() > maxLength || p.answer.Prompt < 1 {
			dropped++
			return nil
		}
		out = append(out, p)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("reading training data: %v hold no pair of at most %d tokens", files, maxLength)
	}
	return out, dropped, err
}

// pairInputs are tokens [2n, S] with the chosen rows first, the flat places of the last tokens [2n], and index, gold, weight [A] of the chosen
// answers, each answer weighing 1 in all.
func pairInputs(pairs []tokenPair, s, unit int) []any {
	n := len(pairs)
	answers := make([]batch.Sequence, n)
	last := make([]int32, 2*n)
	for i, p := range pairs {
		answers[i] = p.answer
		last[i], last[n+i] = int32(i*s+len(p.chosen)-1), int32((n+i)*s+len(p.rejected)-1)
	}
	rows := batch.Pack(answers, 2*n, s, unit)
	for i, p := range pairs {
		copy(rows.Tokens[i*s:], p.chosen)
		copy(rows.Tokens[(n+i)*s:], p.rejected)
	}
	a := len(rows.Index)
	weight := make([]float32, a)
	at := 0
	for _, q := range answers {
		for range q.Answers() {
			weight[at] = 1 / float32(q.Answers())
			at++
		}
	}
	return []any{
		tensors.FromFlatDataAndDimensions(rows.Tokens, 2*n, s), tensors.FromFlatDataAndDimensions(last, 2*n),
		tensors.FromFlatDataAndDimensions(rows.Index, a), tensors.FromFlatDataAndDimensions(rows.Gold, a), tensors.FromFlatDataAndDimensions(weight, a),
	}
}
