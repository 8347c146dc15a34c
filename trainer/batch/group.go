package batch

import (
	"slices"
)

// Group is a micro-batch: sequences of similar length and the shape that they go into.
type Group struct {
	// Members are the sequences' numbers, longest first.
	Members []int
	// B and S are the shape: at least len(Members) rows of at least the longest's length.
	B, S int
}

// steps are the sizes that rows and positions are rounded up to: 1, 2, 4, then four to each power of two.
func roundUp(n, least int) int {
	if n <= least {
		return least
	}
	power := 4
	for power*2 < n {
		power *= 2
	}
	unit := max(1, power/4)
	return (n + unit - 1) / unit * unit
}

// Length rounds a row's length up: multiples of 16 to 128, then an eighth of the power of two below.
func Length(n int) int {
	if n <= 128 {
		return max(16, (n+15)/16*16)
	}
	return Bucket(n)
}

// Count rounds a number of positions or rows up, to at least least, in four steps to each power of two.
func Count(n, least int) int { return roundUp(n, least) }

// Groups cuts a batch into micro-batches of at most positions places (at least one row each): sorted by length, a row
// joins the group before it while it wastes less than a quarter of its places or the group has fewer than least rows.
// Any cut gives the same gradients, as sums; this one keeps padding low and shapes few. Equal lengths stay in order.
func Groups(lengths []int, positions, least int) []Group {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return lengths[b] - lengths[a] })
	var groups []Group
	for _, i := range order {
		if n := len(groups) - 1; n >= 0 {
			g := &groups[n]
			fits := (len(g.Members)+1)*g.S <= positions
			if fits && (4*lengths[i] >= 3*g.S || len(g.Members) < least) {
				g.Members = append(g.Members, i)
				continue
			}
		}
		groups = append(groups, Group{Members: []int{i}, S: Length(lengths[i])})
	}
	for i := range groups {
		groups[i].B = max(1, min(Count(len(groups[i].Members), 1), max(len(groups[i].Members), positions/groups[i].S)))
	}
	return groups
}
