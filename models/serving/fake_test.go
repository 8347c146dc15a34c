package serving

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"gorgonia.org/tensor"
)

const (
	fakeVocab   = 768
	fakeContext = 200
)

// demoFormat is the format of a demo model.
func demoFormat(t testing.TB) *chat.Format {
	t.Helper()
	f, err := chat.Load("../../data/models/target", chat.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// logits is the fake model: numbers that follow from the tokens so far. It ends its turn after about ten tokens.
func logits(prefix []int32) []float32 {
	h := fnv.New64a()
	for _, id := range prefix[max(0, len(prefix)-3):] {
		fmt.Fprint(h, id, ",")
	}
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	out := make([]float32, fakeVocab)
	for i := range out {
		out[i] = float32(r.NormFloat64() * 2)
	}
	for i := range 6 { // special tokens are unlikely
		out[i] = -9
	}
	if h.Sum64()%10 == 0 {
		out[2] = 12
	}
	return out
}

// named is one entry of a fake distribution.
type named struct {
	id      int32
	logProb float64
}

// ranked is the fake model's distribution, best first.
func ranked(prefix []int32) []named {
	x := logits(prefix)
	sum := 0.0
	for _, l := range x {
		sum += math.Exp(float64(l))
	}
	out := make([]named, len(x))
	for i, l := range x {
		out[i] = named{int32(i), float64(l) - math.Log(sum)}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].logProb > out[j].logProb })
	return out
}

// top gives the k best entries and own, which may be among them.
func top(prefix []int32, k int, own int32) (list []named, ownProb float64, rank int) {
	all := ranked(prefix)
	rank = slices.IndexFunc(all, func(n named) bool { return n.id == own })
	return all[:k], all[rank].logProb, rank
}

// read is what teacher forcing must give.
func read(t testing.TB, prompt, text []int32, truncate dist.Truncate) Reading {
	t.Helper()
	var flat []float32
	all := slices.Concat(prompt, text)
	for i := range text {
		flat = append(flat, logits(all[:len(prompt)+i])...)
	}
	var r Reading
	var err error
	if r.Dist, r.TokenLogProbs, r.TextRank, err = dist.FromLogits(tensor.New(tensor.WithShape(len(text), fakeVocab), tensor.WithBacking(flat)), text, truncate); err != nil {
		t.Fatal(err)
	}
	return r
}

// greedy is what generating must give.
func greedy(prompt []int32, most int) (ids []int32) {
	for len(ids) < most && (len(ids) == 0 || ids[len(ids)-1] != 2) {
		ids = append(ids, ranked(slices.Concat(prompt, ids))[0].id)
	}
	return ids
}

// fake is a server with the fake model, in the manner of one of the real ones.
type fake struct {
	manner string // vllm, echo0, echo1, echotext, sglang, llama.cpp
	format *chat.Format
	limit  int  // of log-probs
	lists  bool // takes several prompts in one request
	calls  atomic.Int64
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.calls.Add(1)
	if r.URL.Path == "/v1/models" {
		reply(w, map[string]any{"data": []any{map[string]any{"id": "fake", "max_model_len": fakeContext}}})
		return
	}
	var q map[string]json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
		refuse(w, 400, "bad JSON")
		return
	}
	switch {
	case r.URL.Path == "/v1/completions":
		f.completions(w, q)
	case r.URL.Path == "/generate" && f.manner == "sglang":
		f.native(w, q)
	default:
		refuse(w, 404, "Not Found")
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, message string) {
	w.WriteHeader(code)
	reply(w, map[string]any{"error": map[string]any{"message": message}})
}

func field[T any](q map[string]json.RawMessage, name string) (v T, ok bool) {
	raw, ok := q[name]
	return v, ok && json.Unmarshal(raw, &v) == nil
}

