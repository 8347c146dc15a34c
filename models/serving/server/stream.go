package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/profuser/profuser/models/engine"
)

// piece is news of one choice: tokens, or its end.
type piece struct {
	choice int
	places []place
	stop   string // the stop text that the last of places completes
	finish string // stop or length, with the end only
	err    error
}

// feed hands pieces from the engine's goroutines to the one that writes, without making them wait.
type feed struct {
	mu     sync.Mutex
	pieces []piece
	news   chan struct{} // holds one value while there are pieces
}

func (f *feed) push(p piece) {
	f.mu.Lock()
	f.pieces = append(f.pieces, p)
	f.mu.Unlock()
	select {
	case f.news <- struct{}{}:
	default:
	}
}

// pull waits for pieces and takes them all.
func (f *feed) pull() []piece {
	<-f.news
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.pieces
	f.pieces = nil
	return out
}

// tell lets the engine write one choice and pushes a piece for each token, then the end.
func (s *Server) tell(ctx context.Context, f *feed, choice int, r engine.GenerateRequest, k int) {
	told := 0
	r.Emit = func(soFar *engine.GenerateResult) {
		d := soFar.Dist
		for ; told < len(soFar.IDs); told++ {
			ids, logProbs := d.At(told)
			n := len(ids)
			if soFar.TextRank[told] < 0 {
				n--
			}
			n = min(n, k)
			p := place{id: soFar.IDs[told], known: true, logProb: soFar.TokenLogProbs[told], ids: slices.Clone(ids[:n]), tops: slices.Clone(logProbs[:n])}
			stop := ""
			if told == len(soFar.IDs)-1 {
				stop = soFar.StopText
			}
			f.push(piece{choice: choice, places: []place{p}, stop: stop})
		}
	}
	a, err := s.engine.Generate(ctx, r)
	f.push(piece{choice: choice, finish: finishOf(a), err: err})
}

// telling is how far the text of a choice has been sent.
type telling struct {
	text  []byte
	sent  int  // bytes
	runes int  // of all tokens, for text_offset
	begun bool // something was sent
}

// next takes the bytes of tokens in and gives the text that can be sent: without the last bytes if they may begin a stop
// text, or are no whole character yet, unless this is the end. stop is the stop text that the bytes complete.
func (t *telling) next(more []byte, stop string, last bool, stops []string) string {
	t.text = append(t.text, more...)
	end := len(t.text)
	switch {
	case stop != "":
		end = bytes.Index(t.text, []byte(stop))
		t.text = t.text[:end]
	case !last:
		end = whole(t.text[:end-held(t.text, stops)])
	}
	end = max(end, t.sent)
	out := readable(t.text[t.sent:end])
	t.sent = end
	return out
}

// held is the length of the longest end of text with which a stop text begins.
func held(text []byte, stops []string) (n int) {
	for _, stop := range stops {
		for k := min(len(stop)-1, len(text)); k > n; k-- {
			if bytes.HasSuffix(text, []byte(stop[:k])) {
				n = k
			}
		}
	}
	return n
}

// whole is the length of text without bytes at its end that are no character, yet or at all.
func whole(text []byte) int {
	for end := len(text); end > 0; end-- {
		if r, size := utf8.DecodeLastRune(text[:end]); r != utf8.RuneError || size > 1 {
			return end
		}
	}
	return 0
}

// streamed is a reply in events.
type streamed struct {
	reply   map[string]any // what stands around the choices
	prompts [][]int32
	k       int // alternatives
	// open is the first event of a choice of prompt i; next one with tokens; end the last, with the rest of the text. Nil
	// events are not sent.
	open func(t *telling, i int) map[string]any
	next func(t *telling, text string, places []place) map[string]any
	end  func(t *telling, text string) map[string]any
}

// stream generates the choices side by side and sends each token as it comes, as server-sent events. A fault before the
// first event is a status, a later one an event.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, q *request, p sampling, v streamed) error {
	ctx, cancel := context.WithCancel(r.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	f := &feed{news: make(chan struct{}, 1)}
	left := len(v.prompts) * p.n
	tellings := make([]telling, left)
	for choice := range left {
		ids := v.prompts[choice/p.n]
		if p.most == 0 {
			f.push(piece{choice: choice, finish: "length"})
			continue
		}
		running.Go(func() { s.tell(ctx, f, choice, p.request(ids, choice%p.n, v.k), v.k) })
	}
	out, written := events{w: w}, 0
	for left > 0 {
		for _, news := range f.pull() {
			if news.err != nil {
				if !out.begun {
					return news.err
				}
				s.counts.fault()
				out.send(errorBody(news.err))
				return nil
			}
			t := &tellings[news.choice]
			if !t.begun {
				t.begun = true
				out.choice(v.reply, news.choice, v.open(t, news.choice/p.n))
			}
			var more []byte
			for _, x := range news.places {
				more = append(more, s.engine.Format().Tokenizer().Bytes(x.id)...)
			}
			text := t.next(more, news.stop, news.finish != "", p.stops)
			if news.finish == "" {
				out.choice(v.reply, news.choice, v.next(t, text, news.places))
				written += len(news.places)
				continue
			}
			c := v.end(t, text)
			c["finish_reason"] = news.finish
			out.choice(v.reply, news.choice, c)
			left--
		}
	}
	read := total(v.prompts)
	s.counts.tokens(read, written)
	if q.StreamOptions.IncludeUsage {
		v.reply["choices"], v.reply["usage"] = []any{}, usage(read, written)
		out.send(v.reply)
	}
	out.done()
	return nil
}

// events writes server-sent events. A client that has gone is no fault of ours: its context ends the engine's work.
type events struct {
	w     http.ResponseWriter
	begun bool
}

// choice sends one choice in a reply; nil sends nothing.
func (e *events) choice(reply map[string]any, index int, c map[string]any) {
	if c == nil {
		return
	}
	c["index"] = index
	for _, field := range []string{"finish_reason", "logprobs"} {
		if _, ok := c[field]; !ok {
			c[field] = nil
		}
	}
	reply["choices"] = []any{c}
	e.send(reply)
}

func (e *events) send(v any) {
	data, err := json.Marshal(v)
	if err != nil {
		return // maps of texts and finite numbers
	}
	if !e.begun {
		e.begun = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("Cache-Control", "no-cache")
	}
	_, _ = fmt.Fprintf(e.w, "data: %s\n\n", data)
	_ = http.NewResponseController(e.w).Flush()
}

func (e *events) done() { _, _ = fmt.Fprint(e.w, "data: [DONE]\n\n") }
