package fuse_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"
	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/fuse"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/transformtest"
)

// count runs Counts over so many parts.
func count(url string, parts int, s fuse.Step) error {
	numbers := make([]int, parts)
	for k := range numbers {
		numbers[k] = k
	}
	p, scope := beam.NewPipelineWithRoot()
	fuse.Counts(scope, s, url, sink.Numbers(scope, numbers, 1))
	return ptest.Run(p)
}

// aligning is the step with another method of alignment, and datasets of its own.
func aligning(method, fallback, maps string) fuse.Step {
	s := step()
	s.KeepAll = true
	s.Alignment = fuse.Alignment{Method: method, Fallback: fallback, Counts: "counts", Maps: maps}
	s.Selections, s.Inference, s.Training = method+"/selections", method+"/inference", method+"/training"
	return s
}

func ExampleCounts() {
	ctx := context.Background()
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	s := aligning(align.MethodStatistics, align.FallbackNone, "")
	if err := inputs(ctx, url, 3, 2, s); err != nil {
		fmt.Println(err)
		return
	}
	if err := count(url, 2, s); err != nil {
		fmt.Println(err)
		return
	}
	data, err := os.ReadFile(filepath.Join(url, "counts", "mpt.counts"))
	if err != nil {
		fmt.Println(err)
		return
	}
	var counts vocabulary.Counts
	fmt.Println(counts.UnmarshalBinary(data), counts.Len() > 0)
	// Output:
	// <nil> true
}

// TestCountsDoNotDependOnParts: the frozen files are the same for any size of parts, and are not made twice.
func TestCountsDoNotDependOnParts(t *testing.T) {
	var want []byte
	for _, rows := range []int{6, 4, 1} {
		url := t.TempDir()
		s := aligning(align.MethodStatistics, align.FallbackNone, "")
		if err := inputs(t.Context(), url, 6, rows, s); err != nil {
			t.Fatal(err)
		}
		if err := count(url, (6+rows-1)/rows, s); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(url, "counts", "mpt.counts")
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !bytes.Equal(want, got) {
			t.Errorf("parts of %d rows give other counts", rows)
		}
		if err := os.WriteFile(file, []byte("frozen"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := count(url, (6+rows-1)/rows, s); err != nil {
			t.Fatal(err)
		}
		if kept, err := os.ReadFile(file); err != nil || string(kept) != "frozen" {
			t.Errorf("the file was made twice: %q, %v", kept, err)
		}
	}
}

// TestEveryMethod: the same winners whatever the alignment, valid rows, statuses of the method;
// maps are kept in their folder.
func TestEveryMethod(t *testing.T) {
	url := t.TempDir()
	exact := aligning(align.MethodExact, align.FallbackNone, "")
	if err := inputs(t.Context(), url, 6, 3, exact); err != nil {
		t.Fatal(err)
	}
	maps := filepath.Join(url, "maps")
	var names []string
	for _, method := range []string{align.MethodExact, align.MethodExactMatch, align.MethodMinEditDistance, align.MethodStatistics, align.MethodTransport} {
		s := aligning(method, align.FallbackNext, maps)
		if method == align.MethodStatistics {
			if err := run(t.Context(), url, 2, s); err == nil {
				t.Fatal("statistics without counts")
			}
			if err := count(url, 2, s); err != nil {
				t.Fatal(err)
			}
			s.Selections, s.Inference, s.Training = method+"2/selections", method+"2/inference", method+"2/training"
		}
		if err := run(t.Context(), url, 2, s); err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		var all []schemas.FusionExample
		for _, name := range []string{s.Inference, s.Training} {
			rows, err := transformtest.Read[schemas.FusionExample](t.Context(), url, name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, rows...)
		}
		var now []string
		seen := map[schemas.Status]int{}
		for _, e := range all {
			if err := e.Validate(); err != nil {
				t.Errorf("%s: %v", method, err)
			}
			now = append(now, fmt.Sprint(e.Mode, e.ID, e.Source, e.Selected))
			if e.Source == "mpt" {
				for _, status := range e.Status {
					seen[status]++
				}
			}
		}
		if names == nil {
			names = now
		}
		if d := cmp.Diff(names, now); d != "" {
			t.Errorf("%s: rows (-exact +it):\n%s", method, d)
		}
		if method != align.MethodExact && (seen[schemas.StatusExact] == 0 || seen[schemas.StatusNone] > 0 || seen[schemas.StatusBoundary]+seen[schemas.StatusInner] > 0) {
			t.Errorf("%s: statuses %v of the other tokenizer's texts", method, seen)
		}
	}
	files, err := filepath.Glob(filepath.Join(maps, "*.map"))
	if err != nil || len(files) != 6 { // two sources, three maps
		t.Errorf("maps %v, %v", files, err)
	}
}