func (f *fake) completions(w http.ResponseWriter, q map[string]json.RawMessage) {
	if prompts, ok := field[[]json.RawMessage](q, "prompt"); ok && f.lists && len(prompts) > 0 && prompts[0][0] == '[' {
		f.several(w, q, prompts)
		return
	}
	ids, ok := field[[]int32](q, "prompt")
	most, _ := field[int](q, "max_tokens")
	k, logged := field[int](q, "logprobs")
	p, prompted := field[int](q, "prompt_logprobs")
	echo, _ := field[bool](q, "echo")
	asIDs, _ := field[bool](q, "return_tokens_as_token_ids")
	switch {
	case !ok:
		refuse(w, 400, "prompt")
		return
	case f.limit > 0 && max(k, p) > f.limit:
		refuse(w, 400, fmt.Sprintf("Requested sample logprobs of %d, which is greater than max allowed: %d", max(k, p), f.limit))
		return
	case most == 0 && f.manner == "echo1":
		refuse(w, 400, "max_tokens must be at least 1")
		return
	}
	out := greedy(ids, most)
	choice := map[string]any{"index": 0, "finish_reason": "length", "text": f.text(out)}
	if len(out) > 0 && out[len(out)-1] == 2 {
		choice["finish_reason"] = "stop"
	}
	if prompted && f.manner == "vllm" {
		choice["prompt_logprobs"] = promptLogProbs(ids, p)
	}
	shown, from := out, len(ids)
	if echo && strings.HasPrefix(f.manner, "echo") {
		shown, from = slices.Concat(ids, out), 0
		choice["text"] = f.text(shown)
	}
	if f.manner == "llama.cpp" && len(shown) > 0 && shown[len(shown)-1] == 2 && most > 1 {
		shown = shown[:len(shown)-1] // keeps the stop token to itself
	}
	if texts, _ := field[[]string](q, "stop"); len(texts) > 0 {
		if kept, text, ok := f.stopAt(out, texts); ok {
			choice["text"], choice["finish_reason"] = text, "stop"
			if out, shown = kept, kept; f.manner == "llama.cpp" { // it returns no token of the stop text
				for shown = kept; !strings.HasPrefix(text, f.text(shown)); {
					shown = shown[:len(shown)-1]
				}
			}
		}
	}
	if logged {
		choice["logprobs"] = f.columns(slices.Concat(ids, out), shown, from, k, asIDs && f.manner != "echotext")
		if f.manner == "llama.cpp" {
			choice["logprobs"] = f.list(slices.Concat(ids, out), shown, from, k)
		}
	}
	reply(w, map[string]any{"choices": []any{choice}, "usage": map[string]any{"completion_tokens": len(out), "prompt_tokens": len(ids)}})
}

// several answers each prompt by itself; the choices' order is not that of the prompts.
func (f *fake) several(w http.ResponseWriter, q map[string]json.RawMessage, prompts []json.RawMessage) {
	var choices []any
	for i, prompt := range slices.Backward(prompts) {
		q["prompt"] = prompt
		recorded := httptest.NewRecorder()
		f.completions(recorded, q)
		var c struct{ Choices []map[string]any }
		if recorded.Code != http.StatusOK || json.Unmarshal(recorded.Body.Bytes(), &c) != nil {
			w.WriteHeader(recorded.Code)
			_, _ = w.Write(recorded.Body.Bytes())
			return
		}
		c.Choices[0]["index"] = i
		choices = append(choices, c.Choices[0])
	}
	reply(w, map[string]any{"choices": choices})
}

// stopAt cuts an answer after the token that completes a stop text, and its text before that.
func (f *fake) stopAt(ids []int32, texts []string) (kept []int32, text string, ok bool) {
	for n := range ids {
		for _, stop := range texts {
			if before, _, found := strings.Cut(f.text(ids[:n+1]), stop); found {
				return ids[:n+1], before, true
			}
		}
	}
	return ids, "", false
}

func (f *fake) text(ids []int32) string {
	var b []byte
	for _, id := range ids {
		b = append(b, f.format.Tokenizer().Bytes(id)...)
	}
	return strings.ToValidUTF8(string(b), "\uFFFD")
}

func promptLogProbs(ids []int32, k int) []any {
	list := []any{nil}
	for i := 1; i < len(ids); i++ {
		best, own, rank := top(ids[:i], k, ids[i])
		at := map[string]any{fmt.Sprint(ids[i]): map[string]any{"logprob": own, "rank": rank + 1}}
		for j, n := range best {
			at[fmt.Sprint(n.id)] = map[string]any{"logprob": n.logProb, "rank": j + 1}
		}
		list = append(list, at)
	}
	return list
}

