package export

import (
	"fmt"
	"math"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/schemas"
)

// Formats.
const (
	// Preference: one pair of responses a prompt, TRL's conversational preference format.
	Preference = "preference"
	// SFT: the winner's conversation.
	SFT = "sft"
	// FuseSFT: every candidate's conversation with a weight.
	FuseSFT = "fusesft"
)

// Pair is a row of the format preference: prompt, chosen and rejected are TRL's columns, chosen and rejected one
// assistant message each.
type Pair struct {
	// ID is the prompt's.
	ID string `json:"id" parquet:"id"`
	// Prompt ends with a user turn.
	Prompt []schemas.Message `json:"prompt" parquet:"prompt,list"`
	// Chosen is the winner's response, Rejected the one with the lowest score.
	Chosen   []schemas.Message `json:"chosen" parquet:"chosen,list"`
	Rejected []schemas.Message `json:"rejected" parquet:"rejected,list"`
	// ScoreChosen and ScoreRejected are mean z-scores over the reward models; Margin is their difference.
	ScoreChosen   float64 `json:"score_chosen" parquet:"score_chosen"`
	ScoreRejected float64 `json:"score_rejected" parquet:"score_rejected"`
	Margin        float64 `json:"margin" parquet:"margin"`
	// SourceChosen and SourceRejected wrote them; the samples are their numbers.
	SourceChosen   string `json:"source_chosen" parquet:"source_chosen"`
	SourceRejected string `json:"source_rejected" parquet:"source_rejected"`
	SampleChosen   int32  `json:"sample_chosen,omitempty" parquet:"sample_chosen"`
	SampleRejected int32  `json:"sample_rejected,omitempty" parquet:"sample_rejected"`
}

// Conversation is a row of the formats sft and fusesft.
type Conversation struct {
	// ID is the prompt's.
	ID string `json:"id" parquet:"id"`
	// Messages ends with the response.
	Messages []schemas.Message `json:"messages" parquet:"messages,list"`
	// Source wrote the response; Sample is its number.
	Source string `json:"source" parquet:"source"`
	Sample int32  `json:"sample,omitempty" parquet:"sample"`
	// Reward is the mean score over the reward models that have one, null without any.
	Reward *float64 `json:"reward" parquet:"reward,optional"`
	// Weight is 1 (sft), or the share of the response among its prompt's: softmax(reward / temperature).
	Weight float64 `json:"weight" parquet:"weight"`
}

// prompt is one prompt with its winner and the candidates' responses.
type prompt struct {
	*schemas.Prompt
	winner     schemas.ResponseKey
	candidates []advantage.Response
}

// pair is the prompt's row of the format preference; a reason where it has none.
func (p prompt) pair(stats []*advantage.Stats, minMargin float64) (row *Pair, reason string, err error) {
	if len(p.candidates) < 2 {
		return nil, "one candidate", nil
	}
	scored, err := advantage.Inference{Method: advantage.MeanZ}.Select(p.ID, p.candidates, stats)
	if err != nil {
		return nil, "", err
	}
	best, worst := -1, -1
	for i, c := range scored.Candidates {
		switch {
		case c.Key(p.ID) == p.winner:
			best = i
		case worst < 0 || c.Value <= scored.Candidates[worst].Value:
			worst = i
		}
	}
	if best < 0 {
		return nil, "", fmt.Errorf("prompt %s: the winner %s (sample %d) is no candidate", p.ID, p.winner.Source, p.winner.Sample)
	}
	chosen, rejected := p.candidates[best], p.candidates[worst]
	margin := math.Round((scored.Candidates[best].Value-scored.Candidates[worst].Value)*1e6) / 1e6
	switch {
	case chosen.Text == rejected.Text:
		return nil, "equal responses", nil
	case margin < minMargin:
		return nil, "margin", nil
	}
	return &Pair{
		ID: p.ID, Prompt: p.Messages, Chosen: assistant(chosen), Rejected: assistant(rejected), Margin: margin,
		ScoreChosen: scored.Candidates[best].Value, ScoreRejected: scored.Candidates[worst].Value, SourceChosen: chosen.Source, SourceRejected: rejected.Source,
		SampleChosen: chosen.Sample, SampleRejected: rejected.Sample,
	}, "", nil
}

// conversations are the prompt's rows of the formats sft (the winner's) and fusesft (all with a reward).
func (p prompt) conversations(format string, temperature float64) (rows []Conversation, reason string) {
	var rewards []float64
	for _, r := range p.candidates {
		row := Conversation{ID: p.ID, Source: r.Source, Sample: r.Sample, Reward: advantage.MeanScore(r.Scores), Weight: 1}
		row.Messages = append(append([]schemas.Message{}, p.Messages...), assistant(r)...)
		switch {
		case format == SFT && r.Source == p.winner.Source && r.Sample == p.winner.Sample:
			return []Conversation{row}, ""
		case format == FuseSFT && row.Reward != nil:
			rows, rewards = append(rows, row), append(rewards, *row.Reward)
		}
	}
	for i, w := range advantage.RewardWeights(rewards, temperature) {
		rows[i].Weight = w
	}
	if len(rows) == 0 {
		return nil, "no reward"
	}
	return rows, ""
}

func assistant(r advantage.Response) []schemas.Message {
	return []schemas.Message{{Role: schemas.RoleAssistant, Content: r.Text}}
}
