package pipelines_test

import (
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving/server"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/schemas"
)

// serve starts a server of our own for a demo model and returns its address.
func serve(t *testing.T, name string) string {
	t.Helper()
	e, err := engine.Open(filepath.Join("../data/models", name), engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(server.New(e, server.Options{Name: name, Rewards: strings.HasPrefix(name, "judge")}))
	t.Cleanup(func() {
		s.Close()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.URL
}

// runReal makes steps with the models of the configuration.
func runReal(t *testing.T, file, out string, steps ...string) error {
	t.Helper()
	r, err := prepare(t, file, out)
	if err != nil {
		return err
	}
	return r.Do(t.Context(), steps...)
}

// prepare checks what a run needs; set are --set options.
func prepare(t *testing.T, file, out string, set ...string) (*pipelines.Run, error) {
	t.Helper()
	c, err := config.Load(file, set)
	if err != nil {
		t.Fatal(err)
	}
	c.Out = out
	return pipelines.New(t.Context(), c, io.Discard)
}

// TestServedModels makes everything with models in the process, and again with the same models over HTTP: the rows must
// be equal to the bit.
func TestServedModels(t *testing.T) {
	if testing.Short() {
		t.Skip("runs models")
	}
	dir := project(t)
	file := filepath.Join(dir, "fusion.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	models, err := filepath.Abs("../data/models")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, name := range []string{"target", "sage", "judge-a", "judge-b"} {
		text = strings.Replace(text, fmt.Sprintf("path: %s/%s}", models, name), fmt.Sprintf("tokenizer: %s/%s, endpoint: {urls: [\"%s\"], model: %s, cache: replies}}", models, name, serve(t, name), name), 1)
	}
	served := filepath.Join(dir, "served.yaml")
	if err := os.WriteFile(served, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	in, over := filepath.Join(dir, "in"), filepath.Join(dir, "over")
	steps := []string{"ingest", "generate", "reward", "crossentropy", "fuse"}
	start := time.Now()
	if err := runReal(t, file, in, steps...); err != nil {
		t.Fatal(err)
	}
	middle := time.Now()
	if err := runReal(t, served, over, steps...); err != nil {
		t.Fatal(err)
	}
	t.Logf("in process %v, over HTTP %v", middle.Sub(start), time.Since(middle))
	equal[schemas.Generation](t, in, over, "generations/target", "generations/sage")
	equal[schemas.Reward](t, in, over, "rewards/judge-a", "rewards/judge-b")
	equal[schemas.TeacherForcing](t, in, over, "crossentropy/target", "crossentropy/sage")
	equal[schemas.Selection](t, in, over, "selections")
	equal[schemas.FusionExample](t, in, over, "fusion/inference", "fusion/training")

	broken := strings.ReplaceAll(text, "model: sage", "model: nobody")
	if err := os.WriteFile(served, []byte(broken), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := runReal(t, served, filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), `endpoint.model "nobody" is not on the server, which has sage`) {
		t.Errorf("error %v", err)
	}
}

// equal compares datasets of two runs.
func equal[T any](t *testing.T, a, b string, names ...string) {
	t.Helper()
	for _, name := range names {
		left := read[T](t, a, name)
		if d := cmp.Diff(left, read[T](t, b, name)); d != "" || len(left) == 0 {
			t.Errorf("%s, %d rows (-in process +over HTTP):\n%s", name, len(left), d)
		}
	}
}
