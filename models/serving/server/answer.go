package server

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/tokenizer"
)

// place is one token with what the model thought there.
type place struct {
	id      int32
	known   bool // false for the first token of all
	logProb float32
	ids     []int32 // the k most probable, best first
	tops    []float32
}

// answer is one continuation as replies show it.
type answer struct {
	places []place
	text   string
	finish string // stop or length
}

// every asks for k alternatives at each position, unrounded.
func every(k int) dist.Truncate { return dist.Truncate{Mass: 1, TopK: k, Exact: true} }

// places reads a distribution of which k entries were asked for; the token from outside is the entry after them.
func places(ids []int32, logProbs []float32, ranks []int32, d dist.Sparse, k int) []place {
	out := make([]place, len(ids))
	for t, id := range ids {
		top, tops := d.At(t)
		n := len(top)
		if ranks[t] < 0 {
			n--
		}
		n = min(n, k)
		out[t] = place{id: id, known: true, logProb: logProbs[t], ids: top[:n], tops: tops[:n]}
	}
	return out
}

// generate gives the n answers of a prompt, all at once.
func (s *Server) generate(ctx context.Context, ids []int32, p sampling, k int) ([]answer, error) {
	out, errs := make([]answer, p.n), make([]error, p.n)
	var wait sync.WaitGroup
	for i := range p.n {
		wait.Go(func() {
			a, err := s.engine.Generate(ctx, p.request(ids, i, k))
			if errs[i] = err; err != nil {
				return
			}
			out[i] = answer{places: places(a.IDs, a.TokenLogProbs, a.TextRank, a.Dist, k), finish: finishOf(a), text: s.text(a)}
			s.counts.tokens(0, len(a.IDs))
		})
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	s.counts.tokens(len(ids), 0)
	return out, nil
}

// finishOf is why an answer ended.
func finishOf(a engine.GenerateResult) string {
	if a.Stopped {
		return "stop"
	}
	return "length"
}

// text is an answer's, without special tokens and up to the stop text that ended it.
func (s *Server) text(a engine.GenerateResult) string {
	t := s.engine.Format().Tokenizer()
	var b []byte
	for _, id := range a.IDs {
		b = append(b, t.Bytes(id)...)
	}
	if a.StopText != "" {
		b, _, _ = bytes.Cut(b, []byte(a.StopText))
	}
	return readable(b)
}

// readable is text for JSON.
func readable(b []byte) string { return strings.ToValidUTF8(string(b), string(utf8.RuneError)) }

// readPrompts is teacher forcing of a request's prompts: the first token of each has no log-probs.
func (s *Server) readPrompts(ctx context.Context, prompts [][]int32, k int) (out [][]place, err error) {
	var results []engine.ScoreResult
	if e, ok := s.engine.(shared); ok && len(prompts) > 1 {
		results, err = e.ReadAll(ctx, prompts, every(k))
	} else {
		results = make([]engine.ScoreResult, len(prompts))
		for i := 0; i < len(prompts) && err == nil; i++ {
			results[i], err = s.engine.Score(ctx, engine.ScoreRequest{PromptIDs: prompts[i][:1], TextIDs: prompts[i][1:], Truncate: every(k)})
		}
	}
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		ids := prompts[i]
		out = append(out, append([]place{{id: ids[0]}}, places(ids[1:], r.TokenLogProbs, r.TextRank, r.Dist, k)...))
	}
	return out, nil
}

// spelled is a token for people.
func spelled(t *tokenizer.Tokenizer, id int32) string {
	if b := t.Bytes(id); b != nil {
		return readable(b)
	}
	return t.Token(id)
}

// columns is OpenAI's older shape of log-probs, of tokens that begin offset characters after the beginning.
func (s *Server) columns(list []place, asIDs bool, offset int) map[string]any {
	t := s.engine.Format().Tokenizer()
	name := func(id int32) string {
		if asIDs {
			return tokenID(id)
		}
		return spelled(t, id)
	}
	tokens, own, tops, offsets := []string{}, []any{}, []any{}, []int{}
	for _, p := range list {
		tokens, offsets = append(tokens, name(p.id)), append(offsets, offset)
		offset += s.length(p)
		if !p.known {
			own, tops = append(own, nil), append(tops, nil)
			continue
		}
		at := map[string]float32{name(p.id): p.logProb}
		for i := len(p.ids) - 1; i >= 0; i-- { // of two ids with one text the more probable stays
			at[name(p.ids[i])] = p.tops[i]
		}
		own, tops = append(own, p.logProb), append(tops, at)
	}
	return map[string]any{"tokens": tokens, "token_logprobs": own, "top_logprobs": tops, "text_offset": offsets}
}

// length is a token's in characters, as text_offset counts them.
func (s *Server) length(p place) int {
	return utf8.RuneCountInString(spelled(s.engine.Format().Tokenizer(), p.id))
}

// list is the shape of chat completions, with ids besides.
func (s *Server) list(places []place) map[string]any {
	t := s.engine.Format().Tokenizer()
	entry := func(id int32, logProb float32) map[string]any {
		b := []int{}
		for _, x := range t.Bytes(id) {
			b = append(b, int(x))
		}
		return map[string]any{"id": id, "token": spelled(t, id), "bytes": b, "logprob": logProb}
	}
	content := []any{}
	for _, p := range places {
		tops := []any{}
		for i, id := range p.ids {
			tops = append(tops, entry(id, p.tops[i]))
		}
		e := entry(p.id, p.logProb)
		e["top_logprobs"] = tops
		content = append(content, e)
	}
	return map[string]any{"content": content}
}

// byID is vLLM's prompt_logprobs: rank is the place in the whole order for the k most probable, and k+1 for a token
// from outside of them.
func (s *Server) byID(list []place) []any {
	t := s.engine.Format().Tokenizer()
	out := []any{}
	for _, p := range list {
		if !p.known {
			out = append(out, nil)
			continue
		}
		at := map[string]any{number(p.id): map[string]any{"logprob": p.logProb, "rank": len(p.ids) + 1, "decoded_token": spelled(t, p.id)}}
		for i, id := range p.ids {
			at[number(id)] = map[string]any{"logprob": p.tops[i], "rank": i + 1, "decoded_token": spelled(t, id)}
		}
		out = append(out, at)
	}
	return out
}
