package servingtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"sync"
	"sync/atomic"
)

// Kinds is the number of kinds of faults.
const Kinds = 8

// Faulty puts faults before a server while it is on, each kind at an equal part of Share of the posts.
type Faulty struct {
	http.Handler
	// On switches faults on.
	On atomic.Bool
	// Status, if set, is what every post gets while faults are on.
	Status atomic.Int64
	// Posts counts posts, Good those that got the server's own reply while faults were on, Seen the faults by kind.
	Posts, Good atomic.Int64
	Seen        [Kinds]atomic.Int64

	// Share of the posts get a fault, in (0, 1]. Set it before the first request.
	Share float64

	mu     sync.Mutex
	random *rand.Rand
	known  sync.Map // path and body to the reply
}

// New puts faults before h at a share of the posts, in (0, 1].
func New(h http.Handler, share float64, seed uint64) *Faulty {
	return &Faulty{Handler: h, Share: share, random: rand.New(rand.NewPCG(7, seed))}
}

// Reply is the server's to a post, computed once.
func (f *Faulty) Reply(r *http.Request, body []byte) *httptest.ResponseRecorder {
	key := r.URL.Path + string(body)
	if known, ok := f.known.Load(key); ok {
		return known.(*httptest.ResponseRecorder)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	recorded := httptest.NewRecorder()
	f.Handler.ServeHTTP(recorded, r)
	if recorded.Code == http.StatusOK {
		f.known.Store(key, recorded)
	}
	return recorded
}

// kind draws a fault, Kinds for none.
func (f *Faulty) kind() int {
	if !f.On.Load() {
		return Kinds
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return min(Kinds, int(f.random.Float64()/f.Share*Kinds))
}

// ServeHTTP implements http.Handler.
func (f *Faulty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body) // a server that has read everything notices when the client gives up
	if r.Method != http.MethodPost {
		r.Body = io.NopCloser(bytes.NewReader(body))
		f.Handler.ServeHTTP(w, r)
		return
	}
	f.Posts.Add(1)
	if code := f.Status.Load(); code != 0 && f.On.Load() {
		w.WriteHeader(int(code))
		return
	}
	recorded := f.Reply(r, body)
	whole := recorded.Body.Bytes()
	kind := f.kind()
	if kind < Kinds {
		f.Seen[kind].Add(1)
	}
	half := func() {
		w.Header().Set("Content-Length", fmt.Sprint(len(whole)))
		_, _ = w.Write(whole[:len(whole)/2])
	}
	switch kind {
	case 0:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case 1:
		w.WriteHeader(http.StatusInternalServerError)
	case 2: // nothing until the client gives up
		<-r.Context().Done()
	case 3: // half a reply, then silence until the client gives up
		half()
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case 4: // the connection is cut in the middle
		half()
		if connection, _, err := http.NewResponseController(w).Hijack(); err == nil {
			_ = connection.Close() // that is the fault
		}
	case 5: // truncated JSON in a reply that looks whole
		_, _ = w.Write(whole[:len(whole)*2/3])
	case 6: // NaN, as Python writes it
		_, _ = w.Write(numbers.ReplaceAll(whole, []byte("${1}NaN")))
	case 7:
		_, _ = w.Write(miscounted(whole))
	default:
		if f.On.Load() {
			f.Good.Add(1)
		}
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(whole)
	}
}

// numbers finds log-probs, scores and verdicts.
var numbers = regexp.MustCompile(`("token_logprobs":\[|"logprob":|"probs":\[|Verdict: )-?[0-9][0-9.e-]*`)

// miscounted is a reply whose number of tokens is wrong: it lacks the last one in every list, or tells another number.
func miscounted(reply []byte) []byte {
	var r struct {
		Choices []map[string]json.RawMessage `json:"choices"`
		Data    json.RawMessage              `json:"data,omitempty"`
		Usage   map[string]int               `json:"usage,omitempty"`
	}
	if json.Unmarshal(reply, &r) != nil {
		return nil
	}
	for _, c := range r.Choices {
		var columns map[string]json.RawMessage
		if json.Unmarshal(c["logprobs"], &columns) == nil && columns != nil {
			for k, v := range columns {
				columns[k] = fewer(v)
			}
			c["logprobs"], _ = json.Marshal(columns)
		}
		for _, k := range []string{"token_ids", "prompt_logprobs"} {
			if c[k] != nil {
				c[k] = fewer(c[k])
			}
		}
		if c["message"] != nil {
			r.Choices = nil
			break
		}
	}
	if r.Usage != nil {
		r.Usage["prompt_tokens"]++
	}
	out, _ := json.Marshal(r)
	return out
}

// fewer is a list without its last entry.
func fewer(raw json.RawMessage) json.RawMessage {
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil || len(list) == 0 {
		return raw
	}
	out, _ := json.Marshal(list[:len(list)-1])
	return out
}
