package batch

// Sequence is a prompt and a text in one model's tokens.
type Sequence struct {
	// IDs are the prompt's tokens, then the text's (end-of-turn last when the text has one).
	IDs []int32
	// Prompt is how many of them are the prompt's; at least 1, so that every text token has a position before it.
	Prompt int
}

// Inputs is the number of positions fed: all tokens but the last, which is only predicted.
func (s Sequence) Inputs() int { return len(s.IDs) - 1 }

// Answers is the number of predicted tokens: those of the text.
func (s Sequence) Answers() int { return len(s.IDs) - s.Prompt }

// Bucket rounds a length up to its bucket's: multiples of 4 up to 64, of 8 up to 128, then of an eighth of the power of
// two below it, so that padding stays under a few percent and buckets stay few.
func Bucket(length int) int {
	unit := 4
	switch {
	case length > 128:
		power := 128
		for power*2 < length {
			power *= 2
		}
		unit = power / 8
	case length > 64:
		unit = 8
	}
	return (length + unit - 1) / unit * unit
}

// Rows is a batch of rows of one length and the positions in them that predict.
type Rows struct {
	// B and S are the rows and the positions a row.
	B, S int
	// Tokens [B·S] are the inputs, padded on the right with 0.
	Tokens []int32
	// Index [A] are the flat places b·S + i of predicting positions; padding points to place 0.
	Index []int32
	// Gold [A] are the tokens that they predict; 0 in padding.
	Gold []int32
	// Real is the number of entries of Index that are not padding.
	Real int
	// Positions and Blocks [B·S] are each place's position in its sequence and its sequence's number in the row, from 1,
	// where rows are packed; nil where each row holds one sequence.
	Positions, Blocks []int32
}

// Pack lays sequences into B rows of S positions; missing rows are empty. The number of predicting positions A is
// rounded up to a multiple of unit.
func Pack(sequences []Sequence, b, s, unit int) *Rows {
	r := &Rows{B: b, S: s, Tokens: make([]int32, b*s)}
	for _, q := range sequences {
		r.Real += q.Answers()
	}
	a := max(unit, (r.Real+unit-1)/unit*unit)
	r.Index, r.Gold = make([]int32, a), make([]int32, a)
	at := 0
	for row, q := range sequences {
		copy(r.Tokens[row*s:(row+1)*s], q.IDs[:q.Inputs()])
		for i := q.Prompt - 1; i < q.Inputs(); i++ {
			r.Index[at], r.Gold[at] = int32(row*s+i), q.IDs[i+1]
			at++
		}
	}
	return r
}

// PackInto is Pack with room for exactly a predicting positions, or more where the sequences have more.
func PackInto(sequences []Sequence, b, s, a int) *Rows {
	real := 0
	for _, q := range sequences {
		real += q.Answers()
	}
	return Pack(sequences, b, s, max(a, real))
}
