package serving

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/serving/transport"
	"github.com/profuser/profuser/schemas"
)

// Need says what a model will be asked for.
type Need struct {
	// Generate, Score and Reward are the three operations, Chat is a judge's that compares.
	Generate, Score, Reward, Chat bool
	// TopK is the number of alternatives at each position.
	TopK int
}

// Check finds out with small requests whether the server can do what will be asked for, before anything expensive runs.
// An error says what is missing and what to do.
func (m *Model) Check(ctx context.Context, n Need) error {
	truncate := dist.Truncate{Mass: 1, TopK: n.TopK}
	var probe []int32
	if n.Generate || n.Score {
		if err := m.fits(0); err != nil {
			return m.failed("checking", err)
		}
		probe = m.tokens.sample()
	}
	if n.Generate {
		if _, err := m.Generate(ctx, GenerateRequest{PromptIDs: probe, MaxTokens: 1, Truncate: truncate}); err != nil {
			return err
		}
	}
	if n.Score {
		if _, err := m.Score(ctx, ScoreRequest{PromptIDs: probe[:1], TextIDs: probe[1:], Truncate: truncate}); err != nil {
			return err
		}
	}
	question := []schemas.Message{{Role: schemas.RoleUser, Content: "What is 2 + 2?"}}
	if n.Chat {
		if _, err := m.Chat(ctx, ChatRequest{Messages: question, MaxTokens: 1}); err != nil {
			return err
		}
	}
	if n.Reward && m.options.Reward == Judge {
		if _, err := m.Reward(ctx, RewardRequest{Messages: question, Text: "2 + 2 = 4."}); err != nil {
			return err
		}
	} else if n.Reward {
		if _, err := m.form(ctx); err != nil {
			return m.failed("rewarding", err)
		}
	}
	return nil
}

// sample gives a few ordinary tokens, different ones, whose text says which they are.
func (v *vocabulary) sample() []int32 {
	var out []int32
	for id := range int32(v.tokenizer.Size()) {
		b := v.tokenizer.Bytes(id)
		if len(b) > 1 && b[len(b)-1] >= 'a' && b[len(b)-1] <= 'z' && len(v.ids[string(b)]) == 1 {
			if out = append(out, id); len(out) == 4 {
				return out
			}
		}
	}
	for id := range int32(v.tokenizer.Size()) { // a tokenizer without words
		if out = append(out, id); len(out) >= 4 {
			break
		}
	}
	return out
}

// reading is the way in which this server is teacher-forced, found at its first use. A way counts only when a probe came
// back with the log-probs of exactly the tokens that were sent.
func (m *Model) reading(ctx context.Context) (*reader, error) {
	m.probing.Lock()
	defer m.probing.Unlock()
	if m.reader != nil {
		return m.reader, nil
	}
	ways := slices.Clone(readers)
	foreign := func(r reader) int { // the way of the server's kind comes first
		if r.kind == m.options.Kind {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(ways, func(a, b reader) int {
		return cmp.Compare(foreign(a), foreign(b))
	})
	var reasons []string
	for i, way := range ways {
		q := question{ids: m.tokens.sample(), topK: 1, probe: true}
		err := way.read(ctx, m, q, func(positions []position) error {
			_, err := m.tokens.distributions(positions[1:], 1, dist.Truncate{Mass: 1, TopK: 1})
			return err
		})
		if err == nil {
			m.reader = &ways[i]
			return m.reader, nil
		}
		if !refusal(err) {
			return nil, err
		}
		reasons = append(reasons, fmt.Sprintf("%s: %v", way.name, err))
	}
	return nil, fmt.Errorf("this server does not return the log-probs of a given text, which reading the references needs; serve the model with vLLM, SGLang or profuser serve (llama.cpp ignores echo, transformers serve refuses it). Tried %s", strings.Join(reasons, "; "))
}

// takesLists says whether the server reads several texts in one request, found out at the first use.
func (m *Model) takesLists(ctx context.Context) (bool, error) {
	way, err := m.reading(ctx)
	if err != nil || !way.lists {
		return false, err
	}
	m.probing.Lock()
	defer m.probing.Unlock()
	if m.lists == nil {
		ids := m.tokens.sample()
		q := question{more: [][]int32{ids, ids[:len(ids)-1]}, topK: 1, probe: true}
		err := way.readAll(ctx, m, q, func(_ int, positions []position) error {
			_, err := m.tokens.distributions(positions[1:], 1, dist.Truncate{Mass: 1, TopK: 1})
			return err
		})
		if err != nil && !refusal(err) {
			return false, err
		}
		takes := err == nil
		m.lists = &takes
	}
	return *m.lists, nil
}

// OnlyName is the name of the one model that a server lists; an error names all where there are several.
func OnlyName(ctx context.Context, o transport.Options) (name string, err error) {
	o.Identity = "names"
	pool, err := transport.New(o)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	err = pool.Do(ctx, transport.Request{Method: http.MethodGet, Path: "/v1/models", Fresh: true, Check: func(reply []byte) error {
		var list struct{ Data []listed }
		if err := decode(reply, &list); err != nil {
			return err
		}
		var names []string
		for _, l := range list.Data {
			names = append(names, l.ID)
		}
		if len(names) != 1 || names[0] == "" {
			return &otherReply{fmt.Errorf("the server has the models %q: say which one", names)}
		}
		name = names[0]
		return nil
	}})
	return name, err
}