// columns is the older shape of logprobs, for shown, which begins at from of all.
func (f *fake) columns(all, shown []int32, from, k int, asIDs bool) any {
	name := func(id int32) string {
		if asIDs {
			return fmt.Sprintf("token_id:%d", id)
		}
		return f.text([]int32{id})
	}
	var tokens []string
	var own, tops []any
	for i, id := range shown {
		tokens = append(tokens, name(id))
		if from+i == 0 {
			own, tops = append(own, nil), append(tops, nil)
			continue
		}
		best, p, _ := top(all[:from+i], k, id)
		at := map[string]float64{name(id): p}
		for _, n := range best {
			at[name(n.id)] = n.logProb
		}
		own, tops = append(own, p), append(tops, at)
	}
	return map[string]any{"tokens": tokens, "token_logprobs": own, "top_logprobs": tops}
}

// list is llama.cpp's shape.
func (f *fake) list(all, shown []int32, from, k int) any {
	entry := func(n named) map[string]any {
		b := []int{}
		for _, x := range f.format.Tokenizer().Bytes(n.id) {
			b = append(b, int(x))
		}
		return map[string]any{"id": n.id, "token": f.text([]int32{n.id}), "bytes": b, "logprob": n.logProb}
	}
	content := []any{}
	for i, id := range shown {
		best, p, _ := top(all[:from+i], k, id)
		e := entry(named{id, p})
		alternatives := []any{}
		for _, n := range best {
			alternatives = append(alternatives, entry(n))
		}
		e["top_logprobs"] = alternatives
		content = append(content, e)
	}
	return map[string]any{"content": content}
}

// native is SGLang's /generate.
func (f *fake) native(w http.ResponseWriter, q map[string]json.RawMessage) {
	ids, _ := field[[]int32](q, "input_ids")
	k, _ := field[int](q, "top_logprobs_num")
	start, _ := field[int](q, "logprob_start_len")
	sampling, _ := field[struct {
		Most        int      `json:"max_new_tokens"`
		Temperature float64  `json:"temperature"`
		Stop        []string `json:"stop"`
	}](q, "sampling_params")
	out := greedy(ids, sampling.Most)
	text, stopped := f.text(out), false
	if len(sampling.Stop) > 0 {
		if kept, before, ok := f.stopAt(out, sampling.Stop); ok {
			out, text, stopped = kept, before, true
		}
	}
	all := slices.Concat(ids, out)
	spoil := 0.0
	if sampling.Temperature != 0 && sampling.Temperature != 1 {
		spoil = -0.25 // log-probs at another temperature
	}
	meta := map[string]any{"finish_reason": map[string]any{"type": "length"}, "prompt_tokens": len(ids), "completion_tokens": len(out)}
	lists := func(prefix string, from, to int) {
		own, tops := []any{}, []any{}
		for i := from; i < to; i++ {
			if i == 0 {
				own, tops = append(own, []any{nil, all[0], nil}), append(tops, nil)
				continue
			}
			best, p, _ := top(all[:i], k, all[i])
			var list []any
			for _, n := range best {
				list = append(list, []any{n.logProb + spoil, n.id, nil})
			}
			own, tops = append(own, []any{p + spoil, all[i], nil}), append(tops, list)
		}
		meta[prefix+"_token_logprobs"], meta[prefix+"_top_logprobs"] = own, tops
	}
	lists("output", len(ids), len(all))
	if start == 0 {
		lists("input", 0, len(ids))
	}
	if stopped || len(out) > 0 && out[len(out)-1] == 2 {
		meta["finish_reason"] = map[string]any{"type": "stop"}
	}
	reply(w, map[string]any{"text": text, "meta_info": meta})
}

// noWait is a clock on which nobody waits.
type noWait struct{}

func (noWait) Now() time.Time { return time.Unix(0, 0) }

func (noWait) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }

// connect opens a model at a handler.
func connect(t testing.TB, h http.Handler, o Options) *Model {
	t.Helper()
	m, err := tryConnect(t, h, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func tryConnect(t testing.TB, h http.Handler, o Options) (*Model, error) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	o.Name, o.Transport.URLs = "m", []string{s.URL}
	if o.Model == "" {
		o.Model = "fake"
	}
	if o.Format == nil {
		o.Format = demoFormat(t)
	}
	if o.Transport.Clock == nil {
		o.Transport.Clock = noWait{}
	}
	if o.Transport.Attempts == 0 {
		o.Transport.Attempts = 2
	}
	m, err := Open(t.Context(), o)
	if err == nil {
		t.Cleanup(func() {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return m, err
}
