package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asMain makes the test binary the program itself.
const asMain = "PROFUSER_TRAINER_TEST_AS_MAIN"

// TestKill kills real trainings with SIGKILL wherever they are, again and again, and compares what comes of it with an
// unbroken training: the same metrics but for times, the same weights.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen processes")
	}
	whole, killed := worldWithConfig(t), worldWithConfig(t)
	if out, err := trainer(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	kills := 0
	for enough := 2; ; enough += 3 { // lines of metrics.jsonl, then the signal
		c := trainer(killed)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- c.Wait() }()
		finished := false
		for !finished && lineCount(killed) < enough {
			select {
			case err := <-done:
				if err != nil {
					t.Fatal(err)
				}
				finished = true
			case <-time.After(time.Millisecond):
			}
		}
		if finished {
			break
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if <-done != nil {
			kills++
		}
	}
	if kills < 2 {
		t.Fatalf("%d trainings were killed, want some", kills)
	}
	if diff := cmp.Diff(withoutTimes(t, whole), withoutTimes(t, killed)); diff != "" {
		t.Errorf("metrics (-unbroken +killed %d times):\n%s", kills, diff)
	}
	a, errA := os.ReadFile(filepath.Join(whole, "out", "model", "model.safetensors"))
	b, errB := os.ReadFile(filepath.Join(killed, "out", "model", "model.safetensors"))
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("weights differ: %d and %d bytes, %v, %v", len(a), len(b), errA, errB)
	}
}

func worldWithConfig(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := world(dir); err != nil {
		t.Fatal(err)
	}
	const config = `version: 1
out: out
prompts: {files: [prompts.jsonl], holdout: 0.1}
models: [{name: target, path: target}, {name: helper, path: target}, {name: judge, path: target}]
target: {model: target}
sources: [helper]
reward: {models: [judge]}
curriculum: {epochs: [2, 3]}
trainer: {batch_prompts: 4, max_length: 96, learning_rate: 0.003}
`
	if err := os.WriteFile(filepath.Join(dir, "fusion.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func trainer(dir string) *exec.Cmd {
	c := exec.Command(os.Args[0], "train", filepath.Join(dir, "fusion.yaml"), "--checkpoint-steps", "2")
	c.Env = append(os.Environ(), asMain+"=1")
	return c
}

func lineCount(dir string) int {
	b, _ := os.ReadFile(filepath.Join(dir, "out", "trainer", "metrics.jsonl"))
	return bytes.Count(b, []byte("\n"))
}

func withoutTimes(t *testing.T, dir string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "out", "trainer", "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return string(times.ReplaceAll(b, nil))
}

// times are what differs from run to run in metrics.jsonl.
var times = regexp.MustCompile(`,"(seconds|wait|utilisation)":[^,}]*`)
