package tally

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/schemas"
)

// drain adds what a tally has to counters.
func drain(t *Tally, counters map[string]int64) {
	t.Drain(func(name string, n int64) { counters[name] += n })
}

func TestCountsOfManyGoroutines(t *testing.T) {
	var tally Tally
	counters := map[string]int64{}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := range 1000 {
				end := tally.Call()
				end(3, 2)
				var reject *schemas.Rejected
				if i%10 == 0 {
					reject = &schemas.Rejected{ID: "a", Code: "too_long"}
				}
				tally.Row(nil, reject)
			}
		})
	}
	drain(&tally, counters)
	wait.Wait()
	open := tally.Call() // never ends
	_ = open
	tally.Part()
	drain(&tally, counters)
	if calls := LatenciesOf(counters).Calls(); calls != 8000 {
		t.Errorf("%d latencies, want 8000", calls)
	}
	for name := range counters {
		if len(name) > len(latencyPrefix) && name[:len(latencyPrefix)] == latencyPrefix {
			delete(counters, name)
		}
	}
	want := map[string]int64{"rows": 8000, "rejects": 800, "rejects_too_long": 800, "parts": 1, "calls": 8001, "prompt_tokens": 24000, "text_tokens": 16000}
	if d := cmp.Diff(want, counters); d != "" {
		t.Errorf("counters (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]int64{"too_long": 800}, RejectCodes(counters)); d != "" {
		t.Errorf("codes (-want +got):\n%s", d)
	}
	tally.Drain(func(name string, n int64) { t.Errorf("%s %d is drained twice", name, n) })
}

// TestQuantile compares with the exact quantile of sorted latencies: both must lie in one bucket, or at its edge.
func TestQuantile(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, scale := range []float64{0.0001, 0.03, 2, 500} {
		counters := map[string]int64{}
		var all []float64
		for range 5000 {
			seconds := scale * r.ExpFloat64()
			all = append(all, seconds)
			counters[latencyName(time.Duration(seconds*float64(time.Second)))]++
		}
		slices.Sort(all)
		for _, q := range []float64{0.01, 0.5, 0.9, 0.99} {
			exact := all[int(q*5000)-1]
			got := LatenciesOf(counters).Quantile(q).Seconds()
			low, high := 0.0, 0.0
			for _, b := range bounds {
				if low, high = high, b; exact <= b {
					break
				}
			}
			if exact > 1000 {
				low, high = 1000, 1000
			}
			if got < low-1e-9 || got > high+1e-9 {
				t.Errorf("scale %g: quantile %g is %g, want %g, in (%g, %g]", scale, q, got, exact, low, high)
			}
		}
	}
	if got := LatenciesOf(nil).Quantile(0.5); got != 0 {
		t.Errorf("quantile of nothing is %v", got)
	}
}

func TestNamesOfBuckets(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "call_seconds_le_0.001", time.Millisecond: "call_seconds_le_0.001", 250 * time.Millisecond: "call_seconds_le_0.3",
		2 * time.Second: "call_seconds_le_2", time.Hour: "call_seconds_le_Inf",
	} {
		if got := latencyName(d); got != want {
			t.Errorf("%v is counted in %s, want %s", d, got, want)
		}
	}
}

func TestRecentRejects(t *testing.T) {
	var tally Tally
	for i := range 30 {
		tally.Row(&schemas.Rejected{ID: fmt.Sprint(i), Code: "too_long"})
	}
	got := RecentRejects()
	if len(got) != recentRejects || got[0].ID != "29" || got[recentRejects-1].ID != "10" {
		t.Errorf("%d rejects, the newest %v", len(got), got[0])
	}
}
