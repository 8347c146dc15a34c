package serving

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/profuser/profuser/schemas"
)

// RewardAPI is how a reward model's server is asked.
type RewardAPI string

// The ways of asking for a reward.
const (
	// Classify is vLLM's /classify (and profuser serve's), with the activation off.
	Classify RewardAPI = "classify"
	// Pooling is vLLM's /pooling, with the activation off.
	Pooling RewardAPI = "pooling"
	// PairScore is vLLM's /score of the last user turn and the answer: cross-encoders.
	PairScore RewardAPI = "score"
	// SGLangClassify is SGLang's /classify, which applies no activation.
	SGLangClassify RewardAPI = "sglang"
	// Predict is text-embeddings-inference's /predict, with raw scores.
	Predict RewardAPI = "predict"
	// Judge is a chat model that writes a verdict.
	Judge RewardAPI = "judge"
)

// RewardAPIs are all of them.
func RewardAPIs() []RewardAPI {
	return []RewardAPI{Classify, Pooling, PairScore, SGLangClassify, Predict, Judge}
}

// ReadsText says that a reward model is asked with the conversation's text, which its own server renders: such a model
// needs no tokenizer here.
func (a RewardAPI) ReadsText() bool { return a == PairScore || a == Judge }

// RewardRequest is an answer to be scored.
type RewardRequest struct {
	// Messages is the conversation, Text the answer.
	Messages []schemas.Message
	Text     string
	// IDs [T] are conversation and answer rendered by the model's Format; nil lets Reward render them.
	IDs []int32
}

// Reward scores an answer: the reward model's raw logit, or the judge's number. A conversation over the context is
// ErrTooLong.
func (m *Model) Reward(ctx context.Context, r RewardRequest) (float64, error) {
	score, err := m.reward(ctx, r)
	if err != nil {
		return 0, m.failed("rewarding", err)
	}
	return score, nil
}

func (m *Model) reward(ctx context.Context, r RewardRequest) (float64, error) {
	form, err := m.form(ctx)
	if err != nil {
		return 0, err
	}
	switch m.options.Reward {
	case Judge:
		return m.judge(ctx, r)
	case PairScore:
		return m.scorePair(ctx, r, form, false)
	}
	if r.IDs == nil {
		if r.IDs, err = m.options.Format.Conversation(r.Messages, r.Text); err != nil {
			return 0, err
		}
	}
	if len(r.IDs) == 0 {
		return 0, errors.New("no tokens")
	}
	if err := m.fits(len(r.IDs), r.IDs); err != nil {
		return 0, err
	}
	return m.rewardOf(ctx, r.IDs, form, false)
}

// rewardForm is what was found out of a reward server.
type rewardForm struct {
	text       bool // it does not take ids
	activation bool // the request must not turn it off: only in the probe
}

// form finds out at the first use whether a server takes ids and whether it turns the activation off: the same text is
// scored with and without, and the two must be one number and its sigmoid, or a number that no sigmoid gives.
func (m *Model) form(ctx context.Context) (rewardForm, error) {
	if m.options.Reward == Judge {
		return rewardForm{}, nil
	}
	m.probing.Lock()
	defer m.probing.Unlock()
	if m.rewards == nil {
		form, err := m.probeForm(ctx)
		if refusal(err) {
			err = unfit{err}
		}
		if err != nil {
			return rewardForm{}, err
		}
		m.rewards = &form
	}
	return *m.rewards, nil
}

func (m *Model) probeForm(ctx context.Context) (form rewardForm, err error) {
	ask := func(form rewardForm) (float64, error) {
		if m.options.Reward == PairScore {
			return m.scorePair(ctx, RewardRequest{Messages: []schemas.Message{{Role: schemas.RoleUser, Content: "one"}}, Text: "two"}, form, true)
		}
		return m.rewardOf(ctx, m.tokens.sample(), form, true)
	}
	form.text = m.options.Reward == Predict
	raw, err := ask(form)
	if refusal(err) && !form.text && m.options.Reward != PairScore {
		form.text = true
		first := err
		if raw, err = ask(form); refusal(err) {
			err = fmt.Errorf("as ids: %w; as text: %w", first, err)
		}
	}
	if err != nil {
		return form, err
	}
	if m.options.Reward == SGLangClassify {
		return form, nil
	}
	on := form
	on.activation = true
	activated, err := ask(on)
	if err != nil {
		return form, err
	}
	return form, rawLogit(raw, activated)
}

