package inflight_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/profuser/profuser/transforms/inflight"
)

const (
	partRows = 256
	// meanAnswer is the mean latency; the logarithm has standard deviation 1.
	meanAnswer = 50 * time.Millisecond
)

// answerTime is the latency of one row: lognormal, mean 50 ms, sigma 1.
func answerTime(seed uint64, part, row int) time.Duration {
	r := rand.New(rand.NewPCG(seed, uint64(part*partRows+row)))
	return time.Duration(float64(meanAnswer) * math.Exp(r.NormFloat64()-0.5))
}

// busyShare sends parts through a window of open parts to a server of 64 slots, and returns which share of the slots'
// time was spent on answers, from the first call to the last part's end. store is what reading and writing a part takes.
func busyShare(tb testing.TB, seed uint64, slots, parts, open int, store time.Duration) float64 {
	tb.Helper()
	feed, calls := make(inflight.Limit, 1), make(inflight.Limit, slots)
	var busy atomic.Int64
	start := time.Now()
	none := func(struct{}) error { return nil }
	w := inflight.Start[struct{}](context.Background(), make(inflight.Limit, open), func() {})
	for part := range parts {
		err := w.Go(func(ctx context.Context) (struct{}, error) {
			time.Sleep(store)
			err := inflight.Rows(ctx, feed, calls, partRows, func(_ context.Context, row int) error {
				d := answerTime(seed, part, row)
				time.Sleep(d)
				busy.Add(int64(d))
				return nil
			})
			time.Sleep(store)
			return struct{}{}, err
		}, none)
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Finish(none); err != nil {
		tb.Fatal(err)
	}
	return float64(busy.Load()) / (float64(slots) * float64(time.Since(start)))
}

// TestSlotsStayBusy holds OpenParts to what it is for, on a simulated clock: so it measures the schedule and not the
// machine. Jobs are long (the last answers of a short one leave slots idle that no schedule could fill).
func TestSlotsStayBusy(t *testing.T) {
	for _, slots := range []int{16, 64, 256} {
		for _, store := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond} {
			synctest.Test(t, func(t *testing.T) {
				open := inflight.OpenParts(slots, partRows)
				share := busyShare(t, 1, slots, 3*slots, open, store)
				t.Logf("%d slots, %d parts open, store %v: %.1f %% busy", slots, open, store, 100*share)
				if share < 0.93 {
					t.Errorf("%d slots with %d parts open and a store of %v: %.1f %% busy, want 93 %%", slots, open, store, 100*share)
				}
			})
		}
	}
	synctest.Test(t, func(t *testing.T) {
		if share := busyShare(t, 1, 64, 200, 3, 0); share > 0.93 {
			t.Errorf("64 slots with 3 parts open: %.1f %% busy; the measure cannot tell a window that is too small", 100*share)
		}
	})
}

// BenchmarkBusySlots is the same on the real clock: b.N calls to 64 slots. The ideal is 100 %.
func BenchmarkBusySlots(b *testing.B) {
	const slots = 64
	open := inflight.OpenParts(slots, partRows)
	for _, parts := range []int{open, 4, 1} {
		b.Run(fmt.Sprintf("open=%d", parts), func(b *testing.B) {
			b.ReportMetric(100*busyShare(b, 1, slots, max(1, b.N/partRows), parts, 20*time.Millisecond), "%busy")
		})
	}
}
