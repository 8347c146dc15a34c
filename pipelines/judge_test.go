package pipelines_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/profuser/profuser/schemas"
)

// umpire is a chat server that prefers the answer that comes first in the alphabet, whatever the order.
func umpire(t *testing.T, calls *atomic.Int64) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/models" {
			fmt.Fprint(w, `{"object":"list","data":[{"id":"umpire","max_model_len":4096}]}`)
			return
		}
		var body struct{ Messages []schemas.Message }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.URL.Path != "/v1/chat/completions" {
			http.Error(w, "not a chat", http.StatusNotFound)
			return
		}
		verdict := "I am ready."
		if parts := strings.Split(body.Messages[len(body.Messages)-1].Content, "==========\n"); len(parts) == 5 {
			calls.Add(1)
			if verdict = "Verdict: B"; parts[1] < parts[3] {
				verdict = "Verdict: A"
			}
		}
		if err := json.NewEncoder(w).Encode(map[string]any{"choices": []any{map[string]any{"message": map[string]any{"content": verdict}, "finish_reason": "stop"}}}); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// TestJudge: a served chat model compares the responses, and the one that it prefers wins.
func TestJudge(t *testing.T) {
	dir := project(t)
	file := filepath.Join(dir, "fusion.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	text := strings.Replace(string(data), "models:\n", fmt.Sprintf("models:\n  - {name: umpire, endpoint: {urls: [%q], model: umpire}}\n", umpire(t, &calls)), 1)
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	set := []string{"advantage.inference.method=judge", "advantage.inference.judge=umpire"}
	if _, err := run(t, t.Context(), dir, out, set, "ingest", "generate", "reward", "crossentropy", "judge", "fuse"); err != nil {
		t.Fatal(err)
	}
	responses := map[[2]string]string{}
	for _, name := range []string{"target", "sage"} {
		for _, g := range read[schemas.Generation](t, out, "generations/"+name) {
			responses[[2]string{g.ID, g.Source}] = g.Text
		}
	}
	verdicts := read[schemas.Verdict](t, out, "verdicts")
	asked, won := 0, map[[2]string]float64{}
	for _, v := range verdicts {
		first, second := [2]string{v.ID, v.First}, [2]string{v.ID, v.Second}
		switch {
		case responses[first] == responses[second]:
			won[first], won[second] = won[first]+0.5, won[second]+0.5
			continue
		case responses[first] < responses[second]:
			won[first]++
		default:
			won[second]++
		}
		asked++
	}
	if len(verdicts) != 16 || int64(asked) != calls.Load() || asked == 0 {
		t.Errorf("%d verdicts, %d of different texts, %d calls", len(verdicts), asked, calls.Load())
	}
	for _, s := range read[schemas.Selection](t, out, "selections") {
		if s.Mode != schemas.ModeInference {
			continue
		}
		for _, c := range s.Candidates {
			if c.Value != won[[2]string{s.ID, c.Source}] || c.Value > won[[2]string{s.ID, s.Source}] {
				t.Errorf("%s wins %s before %+v, which won %v", s.Source, s.ID, c, won[[2]string{s.ID, c.Source}])
			}
		}
	}
}
