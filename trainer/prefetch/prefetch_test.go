package prefetch

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestBatches: all values come once, in order, none is made more than depth ahead, and waiting is measured.
func TestBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var begun atomic.Int64
		b := NewBatches(t.Context(), 3, 9, 2, func(_ context.Context, i int) (int, error) {
			begun.Add(1)
			time.Sleep(time.Second)
			return 10 * i, nil
		})
		defer b.Close()
		for i := 3; i < 9; i++ {
			synctest.Wait()
			if ahead := int(begun.Load()) - (i - 3); ahead > 2 {
				t.Errorf("%d values are made ahead before %d is taken, depth is 2", ahead, i)
			}
			if i == 6 {
				time.Sleep(time.Minute) // the trainer is slow for once
			}
			v, waited, err := b.Next(t.Context())
			want := time.Second
			if i == 6 || i == 7 {
				want = 0
			}
			if v != 10*i || err != nil || waited != want {
				t.Errorf("value %d after %s, %v, want %d after %s", v, waited, err, 10*i, want)
			}
		}
		if _, _, err := b.Next(t.Context()); !errors.Is(err, ErrEnd) {
			t.Errorf("after the last: %v", err)
		}
	})
}

// TestBatchesFault: a fault comes where its value would have, and stays.
func TestBatchesFault(t *testing.T) {
	fault := errors.New("fault")
	b := NewBatches(t.Context(), 0, 9, 3, func(_ context.Context, i int) (int, error) {
		if i == 2 {
			return 0, fault
		}
		return i, nil
	})
	defer b.Close()
	for i, want := range []error{nil, nil, fault, fault} {
		if _, _, err := b.Next(t.Context()); !errors.Is(err, want) {
			t.Errorf("value %d: %v, want %v", i, err, want)
		}
	}
}

// TestCancelled: a cancelled consumer does not wait for a value, and Close ends a producer in the middle of its work.
func TestCancelled(t *testing.T) {
	before := runtime.NumGoroutine()
	stuck := func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := NewBatches(ctx, 0, 9, 3, stuck)
	p := NewParts(ctx, 4, 2, stuck)
	p.Ahead(1, 2, 3, 4, 5)
	time.AfterFunc(5*time.Millisecond, cancel)
	if _, _, err := b.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("batch: %v", err)
	}
	if _, err := p.Get(ctx, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("part: %v", err)
	}
	b.Close()
	p.Close()
	other := NewParts(t.Context(), 4, 2, stuck) // closed without being cancelled
	other.Ahead(1, 2, 3)
	other.Close()
	for range 100 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before", runtime.NumGoroutine(), before)
}

// TestParts: a part is read once while it is kept, no more than parallel at a time, the latest ones are kept.
func TestParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		reads := map[int]int{}
		under, most := 0, 0
		p := NewParts(t.Context(), 3, 2, func(_ context.Context, part int) (string, error) {
			mu.Lock()
			reads[part]++
			under++
			most = max(most, under)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			under--
			mu.Unlock()
			return fmt.Sprint("part ", part), nil
		})
		defer p.Close()
		p.Ahead(1, 2, 3)
		for _, part := range []int{1, 2, 3, 1, 4, 5, 3, 1} { // 4 and 5 drive 1 and 2 out
			if got, err := p.Get(t.Context(), part); err != nil || got != fmt.Sprint("part ", part) {
				t.Errorf("part %d is %q, %v", part, got, err)
			}
			if n := p.Kept(); n > 3 {
				t.Errorf("%d parts kept, at most 3 may be", n)
			}
		}
		if want := map[int]int{1: 2, 2: 1, 3: 1, 4: 1, 5: 1}; fmt.Sprint(reads) != fmt.Sprint(want) {
			t.Errorf("reads %v, want %v", reads, want)
		}
		if most != 2 {
			t.Errorf("%d reads at a time, want 2", most)
		}
	})
}

// TestPartsFault: a fault is not kept.
func TestPartsFault(t *testing.T) {
	tries := 0
	p := NewParts(t.Context(), 3, 2, func(context.Context, int) (int, error) {
		if tries++; tries == 1 {
			return 0, errors.New("fault")
		}
		return 7, nil
	})
	defer p.Close()
	if _, err := p.Get(t.Context(), 1); err == nil {
		t.Error("no fault")
	}
	for p.Kept() > 0 { // the fault is on its way out
		time.Sleep(time.Millisecond)
	}
	if v, err := p.Get(t.Context(), 1); err != nil || v != 7 {
		t.Errorf("the second try: %d, %v", v, err)
	}
}

// TestInOrder: whatever is read first, things are taken in order; a fault ends it.
func TestInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		started := time.Now()
		var got []int
		err := InOrder(t.Context(), 10, 4, func(_ context.Context, i int) (int, error) {
			time.Sleep(time.Duration(1+3*i%4) * time.Second)
			return i * i, nil
		}, func(i, v int) error {
			if v != i*i {
				t.Errorf("%d came as %d", i, v)
			}
			got = append(got, i)
			if i == 8 {
				return errors.New("enough")
			}
			return nil
		})
		if err == nil || err.Error() != "enough" || fmt.Sprint(got) != "[0 1 2 3 4 5 6 7 8]" {
			t.Errorf("%v, %v", got, err)
		}
		if took := time.Since(started); took > 12*time.Second { // 25 s one after the other
			t.Errorf("took %s", took)
		}
	})
}
