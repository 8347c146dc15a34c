package serving

import (
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/models/serving/transport"
)

// fuzzed is a model to read replies with: the tokens of the recorded replies, a context of three new tokens.
func fuzzed(f *testing.F) *Model {
	format := smolFormat(f)
	return &Model{options: Options{Format: format}, tokens: newVocabulary(format.Tokenizer(), 49152)}
}

// seeds adds recorded replies.
func seeds(f *testing.F, names ...string) {
	for _, name := range names {
		body, _ := fixture(f, name)
		f.Add(body)
	}
}

var asked = GenerateRequest{MaxTokens: 3, Truncate: dist.Truncate{Mass: 1, TopK: 2}}

// sound checks what every reading must be, however strange the reply was.
func sound(t *testing.T, m *Model, positions []position, truncate dist.Truncate) {
	t.Helper()
	r, err := m.tokens.distributions(positions, truncate.TopK, truncate)
	if err != nil {
		return
	}
	if len(r.TokenLogProbs) != len(positions) || len(r.TextRank) != len(positions) || r.Dist.Len() != len(positions) {
		t.Fatalf("%d positions became %d log-probs, %d ranks, %d distributions", len(positions), len(r.TokenLogProbs), len(r.TextRank), r.Dist.Len())
	}
	for i, p := range r.TokenLogProbs {
		ids, logProbs := r.Dist.At(i)
		if !slices.Contains(ids, positions[i].id) || !(p <= 0) || math.IsInf(float64(p), 0) {
			t.Fatalf("position %d: token %d with log-prob %v among %v", i, positions[i].id, p, ids)
		}
		for k, l := range logProbs {
			if !(l <= 0) || math.IsInf(float64(l), 0) || m.tokens.inRange(ids[k]) != nil {
				t.Fatalf("position %d: entry %d of token %d has log-prob %v", i, k, ids[k], l)
			}
		}
	}
}

// FuzzReplies: no answer of /v1/completions is a panic; one that is accepted fits its request.
func FuzzReplies(f *testing.F) {
	seeds(f, "vl_completions_pl", "vl_completions_ids", "vl_completions_logprobs", "ls_completions_ids", "ls_completions_logprobs", "vl_completions_echo1", "ls_completion_nprobs", "vl_badjson")
	m := fuzzed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := m.readAnswer(body)
		if err == nil {
			err = m.checkAnswer(&a, asked)
		}
		if err != nil {
			return
		}
		if len(a.positions) > asked.MaxTokens || len(a.positions) == 0 && !a.stopped {
			t.Fatalf("an answer of %d tokens", len(a.positions))
		}
		sound(t, m, a.positions, asked.Truncate)
	})
}

// FuzzReadings: the replies to teacher forcing, all ways of it; one that is accepted has the tokens that were sent.
func FuzzReadings(f *testing.F) {
	for way := range readers {
		for _, name := range []string{"vl_completions_pl", "vl_chat_pl", "vl_completions_echo", "vl_completions_echo1", "ls_completions_echo", "rm_classify"} {
			body, _ := fixture(f, name)
			f.Add(body, byte(way))
		}
		f.Add([]byte(`{"text":" Paris","meta_info":{"prompt_tokens":3,"input_token_logprobs":[[null,504,null],[-11.5,3575,null],[-0.34,282," of"]],"input_top_logprobs":[null,[[-0.86,29,null],[-2.6,28,null]],[[-0.34,282,null],[-2.3,2240,null]]]}}`), byte(way))
	}
	m := fuzzed(f)
	ids := capital[:3]
	var body []byte
	m.pool = answering(f, func() []byte { return body })
	f.Fuzz(func(t *testing.T, reply []byte, way byte) {
		body = reply
		var got []position
		err := readers[int(way)%len(readers)].read(t.Context(), m, question{ids: ids, topK: 2}, func(p []position) error { got = p; return nil })
		if err != nil {
			return
		}
		if len(got) != len(ids) {
			t.Fatalf("%d positions for %d tokens", len(got), len(ids))
		}
		for i, p := range got {
			if p.id != ids[i] {
				t.Fatalf("position %d is of token %d, want %d", i, p.id, ids[i])
			}
		}
		sound(t, m, got[1:], asked.Truncate)
	})
}

// FuzzSGLangAnswers: the replies of /generate to a prompt.
func FuzzSGLangAnswers(f *testing.F) {
	f.Add([]byte(`{"text":" Paris","meta_info":{"finish_reason":{"type":"length","length":1},"prompt_tokens":5,"completion_tokens":1,"output_token_logprobs":[[-0.25,7042,null]],"output_top_logprobs":[[[-0.25,7042,null],[-2.9,260,null]]]}}`))
	f.Add([]byte(`{"text":"","meta_info":{"finish_reason":{"type":"stop","matched":2},"completion_tokens":1,"output_token_logprobs":[[-0.1,2,null]],"output_top_logprobs":[[[-0.1,2,null],[-3,28,null]]]}}`))
	m := fuzzed(f)
	var body []byte
	m.pool = answering(f, func() []byte { return body })
	request := asked
	request.PromptIDs = capital
	f.Fuzz(func(t *testing.T, reply []byte) {
		body = reply
		a, err := m.generateSGLang(t.Context(), request)
		if err != nil {
			return
		}
		if len(a.positions) > asked.MaxTokens {
			t.Fatalf("an answer of %d tokens", len(a.positions))
		}
		sound(t, m, a.positions, asked.Truncate)
	})
}

