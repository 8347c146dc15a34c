package fusing

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/batch"
	"github.com/profuser/profuser/trainer/objective"
)

// mode numbers the two modes.
type mode int

const (
	inference mode = iota
	training
	modes
)

var modeNames [modes]string = schemas.Modes

// example is a fusion example as the loss needs it.
//
// Invariant: the teacher of text token i has the entries starts[i] to starts[i+1], none where the status is none.
type example struct {
	batch.Sequence
	mode   mode
	weight float64 // the row's own, 1, times share
	share  float64 // of the prompt's examples in the mode, 1 or its weight by reward; a prompt's add up to 1
	starts []int32
	ids    []int32
	probs  []float32
	rest   []float32
	// weights [n] are the positions' own in the divergence, by their statuses; 0 without a teacher.
	weights []float32
	taught  float64 // Σ weights
	chunked         // of an example that is taught by chunks
}

// chunked says of each text token where its chunk begins, and of each first token how likely the teacher holds its chunk.
// Then weights are 1 at first tokens of chunks and 0 elsewhere, and there are no entries.
type chunked struct {
	first    []int32
	logProbs []float32
}

// byChunks makes chunks the example's teachers instead of distributions. Chunks that a cut goes through have none.
func (e *example) byChunks(ends []int32, logProbs []float32) {
	n := e.Answers()
	e.chunked = chunked{make([]int32, n), make([]float32, n)}
	e.ids, e.probs, e.taught = nil, nil, 0
	e.starts, e.weights, e.rest = make([]int32, n+1), make([]float32, n), make([]float32, n)
	for i := range e.first {
		e.first[i] = int32(i)
	}
	from := int32(0)
	for k, end := range ends {
		if int(end) > n {
			break
		}
		for i := from; i < end; i++ {
			e.first[i] = from
		}
		e.weights[from], e.logProbs[from] = 1, logProbs[k]
		e.taught++
		from = end
	}
}

// kept is the number of a row's text tokens that are trained on. A text that makes the whole longer than maxLength is cut
// on the right; ok is false when that leaves fewer than leastText tokens of it.
func kept(row *schemas.FusionExample, maxLength int) (n int, ok bool) {
	n = len(row.TextIDs)
	if len(row.PromptIDs)+n > maxLength {
		n = maxLength - len(row.PromptIDs)
		if n < leastText {
			return 0, false
		}
	}
	return n, n > 0 && len(row.PromptIDs) > 0
}

// newExample takes a row over, as far as it is kept, with weights of positions by status.
func newExample(row *schemas.FusionExample, m mode, maxLength int, weights StatusWeights) (e *example, ok bool) {
	n, ok := kept(row, maxLength)
	if !ok {
		return nil, false
	}
	e = &example{mode: m, weight: row.Weight, share: 1}
	e.Prompt = len(row.PromptIDs)
	e.IDs = append(append(make([]int32, 0, e.Prompt+n), row.PromptIDs...), row.TextIDs[:n]...)
	e.starts = make([]int32, n+1)
	e.rest = make([]float32, n)
	e.weights = make([]float32, n)
	total := 0
	for _, count := range row.Counts[:n] {
		total += int(count)
	}
	e.ids, e.probs = make([]int32, 0, total), make([]float32, 0, total)
	var entries []float64
	at := 0
	for i := range n {
		count := int(row.Counts[i])
		entries = entries[:0]
		for _, logProb := range row.LogProbs[at : at+count] {
			entries = append(entries, math.Exp(float64(logProb)))
		}
		if w := weights[row.Status[i]]; row.Status[i] != schemas.StatusNone && count > 0 && w > 0 {
			e.rest[i] = float32(objective.Rest(entries))
			e.ids = append(e.ids, row.IDs[at:at+count]...)
			for _, p := range entries {
				e.probs = append(e.probs, float32(p))
			}
			e.weights[i] = float32(w)
			e.taught += w
		}
		e.starts[i+1] = int32(len(e.ids))
		at += count
	}
	return e, true
}

// check says why a row cannot belong to this model.
func check(row *schemas.FusionExample, vocabulary int) error {
	if err := row.Validate(); err != nil {
		return err
	}
	if err := checkTokens(row, vocabulary); err != nil {
		return err
	}
	return within(row, "ids", row.IDs, vocabulary)
}

// checkTokens is check for prompt and text alone.
func checkTokens(row *schemas.FusionExample, vocabulary int) error {
	if err := within(row, "prompt_ids", row.PromptIDs, vocabulary); err != nil {
		return err
	}
	return within(row, "text_ids", row.TextIDs, vocabulary)
}

func within(row *schemas.FusionExample, column string, ids []int32, vocabulary int) error {
	for i, id := range ids {
		if int(id) >= vocabulary {
			return fmt.Errorf("%s[%d] of %s is %d, the model's vocabulary has %d: fuse again for this target", column, i, row.ID, id, vocabulary)
		}
	}
	return nil
}

// heldOut chooses prompts by a hash of their id: the same ones in every run, whatever else the dataset holds.
func heldOut(id string, share float64) bool { return hashOf(id) < share }

// hashOf is in [0, 1).
func hashOf(id string) float64 {
	sum := sha256.Sum256([]byte("holdout\x1f" + id))
	return float64(binary.BigEndian.Uint64(sum[:])>>11) / (1 << 53)
}

// prompt is what a part holds of one prompt: none, one or, weighted by reward, several examples of a mode.
type prompt struct {
	id       string
	examples [modes][]*example
}

// candidates are a prompt's rows of one mode that are trained on: the selected one; or, by reward, all rows with a reward
// where there are any. (Rows of training mode have none.)
func candidates(rows []*schemas.FusionExample, byReward bool) []*schemas.FusionExample {
	var selected, rewarded []*schemas.FusionExample
	for _, r := range rows {
		if r.Selected {
			selected = append(selected, r)
		}
		if r.Reward != nil {
			rewarded = append(rewarded, r)
		}
	}
	if byReward && len(rewarded) > 0 {
		return rewarded
	}
	return selected
}

// weigh gives a prompt's examples of one mode their shares by the rewards of their rows.
func weigh(examples []*example, rewards []float64, temperature float64) {
	if len(examples) < 2 {
		return
	}
	for i, w := range advantage.RewardWeights(rewards, temperature) {
		examples[i].share = w
		examples[i].weight *= w
	}
}
