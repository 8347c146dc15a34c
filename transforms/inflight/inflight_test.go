package inflight_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/profuser/profuser/transforms/inflight"
	"pgregory.net/rapid"
)

func TestWindowHandsOutEveryResultOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		jobs := rapid.IntRange(0, 30).Draw(t, "jobs")
		places := rapid.IntRange(1, 5).Draw(t, "places")
		limit := make(inflight.Limit, places)
		var running, most atomic.Int64
		var got []int
		out := func(v int) error { got = append(got, v); return nil }
		w := inflight.Start[int](t.Context(), limit, func() {})
		for i := range jobs {
			err := w.Go(func(context.Context) (int, error) {
				n := running.Add(1)
				defer running.Add(-1)
				for {
					m := most.Load()
					if n <= m || most.CompareAndSwap(m, n) {
						return i, nil
					}
				}
			}, out)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Finish(out); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		for i, v := range got {
			if i != v {
				t.Fatalf("results %v", got)
			}
		}
		if len(got) != jobs || most.Load() > int64(places) || len(limit) != 0 {
			t.Fatalf("%d results of %d, %d at once with %d places, %d places kept", len(got), jobs, most.Load(), places, len(limit))
		}
	})
}

func TestWindowFailsAndCancelsTheOthers(t *testing.T) {
	broken := errors.New("broken")
	limit := make(inflight.Limit, 2)
	w := inflight.Start[int](t.Context(), limit, func() {})
	out := func(int) error { return nil }
	cancelled := make(chan error, 1)
	if err := w.Go(func(ctx context.Context) (int, error) {
		<-ctx.Done()
		cancelled <- context.Cause(ctx)
		return 0, ctx.Err()
	}, out); err != nil {
		t.Fatal(err)
	}
	if err := w.Go(func(context.Context) (int, error) { return 0, broken }, out); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(out); !errors.Is(err, broken) {
		t.Errorf("error %v, want broken", err)
	}
	if err := <-cancelled; !errors.Is(err, broken) {
		t.Errorf("the other job saw %v, want broken", err)
	}
}

func TestWindowTurnsAPanicIntoAnError(t *testing.T) {
	w := inflight.Start[int](t.Context(), make(inflight.Limit, 1), func() {})
	out := func(int) error { return nil }
	if err := w.Go(func(context.Context) (int, error) { panic("boom") }, out); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(out); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("error %v, want one that says boom", err)
	}
}

func TestWindowEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	w := inflight.Start[int](ctx, make(inflight.Limit, 1), func() {})
	block := func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() }
	out := func(int) error { return nil }
	if err := w.Go(block, out); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := w.Go(block, out); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context canceled", err)
	}
}

func TestRows(t *testing.T) {
	broken := errors.New("broken")
	tests := []struct {
		name   string
		rows   int
		places int
		call   func(context.Context, int) error
		want   error
	}{
		{name: "none", rows: 0, places: 1},
		{name: "all", rows: 50, places: 4},
		{name: "error wins over cancelled neighbours", rows: 8, places: 8, want: broken, call: func(ctx context.Context, i int) error {
			if i == 5 {
				return broken
			}
			<-ctx.Done()
			return ctx.Err()
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var mu sync.Mutex
			seen := map[int]int{}
			err := inflight.Rows(t.Context(), make(inflight.Limit, 1), make(inflight.Limit, test.places), test.rows, func(ctx context.Context, i int) error {
				mu.Lock()
				seen[i]++
				mu.Unlock()
				if test.call != nil {
					return test.call(ctx, i)
				}
				return nil
			})
			if !errors.Is(err, test.want) || test.want == nil && err != nil {
				t.Errorf("error %v, want %v", err, test.want)
			}
			if err == nil && len(seen) != test.rows {
				t.Errorf("%d rows called, want %d", len(seen), test.rows)
			}
		})
	}
}

func TestRowsTurnsAPanicIntoAnError(t *testing.T) {
	err := inflight.Rows(t.Context(), make(inflight.Limit, 1), make(inflight.Limit, 2), 3, func(_ context.Context, i int) error {
		if i == 1 {
			panic("boom")
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("error %v, want one that says boom", err)
	}
}

type fake struct {
	name   string
	closed *[]string
}

func (f fake) Close() error { *f.closed = append(*f.closed, f.name); return nil }

func TestModels(t *testing.T) {
	var models inflight.Models[io.Closer]
	if _, err := models.Get(t.Context(), inflight.Model{Name: "a"}); err == nil {
		t.Error("a model was opened without an opener")
	}
	if err := models.Close(); err != nil {
		t.Fatal(err)
	}
	var opened, closed []string
	models.Use(func(_ context.Context, m inflight.Model) (io.Closer, error) {
		if m.Dir == "" {
			return nil, fmt.Errorf("no directory")
		}
		opened = append(opened, m.Name)
		return fake{m.Name, &closed}, nil
	})
	for range 3 {
		if _, err := models.Get(t.Context(), inflight.Model{Name: "a", Dir: "d"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := models.Get(t.Context(), inflight.Model{Name: "b"}); err == nil || err.Error() != "opening model b: no directory" {
		t.Errorf("error %v", err)
	}
	if err := models.Close(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"a"}, {"a"}}, [][]string{opened, closed}); diff != "" {
		t.Errorf("opened and closed (-want +got):\n%s", diff)
	}
}

func TestOpenParts(t *testing.T) {
	for _, test := range []struct{ concurrency, rows, want int }{{0, 256, 4}, {32, 256, 4}, {64, 256, 6}, {64, 64, 18}, {1, 0, 18}, {256, 256, 18}} {
		if got := inflight.OpenParts(test.concurrency, test.rows); got != test.want {
			t.Errorf("OpenParts(%d, %d) = %d, want %d", test.concurrency, test.rows, got, test.want)
		}
	}
}

// TestModelsClosedWhileOpening: a job that failed may still be opening a model when the step closes all.
func TestModelsClosedWhileOpening(t *testing.T) {
	var models inflight.Models[io.Closer]
	var closed []string
	opening, goOn := make(chan struct{}), make(chan struct{})
	models.Use(func(_ context.Context, m inflight.Model) (io.Closer, error) {
		close(opening)
		<-goOn
		return fake{m.Name, &closed}, nil
	})
	got := make(chan error)
	go func() {
		_, err := models.Get(context.Background(), inflight.Model{Name: "a"})
		got <- err
	}()
	<-opening
	go close(goOn)
	if err := models.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil || !slices.Equal(closed, []string{"a"}) {
		t.Errorf("error %v, closed %v", err, closed)
	}
}
