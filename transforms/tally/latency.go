package tally

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// latencyPrefix begins the names of the buckets' counters; the bucket's upper bound in seconds follows, or inf.
const latencyPrefix = "call_seconds_le_"

// bounds are the upper bounds of the buckets in seconds: six in each power of ten from a millisecond to 1,000 seconds.
var bounds = func() (out []float64) {
	for decade := -3; decade <= 2; decade++ {
		for _, m := range []float64{1, 1.5, 2, 3, 5, 7} {
			bound, _ := strconv.ParseFloat(strconv.FormatFloat(m, 'g', -1, 64)+"e"+strconv.Itoa(decade), 64) // 0.3, not 0.30000000000000004
			out = append(out, bound)
		}
	}
	return append(out, 1000, math.Inf(1))
}()

var latencyNames = func() (out []string) {
	for _, b := range bounds {
		out = append(out, latencyPrefix+strings.TrimPrefix(strconv.FormatFloat(b, 'f', -1, 64), "+"))
	}
	return out
}()

// latencyName is the counter of the bucket of a call that took d.
func latencyName(d time.Duration) string {
	i, _ := slices.BinarySearch(bounds, d.Seconds())
	return latencyNames[i]
}

// Latencies are the calls in each bucket: Counts[i] took at most Bounds[i] seconds and longer than the bound before.
type Latencies struct {
	// Bounds are in seconds, rising; the last is infinite.
	Bounds []float64
	// Counts belong to the bounds.
	Counts []int64
}

// LatenciesOf reads the buckets out of counters by name.
func LatenciesOf(counters map[string]int64) Latencies {
	l := Latencies{Bounds: bounds, Counts: make([]int64, len(bounds))}
	for i, name := range latencyNames {
		l.Counts[i] = counters[name]
	}
	return l
}

// Calls is the number of calls that ended.
func (l Latencies) Calls() (n int64) {
	for _, c := range l.Counts {
		n += c
	}
	return n
}

// Seconds estimates the sum of all latencies: each counts as the middle of its bucket.
func (l Latencies) Seconds() (sum float64) {
	low := 0.0
	for i, n := range l.Counts {
		high := l.Bounds[i]
		if math.IsInf(high, 1) {
			high = low
		}
		sum += float64(n) * (low + high) / 2
		low = high
	}
	return sum
}

// Quantile estimates the latency that a share q of the calls, 0 to 1, did not exceed: the bucket is exact, the place
// within it is interpolated. It is 0 without calls, and the largest finite bound for calls beyond it.
func (l Latencies) Quantile(q float64) time.Duration {
	rank := q * float64(l.Calls())
	var before float64
	low := 0.0
	for i, n := range l.Counts {
		high := l.Bounds[i]
		if n > 0 && before+float64(n) >= rank {
			if math.IsInf(high, 1) {
				high = low
			}
			share := min(max((rank-before)/float64(n), 0), 1)
			return time.Duration((low + (high-low)*share) * float64(time.Second))
		}
		before += float64(n)
		low = high
	}
	return 0
}
