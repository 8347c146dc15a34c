package main

import (
	"bytes"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// child is the program on its own, as a shell starts it.
func child(t *testing.T, dir string, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	c := exec.CommandContext(t.Context(), program)
	c.Args = append([]string{"profuser"}, args...)
	c.Dir, c.Stdout, c.Stderr = dir, &said, &said
	return c, &said
}

// moment waits until a process is to be killed; false if that ended before.
type moment func(ended <-chan struct{}) bool

// after is a while after the start.
func after(d time.Duration) moment {
	return func(ended <-chan struct{}) bool {
		select {
		case <-time.After(d):
			return true
		case <-ended:
			return false
		}
	}
}

// onceThere is when the first file of a pattern is there.
func onceThere(pattern string) moment {
	return func(ended <-chan struct{}) bool {
		for after(time.Millisecond)(ended) {
			if files, _ := filepath.Glob(pattern); len(files) > 0 {
				return true
			}
		}
		return false
	}
}

// killed starts the program and kills it at a moment; it says whether the program ended before.
func killed(t *testing.T, dir string, when moment, args ...string) (ended bool) {
	t.Helper()
	c, said := child(t, dir, args...)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	over, settled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(settled)
		if when(over) {
			_ = c.Process.Kill() // it may have ended
		}
	}()
	err := c.Wait()
	close(over)
	<-settled
	if err != nil && c.ProcessState.Exited() {
		t.Fatalf("%v: %v\n%s", args, err, said)
	}
	return err == nil
}

// objects are the files below a folder that a run's data is: parts, rejects, headers and manifests.
func objects(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(path)) == "steps" {
			return err
		}
		data, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		all[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestKilled kills a real run when its first answers are there, then at random moments, again and again, until it ends by
// itself. What it leaves is, file by file, what an undisturbed run leaves, and nothing else. Then the same with a change
// made again: at each kill readers have the old dataset or the new one, whole.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs and kills processes")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := world(dir, root); err != nil {
		t.Fatal(err)
	}
	small := strings.NewReplacer("max_new_tokens: 24", "max_new_tokens: 6", "part_rows: 5", "part_rows: 3", ", judge-b]", "]", "evaluate: {files: [items.jsonl], max_new_tokens: 16}\n", "").Replace(configuration)
	if err := os.WriteFile(filepath.Join(dir, "fusion.yaml"), []byte(small), 0o666); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for out, set := range map[string]string{"undisturbed": "seed=1", "changed": "seed=2"} {
		c, said := child(t, dir, "run", "--out", out, "--set", set)
		if err := c.Run(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	whole := time.Since(began) / 2
	random := rand.New(rand.NewPCG(14, 3))
	until := func(args []string, first moment, look func()) (kills int) {
		const most = 12
		for when := first; kills < most && !killed(t, dir, when, args...); kills++ {
			look()
			when = after(time.Duration((0.05 + 0.45*random.Float64()) * float64(whole)))
		}
		if kills == 0 {
			t.Errorf("%v ended before it was killed", args)
		}
		if c, said := child(t, dir, args...); c.Run() != nil {
			t.Fatalf("%s", said)
		}
		return kills
	}
	out := filepath.Join(dir, "out")
	answers := filepath.Join(out, "generations", "*", "part-*")
	kills := until([]string{"run", "--out", "out", "--set", "seed=1"}, onceThere(answers+".parquet"), func() {})
	same := func(want, got map[string]string) {
		t.Helper()
		for name := range got {
			if _, ok := want[name]; !ok {
				t.Errorf("%s is there", name)
			}
		}
		for name, data := range want {
			if got[name] != data {
				t.Errorf("%s differs or is missing", name)
			}
		}
	}
	same(objects(t, filepath.Join(dir, "undisturbed")), objects(t, out))
	store, err := dataset.OpenStore(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		for _, name := range []string{"fusion/inference", "fusion/training"} {
			d, err := dataset.Open(t.Context(), store, name)
			if err != nil || d.Parts() != 4 {
				t.Fatalf("a reader of %s: %v", name, err)
			}
			for part := range d.Parts() {
				if _, _, err := dataset.Rows[schemas.FusionExample](t.Context(), d, part); err != nil {
					t.Errorf("a reader: %v", err)
				}
			}
		}
	}
	again := until([]string{"run", "--out", "out", "--set", "seed=2", "--redo-changed"}, onceThere(answers+".r2.parquet"), read)
	read()
	got, want := map[string]string{}, map[string]string{}
	for name, data := range objects(t, out) {
		if filepath.Ext(name) == ".parquet" {
			got[strings.ReplaceAll(name, ".r2.", ".")] = data
		}
	}
	for name, data := range objects(t, filepath.Join(dir, "changed")) {
		if filepath.Ext(name) == ".parquet" {
			want[name] = data
		}
	}
	same(want, got)
	t.Logf("%d kills of a run of %v, %d while it was made again", kills, whole.Round(time.Millisecond), again)
}
