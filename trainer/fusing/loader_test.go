package fusing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/dataset/s3test"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/trainer/trainertest"
)

// TestScan: what is known of each part without its distributions is what reading it gives, some examples being too long.
func TestScan(t *testing.T) {
	o := world(t)
	o.MaxLength = 33
	c, _, _ := open(t, &o)
	if c.dropped == 0 || c.dropped == c.rows {
		t.Fatalf("%d of %d rows are too long: nothing is tested", c.dropped, c.rows)
	}
	held, err := c.heldOutPrompts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var ids, want []string
	for _, p := range held {
		ids = append(ids, p.id)
	}
	for _, h := range c.held {
		want = append(want, h.id)
	}
	if diff := cmp.Diff(want, ids); diff != "" || len(ids) == 0 {
		t.Errorf("held-out prompts (-scanned +read):\n%s", diff)
	}
	for part, known := range c.has {
		prompts, err := c.part(t.Context(), part)
		if err != nil {
			t.Fatal(err)
		}
		read := make([]flags, len(prompts))
		for i, p := range prompts {
			for m, e := range p.examples {
				read[i][m] = len(e) > 0
			}
		}
		if diff := cmp.Diff(known, read); diff != "" {
			t.Errorf("part %d (-scanned +read):\n%s", part, diff)
		}
	}
}

// TestEvaluatePrompts: of many held-out prompts the same few are read, whatever else there is.
func TestEvaluatePrompts(t *testing.T) {
	o := world(t)
	o.Holdout, o.EvaluatePrompts = 0.5, 3
	c, _, _ := open(t, &o)
	few, err := c.heldOutPrompts(t.Context())
	if err != nil || len(few) != 3 || len(c.held) < 10 {
		t.Fatalf("%d of %d held-out prompts, %v", len(few), len(c.held), err)
	}
	highest := 0.0
	for _, p := range few {
		highest = max(highest, hashOf(p.id))
	}
	below := 0
	for _, h := range c.held {
		if h.hash <= highest {
			below++
		}
	}
	if below != 3 {
		t.Errorf("the prompts are not those with the smallest hashes")
	}
}

// slow is a store whose parts come late, and only until failing.
type slow struct {
	dataset.Store
	delay time.Duration
	fails func(key string) error
}

func (s slow) Read(ctx context.Context, key string) ([]byte, error) {
	select {
	case <-time.After(s.delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.fails != nil {
		if err := s.fails(key); err != nil {
			return nil, err
		}
	}
	return s.Store.Read(ctx, key)
}

// TestBucket: a training on a bucket, and on one that is slow, has the numbers of one on a disk, also when it is stopped
// and goes on.
func TestBucket(t *testing.T) {
	_, environment, stop := s3test.Start()
	t.Cleanup(stop)
	for key, value := range environment {
		t.Setenv(key, value)
	}
	local := world(t)
	mustRun(t, local)
	want := lines(t, local)
	for _, url := range []string{"s3://bucket/run", "mem://loader"} {
		o := world(t)
		bucket, err := dataset.OpenStore(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		format, err := chat.Load(o.Target, o.Format)
		if err != nil {
			t.Fatal(err)
		}
		if err := trainertest.WriteFusion(t.Context(), bucket, format, 40); err != nil {
			t.Fatal(err)
		}
		if o.Store = bucket; strings.HasPrefix(url, "mem") {
			o.Store = slow{Store: bucket, delay: time.Millisecond}
		}
		o.StopAfter = 6
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrStopped) {
			t.Fatal(err)
		}
		o.StopAfter = 0
		mustRun(t, o)
		if diff := cmp.Diff(want, lines(t, o)); diff != "" {
			t.Errorf("metrics of %s (-disk +bucket):\n%s", url, diff)
		}
	}
}

// TestLoaderFaults: a part that goes missing or bad while the training runs ends it with the part's name, once its batch
// is due; cancelling ends it with a checkpoint; neither leaves anything running.
func TestLoaderFaults(t *testing.T) {
	before := runtime.NumGoroutine()
	o := world(t)
	inner := o.Store
	o.Store = slow{Store: inner, fails: func(key string) error {
		if strings.Contains(key, "part-000002") {
			return fmt.Errorf("reading %s: %w", key, fs.ErrNotExist)
		}
		return nil
	}}
	o.Holdout = 0
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "part-000002") || strings.Contains(err.Error(), "\n") {
		t.Errorf("a missing part: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var reads atomic.Int32
	o.Store = slow{Store: inner, fails: func(key string) error {
		if !strings.Contains(key, "part-") || reads.Add(1) <= 2*5 { // the first look at all parts
			return nil
		}
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	if _, err := Run(ctx, o); !errors.Is(err, ErrStopped) {
		t.Errorf("cancelled while waiting for data: %v", err)
	}
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
}

// TestResumeReads: a training that goes on in the middle of an epoch reads only the windows that are left, and one more.
func TestResumeReads(t *testing.T) {
	o := world(t)
	format, err := chat.Load(o.Target, o.Format)
	if err != nil {
		t.Fatal(err)
	}
	o.Store, o.Holdout = emptyStore(t), 0
	if err := trainertest.WriteFusion(t.Context(), o.Store, format, 6*window*trainertest.PartPrompts); err != nil {
		t.Fatal(err)
	}
	c, _, _ := open(t, &o)
	whole, rest := c.order(1, 1, flags{true, true}), c.order(1, 1, flags{true, true})
	n := len(whole.places)
	from := n/2 + 5
	want, err := whole.fetch(t.Context(), 0, n)
	if err != nil {
		t.Fatal(err)
	}
	c.close()
	again, _, _ := open(t, &o)
	rest.c = again
	got, err := rest.fetch(t.Context(), from, from+1)
	if err != nil {
		t.Fatal(err)
	}
	if kept := again.read.Kept(); kept > 2*window {
		t.Errorf("%d parts are read for the first batch, want at most %d", kept, 2*window)
	}
	more, err := rest.fetch(t.Context(), from+1, n)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range append(got, more...) {
		if p.id != want[from+i].id {
			t.Fatalf("prompt %d after going on is %s, want %s", i, p.id, want[from+i].id)
		}
	}
}
