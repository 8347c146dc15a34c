package best

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// saving writes a file, as a model would be.
func saving(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o644)
}

func steps(t *testing.T, folder string) (all []int) {
	t.Helper()
	kept, err := Kept(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		all = append(all, k.Step)
	}
	return all
}

// TestKeep follows a training, a kill and its repetition.
func TestKeep(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "best")
	if got := steps(t, folder); got != nil {
		t.Errorf("an absent folder holds %v", got)
	}
	train := func(losses map[int]float64, from, to int) {
		for step := from; step <= to; step++ {
			if err := Keep(folder, 2, Record{Step: step, Loss: losses[step]}, saving); err != nil {
				t.Fatal(err)
			}
		}
	}
	losses := map[int]float64{1: 3, 2: 1, 3: 2, 4: 2, 5: 0.5, 6: 9}
	for to, want := range map[int][]int{1: {1}, 2: {2, 1}, 3: {2, 3}, 4: {2, 3}, 5: {5, 2}, 6: {5, 2}} {
		if err := os.RemoveAll(folder); err != nil {
			t.Fatal(err)
		}
		train(losses, 1, to)
		if diff := cmp.Diff(want, steps(t, folder)); diff != "" {
			t.Errorf("after %d: %s", to, diff)
		}
		train(losses, max(1, to-2), to) // a kill, and the last steps again
		if diff := cmp.Diff(want, steps(t, folder)); diff != "" {
			t.Errorf("after %d and the last steps again: %s", to, diff)
		}
	}
	train(losses, 1, 6)
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 2 {
		t.Errorf("%d folders, %v", len(entries), err)
	}
	broken := errors.New("disk full")
	if err := Keep(folder, 2, Record{Step: 7, Loss: 0}, func(string) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]int{5, 2}, steps(t, folder)); diff != "" {
		t.Errorf("a model that was not saved removes others: %s", diff)
	}
	if err := os.Remove(filepath.Join(folder, name(5), RecordFile)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int{2}, steps(t, folder)); diff != "" {
		t.Errorf("a model without record: %s", diff)
	}
}

func TestMean(t *testing.T) {
	if got := Mean(map[string]float64{"inference": 1, "training": 2}); got != 1.5 {
		t.Errorf("mean %g, want 1.5", got)
	}
	if got := Mean(nil); got != 0 {
		t.Errorf("mean of nothing %g", got)
	}
}
