package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/profuser/profuser/models/safetensors"
)

// TestMergeKill kills real merges with SIGKILL, each a little later than the one before, until one comes through. No folder
// that a killed one leaves has weights that load, unless they are whole; the last result is that of an unbroken merge.
func TestMergeKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a dozen processes")
	}
	dir := t.TempDir()
	config := "merge_method: ties\nbase_model: m0\nparameters: {density: 0.3, weight: 1}\nmodels:\n"
	for m := range 3 {
		var tensors []safetensors.Named
		for l := range 4 {
			x := make([]float32, 1<<19)
			for i := range x {
				x[i] = float32((i*(7+m)+l)%1009) / 1009
			}
			tensors = append(tensors, safetensors.Named{Name: fmt.Sprintf("model.layers.%d.w", l), DType: safetensors.BF16, Shape: []int{512, 1024}, Data: x})
		}
		at := filepath.Join(dir, fmt.Sprintf("m%d", m))
		if err := errors.Join(os.Mkdir(at, 0o755), os.WriteFile(filepath.Join(at, "config.json"), []byte("{}"), 0o644), safetensors.Write(filepath.Join(at, "model.safetensors"), tensors)); err != nil {
			t.Fatal(err)
		}
		config += fmt.Sprintf("  - model: m%d\n", m)
	}
	if err := os.WriteFile(filepath.Join(dir, "merge.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	start := func(out string) *exec.Cmd {
		c := exec.Command(os.Args[0], "merge", "--config", filepath.Join(dir, "merge.yaml"), "--out", filepath.Join(dir, out), "--shard-size", "2MB")
		c.Env = append(os.Environ(), asMain+"=1")
		return c
	}
	begin := time.Now()
	if out, err := start("whole").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	step := time.Since(begin) / 12
	want := shards(t, filepath.Join(dir, "whole"))
	kills, under := 0, 0
	for after := step; ; after += step {
		c := start("killed")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(after, func() { _ = c.Process.Kill() })
		err := c.Wait()
		timer.Stop()
		if err == nil {
			break
		}
		if kills++; kills > 60 {
			t.Fatal("no merge comes through")
		}
		for _, name := range []string{"killed", "killed.partial"} {
			left := filepath.Join(dir, name)
			if _, err := os.Stat(left); err != nil {
				continue
			}
			under++
			if f, err := safetensors.Open(left); err == nil {
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
				if got := shards(t, left); !bytes.Equal(got, want) {
					t.Errorf("killed after %v, %s loads and is not whole", after, name)
				}
			}
		}
		if err := os.RemoveAll(filepath.Join(dir, "killed")); err != nil { // killed between its end and its exit
			t.Fatal(err)
		}
	}
	if kills == 0 || under == 0 {
		t.Fatalf("%d merges were killed, %d of them while they wrote; want some", kills, under)
	}
	if got := shards(t, filepath.Join(dir, "killed")); !bytes.Equal(got, want) {
		t.Error("after kills the result is another one")
	}
}

// shards are the bytes of a model's weights with their index.
func shards(t *testing.T, dir string) []byte {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "model*"))
	if err != nil || len(paths) < 3 {
		t.Fatalf("%v, %v", paths, err)
	}
	var all []byte
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	return all
}
