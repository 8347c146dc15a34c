package schemas

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// TokenDistributions holds the tokens of one text and, for each of them, the distribution that a model had before
// it, over the model's own vocabulary. Lists over positions have length T; entries are flat, Counts cuts them (CSR).
type TokenDistributions struct {
	// TokenIDs [T] are the text's tokens, end-of-turn last when the model ended its turn.
	TokenIDs []int32 `parquet:"token_ids,list" parquet-element:",split"`
	// TokenLogProbs [T] are the log-probs of TokenIDs, nats, not rounded.
	TokenLogProbs []float32 `parquet:"token_logprobs,list" parquet-element:",split"`
	// TextRank [T] is the place of TokenIDs[t] among the stored entries by model rank, -1 if it was added from outside the top-k.
	TextRank []int32 `parquet:"text_rank,list" parquet-element:",split"`
	// Counts [T] is the number of entries stored at each position, at most top_k + 1.
	Counts []int32 `parquet:"counts,list" parquet-element:",split"`
	// IDs [sum Counts] are vocabulary ids, most probable first within a position.
	IDs []int32 `parquet:"ids,list" parquet-element:",split"`
	// LogProbs [sum Counts] are true normalised log-probs, nats at temperature 1, rounded to bfloat16, descending within a position.
	LogProbs []float32 `parquet:"logprobs,list" parquet-element:",split"`
	// StartBytes [T] is the byte offset of each token in the text; negative where a token begins in the template.
	StartBytes []int32 `parquet:"start_bytes,list" parquet-element:",split"`
}

// Tolerances of stored probabilities.
const (
	// logProbSlack is how far above 0 a log-prob may lie: alignment divides sums, which round.
	logProbSlack = 1e-6
	// massSlack and massRounding bound a position's mass: 1 + massRounding · Σ p·|log p| + massSlack. A log-prob of 8
	// significant bits is off by at most 2^-8 of itself to either side; twice that leaves room for the second order.
	massSlack    = 1e-5
	massRounding = 1.0 / 128
	// storedRounding · the largest p·|log p| is what storing a fusion example may add to a position's mass: log-probs of 6
	// significant bits are off by at most 2^-5 of themselves, and rounding lets the errors of a position cancel.
	storedRounding = 1.0 / 32
)

// Validate checks lengths, ranges, order and mass of the distributions of a text of textBytes bytes: every list over
// positions has the length of TokenIDs, the counts add up to the entries, log-probs descend within a position and
// their mass is at most 1 within rounding, no id stands twice at a position, the text's token is among the entries
// (at TextRank if that is not -1), and StartBytes never falls and ends within the text. The first fault is a *Fault.
func (d *TokenDistributions) Validate(textBytes int) error {
	c := &check{record: "distributions"}
	c.tokens(d, textBytes)
	return c.err()
}

// tokens checks a text's tokens and distributions.
func (c *check) tokens(d *TokenDistributions, textBytes int) {
	n := len(d.TokenIDs)
	c.that(n > 0, "token_ids", words("empty"), "at least one token")
	c.ids("token_ids", d.TokenIDs)
	c.length("token_logprobs", len(d.TokenLogProbs), n, "token_ids")
	c.length("text_rank", len(d.TextRank), n, "token_ids")
	c.length("counts", len(d.Counts), n, "token_ids")
	c.length("start_bytes", len(d.StartBytes), n, "token_ids")
	c.entries(d.Counts, d.IDs, d.LogProbs, 0)
	offset := 0
	for t := range d.TokenIDs {
		if c.fault != nil {
			return
		}
		c.logProb("token_logprobs", t, d.TokenLogProbs[t])
		c.textToken(d, t, offset)
		c.start(d.StartBytes, t, textBytes)
		offset += int(d.Counts[t])
	}
}

// textToken checks that the text's token is among the entries of position t, which begin at offset.
func (c *check) textToken(d *TokenDistributions, t, offset int) {
	ids, token, rank := d.IDs[offset:offset+int(d.Counts[t])], d.TokenIDs[t], int(d.TextRank[t])
	if slices.Contains(ids, token) && (rank == -1 || rank >= 0 && rank < len(ids) && ids[rank] == token) {
		return
	}
	c.at(slices.Contains(ids, token), "ids", offset, ids, fmt.Sprintf("the text's token %d among the entries of position %d", token, t))
	c.at(false, "text_rank", t, rank, fmt.Sprintf("%d, the place of the text's token, or -1", slices.Index(ids, token)))
}

