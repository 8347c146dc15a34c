package main

import (
	"bytes"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// asMain makes the test binary the program itself.
const asMain = "PROFUSER_TRAINER_TEST_AS_MAIN"

// kills is how often TestKill kills a training.
const kills = 20

// TestKill kills real trainings with SIGKILL at random moments, again and again, and compares what comes of it with an
// unbroken training: the same metrics but for times, the same weights, the same best models, the same models of all epochs.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts two dozen processes")
	}
	whole, killed := worldWithConfig(t), worldWithConfig(t)
	if out, err := trainer(whole).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	random := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	for n := range kills {
		if finished := killOnce(t, killed, random); finished {
			t.Fatalf("the training was finished after %d kills, want %d: give it more epochs", n, kills)
		}
	}
	if out, err := trainer(killed).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff(withoutTimes(t, whole), withoutTimes(t, killed)); diff != "" {
		t.Errorf("metrics (-unbroken +killed):\n%s", diff)
	}
	for _, name := range []string{"model", "trainer/best", "trainer/epochs"} {
		want, got := weightsUnder(t, filepath.Join(whole, "out", name)), weightsUnder(t, filepath.Join(killed, "out", name))
		if len(want) == 0 || !maps.Equal(want, got) {
			t.Errorf("%s: weights differ (%d and %d files)", name, len(want), len(got))
		}
	}
}

// killOnce starts the training and kills it after up to four more lines of metrics and up to 40 ms.
func killOnce(t *testing.T, dir string, random *rand.Rand) (finished bool) {
	t.Helper()
	enough, more := lineCount(dir)+random.IntN(5), time.Duration(random.IntN(40))*time.Millisecond
	c := trainer(dir)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	for lineCount(dir) < enough {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return true
		case <-time.After(time.Millisecond):
		}
	}
	time.Sleep(more)
	if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	return <-done == nil
}

// weightsUnder are the files of weights below a folder, by path.
func weightsUnder(t *testing.T, root string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".safetensors" {
			var b []byte
			b, err = os.ReadFile(path)
			out[strings.TrimPrefix(path, root)] = string(b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
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
curriculum: {epochs: [10, 15]}
trainer: {batch_prompts: 4, max_length: 96, learning_rate: 0.003, keep_best: 2, keep_epochs: true}
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
