package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
)

// Engine is the model behind the server; *engine.Engine is one.
type Engine interface {
	// Format is the model's way of turning conversations into tokens.
	Format() *chat.Format
	// Context is the longest sequence in tokens.
	Context() int
	// VocabSize is the number of ids.
	VocabSize() int
	// Generate continues a prompt.
	Generate(ctx context.Context, r engine.GenerateRequest) (engine.GenerateResult, error)
	// Score reads a text after a prompt.
	Score(ctx context.Context, r engine.ScoreRequest) (engine.ScoreResult, error)
	// Reward is a reward model's raw logit.
	Reward(ctx context.Context, ids []int32) (float64, error)
}

// shared is an Engine that reads several texts with less work than one after the other: what they have in common at the start
// only once.
type shared interface {
	ReadAll(ctx context.Context, lists [][]int32, truncate dist.Truncate) ([]engine.ScoreResult, error)
}

// Options of a server.
type Options struct {
	// Name is the model's name in requests and replies.
	Name string
	// Rewards is true for a reward model, which classifies and does not write.
	Rewards bool
	// MaxLogProbs is the largest number of alternatives at a position; 0 means 1024.
	MaxLogProbs int
}

// maxBody bounds a request in bytes.
const maxBody = 16 << 20

// Server is the http.Handler of one model.
type Server struct {
	engine  Engine
	options Options
	mux     *http.ServeMux
	counts  counts
	seeds   atomic.Int64
}

// New makes the handler of a model.
func New(e Engine, o Options) *Server {
	if o.MaxLogProbs == 0 {
		o.MaxLogProbs = 1024
	}
	s := &Server{engine: e, options: o, mux: http.NewServeMux()}
	s.mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, struct{}{}) })
	s.mux.HandleFunc("GET /metrics", s.counts.serve)
	s.mux.HandleFunc("GET /v1/models", s.models)
	if o.Rewards {
		s.handle("/classify", s.classify)
	} else {
		s.handle("/v1/completions", s.complete)
		s.handle("/v1/chat/completions", s.chat)
	}
	s.mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, fault{http.StatusNotFound, "", fmt.Sprintf("no route %s %s; this is a %s", r.Method, r.URL.Path, map[bool]string{true: "reward model: POST /classify", false: "language model: POST /v1/completions, /v1/chat/completions"}[o.Rewards])})
	})
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// handle adds a route that takes JSON, counts it and turns errors into replies.
func (s *Server) handle(path string, f func(w http.ResponseWriter, r *http.Request, body []byte) error) {
	s.mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
		defer s.counts.begin(path)()
		if id := r.Header.Get("X-Request-Id"); id != "" {
			w.Header().Set("X-Request-Id", id)
		}
		var body json.RawMessage
		err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&body)
		if err != nil {
			err = fault{http.StatusBadRequest, "", "the body is not JSON: " + err.Error()}
		} else {
			err = f(w, r, body)
		}
		if err != nil {
			s.counts.fault()
			fail(w, err)
		}
	})
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	write(w, http.StatusOK, map[string]any{"object": "list", "data": []any{map[string]any{
		"id": s.options.Name, "object": "model", "owned_by": "profuser", "max_model_len": s.engine.Context(), "vocab_size": s.engine.VocabSize(),
	}}})
}

// fault is an error that the client made.
type fault struct {
	status  int
	field   string
	message string
}

func (f fault) Error() string { return f.message }

// wrong is a fault in a field.
func wrong(field, format string, args ...any) error {
	return fault{http.StatusBadRequest, field, field + " " + fmt.Sprintf(format, args...)}
}

// fail writes an error as OpenAI's API does.
func fail(w http.ResponseWriter, err error) { write(w, faultOf(err).status, errorBody(err)) }

// errorBody is an error as OpenAI's API writes it.
func errorBody(err error) map[string]any {
	f := faultOf(err)
	return map[string]any{"error": map[string]any{
		"message": f.message, "type": strings.ReplaceAll(http.StatusText(f.status), " ", ""), "param": f.field, "code": f.status,
	}}
}

// faultOf says whose fault an error is.
func faultOf(err error) (f fault) {
	switch {
	case errors.As(err, &f):
	case errors.Is(err, engine.ErrTooLong):
		f = fault{http.StatusBadRequest, "input_tokens", "longer than the maximum context length: " + err.Error()}
	case errors.Is(err, engine.ErrClosed):
		f = fault{http.StatusServiceUnavailable, "", "the server is shutting down"}
	default:
		f = fault{http.StatusInternalServerError, "", err.Error()}
	}
	return f
}

// write sends a reply. A client that has gone is no fault of ours.
func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