// start checks the start of token t.
func (c *check) start(starts []int32, t, textBytes int) {
	if int(starts[t]) > textBytes {
		c.at(false, "start_bytes", t, starts[t], fmt.Sprintf("at most %d, the text's length", textBytes))
	}
	if t > 0 && starts[t] < starts[t-1] {
		c.at(false, "start_bytes", t, starts[t], "no less than the one before")
	}
}

// entries checks stored entries in CSR form; stored is what their rounding may add, see storedRounding.
func (c *check) entries(counts, ids []int32, logProbs []float32, stored float64) {
	sum := 0
	for i, count := range counts {
		if count < 0 {
			c.at(false, "counts", i, count, "0 or more")
			return
		}
		sum += int(count)
	}
	c.length("ids", len(ids), sum, "the sum of counts")
	c.length("logprobs", len(logProbs), sum, "the sum of counts")
	c.ids("ids", ids)
	if c.fault != nil {
		return
	}
	offset := 0
	marks := takeMarks(ids)
	defer marksPool.Put(marks)
	for _, count := range counts {
		if c.fault != nil {
			return
		}
		end := offset + int(count)
		c.mass(offset, logProbs[offset:end], stored)
		if marks.twice(ids[offset:end]) {
			c.at(false, "ids", offset, ids[offset:end], "every id once at a position")
		}
		offset = end
	}
}

// marks remembers which ids a position has: the number of the position that last had each id. Kept between rows, since
// most rows are over one vocabulary.
type marks struct {
	last     []uint32
	position uint32
}

var marksPool = sync.Pool{New: func() any { return &marks{} }}

// takeMarks returns marks with room for the ids, none of which is negative.
func takeMarks(ids []int32) *marks {
	m := marksPool.Get().(*marks)
	largest := int32(-1)
	for _, id := range ids {
		largest = max(largest, id)
	}
	if n := min(int(largest), maxMarked) + 1; n > len(m.last) {
		m.last, m.position = make([]uint32, n), 0
	}
	return m
}

// maxMarked bounds the memory of marks: larger ids than any vocabulary has are compared one by one.
const maxMarked = 1 << 22

// twice says whether an id stands twice among those of one position.
func (m *marks) twice(ids []int32) bool {
	if m.position++; m.position == 0 {
		clear(m.last)
		m.position = 1
	}
	for i, id := range ids {
		if id > maxMarked {
			if slices.Contains(ids[:i], id) {
				return true
			}
			continue
		}
		if m.last[id] == m.position {
			return true
		}
		m.last[id] = m.position
	}
	return false
}

// mass checks order and mass of one position's log-probs; stored is entries's, offset is the index of the first in the flat list.
func (c *check) mass(offset int, logProbs []float32, stored float64) {
	var mass, spread, largest float64
	for k, logProb := range logProbs {
		if k > 0 && logProb > logProbs[k-1] {
			c.at(false, "logprobs", offset+k, logProb, "no more than the one before (descending within a position)")
		}
		if !c.logProb("logprobs", offset+k, logProb) {
			return
		}
		p := exp(logProb)
		mass += p
		spread += p * math.Abs(float64(logProb))
		largest = max(largest, p*math.Abs(float64(logProb)))
	}
	if limit := 1 + massRounding*spread + stored*largest + massSlack; mass > limit {
		c.at(false, "logprobs", offset, words(fmt.Sprintf("the first of entries with mass %.6f", mass)), fmt.Sprintf("a mass of at most %.6f", limit))
	}
}

// rounded holds exp(x) of the log-probs of 8 significant bits, which stored entries are, by sign, exponent and bits.
var rounded = sync.OnceValue(func() *[1 << 16]float64 {
	var table [1 << 16]float64
	for bits := range table {
		table[bits] = 1 + math.Expm1(float64(math.Float32frombits(uint32(bits)<<16)))
	}
	return &table
})

// exp is exp(x), by table where x is rounded. Elsewhere by expm1, because on some processors the assembly of math.Exp is a
// hundred times as slow while the upper halves of the vector registers are in use.
func exp(x float32) float64 {
	bits := math.Float32bits(x)
	if bits&0xFFFF == 0 {
		return rounded()[bits>>16]
	}
	return 1 + math.Expm1(float64(x))
}

// logProb demands a finite log-prob of at most 0 within rounding.
func (c *check) logProb(column string, i int, x float32) bool {
	if x <= logProbSlack && !math.IsInf(float64(x), -1) {
		return true
	}
	return c.at(false, column, i, x, "a finite number, at most 0")
}