// FuzzRewards: every score that is accepted is a finite number.
func FuzzRewards(f *testing.F) {
	seeds(f, "rm_classify", "rm_classify_raw", "rm_classify_chat", "rm_pooling", "rm_score", "rm_rerank", "rm_emb")
	f.Add([]byte(`[{"score":0.5,"label":"LABEL_0"}]`))
	f.Add([]byte(`{"embedding":[0.25],"meta_info":{"prompt_tokens":5}}`))
	f.Add([]byte(`{"data":[{"index":0,"data":0.5}]}`))
	m := fuzzed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, tokens := range []int{0, 5} {
			if score, err := m.readReward(body, tokens); err == nil && (math.IsNaN(score) || math.IsInf(score, 0)) {
				t.Fatalf("score %v", score)
			}
		}
	})
}

// FuzzChat: answers of /v1/chat/completions, and the verdicts in them.
func FuzzChat(f *testing.F) {
	seeds(f, "vl_chat_logprobs", "ls_chat_logprobs", "vl_chat_pl", "ls_n2")
	f.Add([]byte(`{"choices":[{"message":{"content":"Good.\nVerdict: 7"},"finish_reason":"stop"}]}`))
	m := fuzzed(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		if a, err := m.readChat(body, ChatRequest{MaxTokens: 3, TopLogProbs: 1}); err == nil && len(a.IDs) > 3 {
			t.Fatalf("%d tokens", len(a.IDs))
		}
		a, err := m.readChat(body, ChatRequest{})
		if err != nil {
			return
		}
		if v, err := verdict.ReadScore(a.Text); err == nil && !(v >= verdict.LowestScore && v <= verdict.HighestScore) || err != nil && !errors.Is(err, verdict.ErrNone) {
			t.Fatalf("verdict %v, error %v of %q", v, err, a.Text)
		}
	})
}

// FuzzModels: lists of models.
func FuzzModels(f *testing.F) {
	f.Add([]byte(`{"object":"list","data":[{"id":"fake","max_model_len":1024},{"id":"other"}]}`))
	f.Add([]byte(`{"data":[{"id":"x.gguf","meta":{"n_vocab":768,"n_ctx":64}}]}`))
	f.Add([]byte(`{"data":[{"id":"fake","vocab_size":768}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if vocab, length, err := readModels(body, "fake"); err == nil && (vocab < 0 || length < 0) {
			t.Fatalf("%d ids, context %d", vocab, length)
		}
	})
}

// FuzzTokens: a token's name gives an id of the vocabulary with those bytes, or an error.
func FuzzTokens(f *testing.F) {
	f.Add(" Paris", []byte(" Paris"), true, int32(7042), true)
	f.Add("token_id:7042", []byte{}, false, int32(0), false)
	f.Add("\uFFFD", []byte{0xe2}, true, int32(0), false)
	f.Add("<|im_end|>", []byte{}, false, int32(2), true)
	m := fuzzed(f)
	f.Fuzz(func(t *testing.T, name string, bytes []byte, withBytes bool, id int32, withID bool) {
		named := token{Token: name}
		if withBytes {
			named.Bytes = []int{}
			for _, b := range bytes {
				named.Bytes = append(named.Bytes, int(b))
			}
		}
		if withID {
			named.ID = &id
		}
		got, err := m.tokens.find(named)
		if err != nil {
			return
		}
		if m.tokens.inRange(got) != nil || withID && got != id {
			t.Fatalf("%+v is id %d", named, got)
		}
		own := string(m.tokens.tokenizer.Bytes(got))
		if withBytes && own != string(bytes) && own != "" && len(bytes) > 0 && (withID || !strings.HasPrefix(name, idPrefix)) {
			t.Fatalf("%+v is id %d, which is %q", named, got, own)
		}
	})
}

// answering is a pool whose every request is answered with body's bytes, once.
func answering(f *testing.F, body func() []byte) *transport.Pool {
	p, err := transport.New(transport.Options{URLs: []string{"http://fuzzed"}, Attempts: 1, RoundTripper: roundTripper(func(*http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		_, err := w.Write(body())
		return w.Result(), err
	})})
	if err != nil {
		f.Fatal(err)
	}
	return p
}

// roundTripper is a function in place of a connection.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(q *http.Request) (*http.Response, error) { return r(q) }
