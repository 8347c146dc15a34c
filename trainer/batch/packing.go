package batch

import "slices"

// Packing is a micro-batch of packed rows: several sequences one after the other in a row.
type Packing struct {
	// Members are the sequences' numbers, row by row.
	Members [][]int
	// B and S are the shape: at least len(Members) rows of S positions.
	B, S int
}

// Packings puts a batch's sequences into rows as long as its longest one's bucket and cuts the rows into micro-batches of
// at most positions places (at least one row each). Each sequence, longest first, goes into the fullest row that has
// room for it: the best-fit decreasing rule, which needs at most 11/9 of the fewest possible rows and one more (Johnson
// 1973). Equal lengths stay in order.
func Packings(lengths []int, positions int) []Packing {
	order := make([]int, len(lengths))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return lengths[b] - lengths[a] })
	if len(order) == 0 {
		return nil
	}
	s := Bucket(lengths[order[0]])
	var rows [][]int
	free := make([][]int, s+1) // row numbers by free places
	for _, i := range order {
		n := lengths[i]
		room := n
		for room <= s && len(free[room]) == 0 {
			room++
		}
		row := len(rows)
		if room <= s {
			row = free[room][0]
			free[room] = free[room][1:]
			rows[row] = append(rows[row], i)
		} else {
			room = s
			rows = append(rows, []int{i})
		}
		free[room-n] = append(free[room-n], row)
	}
	most := max(1, positions/s)
	var out []Packing
	for part := range slices.Chunk(rows, most) {
		out = append(out, Packing{Members: part, B: min(Count(len(part), 1), most), S: s})
	}
	return out
}

// PackTogether lays the sequences of each row after one another into b rows of s positions, with room for a predicting
// positions, or more where the sequences have more. A row's first sequence is block 1; positions begin at 0 in each
// block, and padding is a block of its own.
func PackTogether(rows [][]Sequence, b, s, a int) *Rows {
	r := &Rows{B: b, S: s, Tokens: make([]int32, b*s), Positions: make([]int32, b*s), Blocks: make([]int32, b*s)}
	for _, row := range rows {
		for _, q := range row {
			r.Real += q.Answers()
		}
	}
	a = max(a, r.Real)
	r.Index, r.Gold = make([]int32, a), make([]int32, a)
	at := 0
	for row := range b {
		var here []Sequence
		if row < len(rows) {
			here = rows[row]
		}
		place := row * s
		for block, q := range here {
			copy(r.Tokens[place:], q.IDs[:q.Inputs()])
			for i := range q.Inputs() {
				r.Positions[place+i], r.Blocks[place+i] = int32(i), int32(block+1)
				if i >= q.Prompt-1 {
					r.Index[at], r.Gold[at] = int32(place+i), q.IDs[i+1]
					at++
				}
			}
			place += q.Inputs()
		}
		for i := range (row+1)*s - place {
			r.Positions[place+i], r.Blocks[place+i] = int32(i), int32(len(here)+1)
		}
	}
	return r
}
