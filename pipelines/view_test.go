package pipelines_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/pipelines"
)

// freeAddress is a port of this machine that nobody listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	return l.Addr().String()
}

// metrics fetches the metrics of a run, "" while it does not answer.
func metrics(addr string) string {
	reply, err := http.Get("http://" + addr + "/metrics")
	if err != nil {
		return ""
	}
	defer func() { _ = reply.Body.Close() }()
	text, _ := io.ReadAll(reply.Body)
	return string(text)
}

// ourGoroutines are the stacks of goroutines in code of ours, besides this test. Those of Beam alone do not count: its
// harness can lock itself up when a job is cancelled (DataChannelManager and DataChannel, each waiting for the other).
func ourGoroutines() (left []string) {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		if strings.Contains(stack, "profuser/profuser/") && !strings.Contains(stack, "pipelines_test.TestCancel(") && !strings.Contains(stack, "pipelines_test.TestMain(") {
			left = append(left, stack)
		}
	}
	return left
}

// TestCancel stops a run in the middle of a step's calls, as Ctrl-C does: it ends within two seconds, says how to go on,
// and leaves no unfinished file and no goroutine. (That the same command goes on is faults_test.go's matter.) What the
// view showed meanwhile is compared with what there was to do.
func TestCancel(t *testing.T) {
	if testing.Short() {
		t.Skip("runs models")
	}
	dir := project(t)
	prompts, err := filepath.Abs("../data/prompts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(filepath.Join(dir, "fusion.yaml"), []string{"prompts.files=[" + prompts + "]"})
	if err != nil {
		t.Fatal(err)
	}
	c.Out = filepath.Join(dir, "out")
	do := func(ctx context.Context, addr string, out io.Writer, steps ...string) error {
		r, err := pipelines.New(ctx, c, out)
		if err != nil {
			t.Fatal(err)
		}
		r.ServeMetrics(addr)
		return r.Do(ctx, steps...)
	}
	if err := do(t.Context(), "", io.Discard, "ingest"); err != nil { // starts Prism, which stays
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	addr := freeAddress(t)
	var out bytes.Buffer
	var ended error
	var wait sync.WaitGroup
	wait.Go(func() { ended = do(ctx, addr, &out, "ingest", "generate") })
	inFlight := regexp.MustCompile(`profuser_calls_in_flight\{step="generate target"\} [1-9]`)
	seen := ""
	for deadline := time.Now().Add(time.Minute); !inFlight.MatchString(seen) && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		seen = metrics(addr)
	}
	began := time.Now()
	cancel()
	wait.Wait()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("cancelling took %v", took)
	}
	if !inFlight.MatchString(seen) || !strings.Contains(seen, `profuser_rows{step="generate target"} 600`) || !strings.Contains(seen, `profuser_step_state{step="ingest",state="done"} 1`) {
		t.Errorf("metrics before:\n%s", seen)
	}
	if ended == nil || ended.Error() != "generate: cancelled; the same command goes on from here" {
		t.Errorf("error %v", ended)
	}
	err = filepath.WalkDir(c.Out, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(path, ".tmp") {
			t.Errorf("%s is left", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	http.DefaultClient.CloseIdleConnections()
	var left []string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if left = ourGoroutines(); len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		t.Errorf("goroutines are left:\n%s", strings.Join(left, "\n\n"))
	}
}
