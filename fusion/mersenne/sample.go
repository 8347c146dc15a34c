package mersenne

import "fmt"

// Sample draws k different indices from [0, n), as Python's random.sample(range(n), k) draws them.
//
// Effect: for small n the drawn entries of a pool are replaced by its last; for large n an index drawn before is drawn
// again. Units: indices. Boundary: k = 0 gives none; k < 0 and k > n are errors; n is below 2³².
// Source: CPython's Lib/random.py, Random.sample of 3.11. The same draws.
func (t *Twister) Sample(n, k int) ([]int, error) {
	if k < 0 || k > n || n >= 1<<32 {
		return nil, fmt.Errorf("sampling %d of %d: want from 0 to all of them", k, n)
	}
	out := make([]int, k)
	if n <= poolLimit(k) {
		pool := make([]int, n)
		for i := range pool {
			pool[i] = i
		}
		for i := range out {
			j := t.below(n - i)
			out[i], pool[j] = pool[j], pool[n-i-1]
		}
		return out, nil
	}
	drawn := make(map[int]bool, k)
	for i := range out {
		j := t.below(n)
		for drawn[j] {
			j = t.below(n)
		}
		out[i], drawn[j] = j, true
	}
	return out, nil
}

// poolLimit is the largest n for which a pool takes less memory than a set of k: 21, and from k = 6 on the smallest power
// of four that is 3k or more besides.
func poolLimit(k int) int {
	limit := 21
	if k > 5 {
		power := 1
		for power < 3*k {
			power *= 4
		}
		limit += power
	}
	return limit
}