// rawLogit decides whether raw is free of an activation, given the same score with the server's default.
func rawLogit(raw, activated float64) error {
	sigmoid := 1 / (1 + math.Exp(-raw))
	if math.Abs(activated-sigmoid) < 1e-3 && activated != raw || raw < 0 || raw > 1 {
		return nil
	}
	return fmt.Errorf("the server scores a text %v with the activation off and %v with it on: it seems to apply a sigmoid in any case, so scores would be squeezed; serve the model with vLLM 0.11 or later, SGLang or profuser serve", raw, activated)
}

// rewardOf asks for the score of one text.
func (m *Model) rewardOf(ctx context.Context, ids []int32, form rewardForm, probe bool) (score float64, err error) {
	var input any = ids
	if form.text {
		input = m.plainText(ids)
	}
	path, body := "/classify", map[string]any{"model": m.options.Model}
	switch m.options.Reward {
	case SGLangClassify:
		body["input_ids"] = input
		if form.text {
			delete(body, "input_ids")
			body["text"] = input
		}
	case Predict:
		path, body = "/predict", map[string]any{"inputs": input, "raw_scores": !form.activation, "truncate": false}
	default:
		path = "/" + string(m.options.Reward)
		body["input"] = input
		if form.text {
			body["add_special_tokens"] = false
		}
		if !form.activation {
			body["use_activation"] = false
		}
	}
	err = m.ask(ctx, path, body, probe, func(reply []byte) (err error) {
		score, err = m.readReward(reply, len(ids))
		return err
	})
	return score, err
}

// plainText is the text of a conversation for servers that take no ids. Those that put the beginning of text before it
// themselves must not get it twice.
func (m *Model) plainText(ids []int32) string {
	t := m.options.Format.Tokenizer()
	if begin := t.Specials(); m.options.Reward == Predict || m.options.Reward == SGLangClassify {
		if n := len(begin); n <= len(ids) && slices.Equal(ids[:n], begin) {
			ids = ids[n:]
		}
	}
	return t.Decode(ids, false)
}

// rewardReply covers what the servers answer for one text.
type rewardReply struct {
	Data []struct {
		Index int             `json:"index"`
		Probs []float64       `json:"probs"`
		Data  json.RawMessage `json:"data"`
		Score *float64        `json:"score"`
	} `json:"data"`
	Usage *struct {
		Prompt int `json:"prompt_tokens"`
	} `json:"usage"`
	Embedding []float64 `json:"embedding"`
	Meta      *struct {
		Prompt int `json:"prompt_tokens"`
	} `json:"meta_info"`
	Score *float64 `json:"score"`
}

// readReward finds the one score of a reply, and checks that the server read as many tokens as we meant, where it says
// so.
func (m *Model) readReward(reply []byte, tokens int) (float64, error) {
	var r rewardReply
	if len(reply) > 0 && reply[0] == '[' { // SGLang and TEI answer with a list
		var list []rewardReply
		if err := decode(reply, &list); err != nil {
			return 0, err
		}
		if len(list) != 1 {
			return 0, fmt.Errorf("%d scores, want one", len(list))
		}
		r = list[0]
	} else if err := decode(reply, &r); err != nil {
		return 0, err
	}
	scores := r.Embedding
	counted := 0
	if r.Usage != nil {
		counted = r.Usage.Prompt
	}
	if r.Meta != nil {
		counted = r.Meta.Prompt
	}
	if r.Score != nil {
		scores = []float64{*r.Score}
	}
	if len(r.Data) == 1 {
		d := r.Data[0]
		var one float64
		switch {
		case d.Probs != nil:
			scores = d.Probs
		case d.Score != nil:
			scores = []float64{*d.Score}
		case json.Unmarshal(d.Data, &scores) != nil && json.Unmarshal(d.Data, &one) == nil:
			scores = []float64{one}
		}
	}
	if len(scores) != 1 {
		return 0, fmt.Errorf("a reply with %d scores, want one: a reward model has one label", len(scores))
	}
	if tokens > 0 && counted > 0 && counted != tokens {
		return 0, fmt.Errorf("the server read %d tokens, the conversation has %d: its tokenizer or template adds some", counted, tokens)
	}
	return scores[0], nil
}

// scorePair asks a cross-encoder for the score of the last user turn and the answer.
func (m *Model) scorePair(ctx context.Context, r RewardRequest, form rewardForm, probe bool) (score float64, err error) {
	if len(r.Messages) == 0 {
		return 0, errors.New("a conversation without messages")
	}
	body := map[string]any{"model": m.options.Model, "text_1": r.Messages[len(r.Messages)-1].Content, "text_2": r.Text}
	if !form.activation {
		body["use_activation"] = false
	}
	err = m.ask(ctx, "/score", body, probe, func(reply []byte) (err error) {
		score, err = m.readReward(reply, 0)
		return err
	})
	return score, err
}
