package progress

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/tally"
)

//go:embed page.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

// Handler answers /metrics (Prometheus), /healthz, and / with the status page. title names the run; rejects gives the
// latest ones, newest first.
func Handler(b *Board, title string, rejects func() []schemas.Rejected) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		steps, _ := b.Snapshot()
		_ = WriteMetrics(w, steps) // a reader that is gone is no fault of ours
	})
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		_ = page.Execute(w, pageOf(b, title, rejects())) // likewise
	})
	return mux
}

// view is what the page shows, as text.
type view struct {
	Title, Elapsed string
	Done, All      int
	Titles         []string
	Steps          []viewStep
	Codes          []viewCode
	Rejects        []schemas.Rejected
}

type viewStep struct {
	State   State
	Percent string
	Cells   []string
}

type viewCode struct {
	Step, Code, Count string
}

func pageOf(b *Board, title string, rejects []schemas.Rejected) view {
	steps, elapsed := b.Snapshot()
	v := view{Title: title, Elapsed: brief(elapsed), All: len(steps), Rejects: rejects}
	for _, c := range columns {
		v.Titles = append(v.Titles, c.title)
	}
	for _, s := range steps {
		x := viewStep{State: s.State, Percent: fmt.Sprintf("%.1f", 100*s.Share())}
		for _, c := range columns {
			x.Cells = append(x.Cells, c.cell(s))
		}
		v.Steps = append(v.Steps, x)
		if s.State == Done {
			v.Done++
		}
		codes := tally.RejectCodes(s.Counters)
		for _, code := range slices.Sorted(maps.Keys(codes)) {
			v.Codes = append(v.Codes, viewCode{s.Label, code, whole(codes[code])})
		}
	}
	return v
}

// Serve answers at addr, HOST:PORT, until close is called; port 0 takes a free one. url is where.
func Serve(addr string, h http.Handler) (url string, closeServer func() error, err error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		hint := "want HOST:PORT with a port that is free, such as 127.0.0.1:9090"
		if strings.Contains(err.Error(), "address already in use") {
			hint = "another port, or 0 for a free one"
		}
		return "", nil, fmt.Errorf("--metrics-addr %q: %w (%s)", addr, err, hint)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(listener) }()
	return "http://" + listener.Addr().String(), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		defer cancel()
		err := s.Shutdown(ctx)
		if errors.Is(err, context.DeadlineExceeded) {
			err = s.Close() // a reader that holds its connection does not hold the run
		}
		if served := <-ended; !errors.Is(served, http.ErrServerClosed) {
			err = errors.Join(err, served)
		}
		return err
	}, nil
}
