package pretrain

import (
	"fmt"

	. "github.com/gomlx/gomlx/core/graph"
	"github.com/gomlx/gomlx/ml/model"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/loop"
)

// heldOutConversations prints the mean cross-entropy of the answers in HeldOut, in nats a token.
func (o *Options) heldOutConversations(l *loop.Learner, c decoder.Config, format *chat.Format) error {
	sequences, _, err := readConversations(o.HeldOut, format, o.MaxLength)
	if err != nil {
		return err
	}
	lengths := make([]int, len(sequences))
	for i, s := range sequences {
		lengths[i] = s.Inputs()
	}
	forward, err := l.NewForward(func(scope *model.Scope, in []*Node) []*Node {
		reports, _ := languageModel(c)(scope, in)
		return reports
	})
	if err != nil {
		return err
	}
	var nats float64
	tokens := 0
	for _, g := range batch.Groups(lengths, o.BatchTokens, 1) {
		picked := make([]batch.Sequence, len(g.Members))
		for i, m := range g.Members {
			picked[i] = sequences[m]
		}
		rows := batch.Pack(picked, g.B, g.S, answerUnit(o.BatchTokens))
		reports, err := forward.Call(rowInputs(rows)...)
		if err != nil {
			return fmt.Errorf("reading the held-out data: %w", err)
		}
		nats += float64(reports[0][0])
		tokens += rows.Real
	}
	fmt.Fprintf(o.Log, "held out: %d conversations, loss %.4f\n", len(sequences), nats/float64(tokens))
	return nil
}

// heldOutPairs prints the share of the pairs in HeldOut that the model ranks right.
func (o *Options) heldOutPairs(l *loop.Learner, c decoder.Config, format *chat.Format) error {
	pairs, _, err := readPairs(o.HeldOut, format, o.MaxLength)
	if err != nil {
		return err
	}
	lengths := make([]int, len(pairs))
	for i, p := range pairs {
		lengths[i] = p.length()
	}
	forward, err := l.NewForward(func(scope *model.Scope, in []*Node) []*Node {
		reports, _ := rewardModel(c, 0)(scope, in)
		return reports
	})
	if err != nil {
		return err
	}
	var loss, right float64
	for _, g := range batch.Groups(lengths, max(1, o.BatchTokens/2), 1) {
		picked := make([]tokenPair, len(g.Members))
		for i, m := range g.Members {
			picked[i] = pairs[m]
		}
		reports, err := forward.Call(pairInputs(picked, g.S, answerUnit(o.BatchTokens))...)
		if err != nil {
			return fmt.Errorf("reading the held-out data: %w", err)
		}
		loss += float64(reports[0][0])
		right += float64(reports[1][0])
	}
	n := float64(len(pairs))
	fmt.Fprintf(o.Log, "held out: %d pairs, loss %.4f  right %.3f\n", len(pairs), loss/n, right/n)
	return nil
}
