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

// Count rounds a number of positions or rows up, to at least least: in eight steps to each power of two.
func Count(n, least int) int {
	if n <= least {
		return least
	}
	power := 8
	for power*2 < n {
		power *= 2
	}
	unit := power / 8
	return (n + unit - 1) / unit * unit
}

// Groups cuts a batch into micro-batches of at most positions places (at least one row each): sorted by length, a row
// joins the group before it while it wastes less than an eighth of its places or the group has fewer than least rows.
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
			if fits && (8*lengths[i] >= 7*g.S || len(g.Members) < least) {
				g.Members = append(g.Members, i)
				continue
			}
		}
		groups = append(groups, Group{Members: []int{i}, S: Bucket(lengths[i])})
	}
	for i := range groups {
		groups[i].B = max(1, min(Count(len(groups[i].Members), 1), max(len(groups[i].Members), positions/groups[i].S)))
	}
	return groups
}
