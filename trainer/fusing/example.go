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

var modeNames = [modes]string{schemas.ModeInference, schemas.ModeTraining}

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

// newExample takes a row over, with weights of positions by status. A text that makes the whole longer than maxLength is cut
// on the right; ok is false when that leaves fewer than leastText tokens of it.
func newExample(row *schemas.FusionExample, m mode, maxLength int, weights StatusWeights) (e *example, ok bool) {
	e = &example{mode: m, weight: row.Weight, share: 1}
	e.Prompt = len(row.PromptIDs)
	n := len(row.TextIDs)
	if e.Prompt+n > maxLength {
		n = maxLength - e.Prompt
		if n < leastText {
			return nil, false
		}
	}
	if n == 0 || e.Prompt == 0 {
		return nil, false
	}
	e.IDs = append(append(make([]int32, 0, e.Prompt+n), row.PromptIDs...), row.TextIDs[:n]...)
	e.starts = make([]int32, n+1)
	e.rest = make([]float32, n)
	e.weights = make([]float32, n)
	at := 0
	for i := range n {
		count := int(row.Counts[i])
		entries := make([]float64, count)
		for j := range entries {
			entries[j] = math.Exp(float64(row.LogProbs[at+j]))
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
	for column, ids := range map[string][]int32{"prompt_ids": row.PromptIDs, "text_ids": row.TextIDs, "ids": row.IDs} {
		for i, id := range ids {
			if int(id) >= vocabulary {
				return fmt.Errorf("%s[%d] of %s is %d, the model's vocabulary has %d: fuse again for this target", column, i, row.ID, id, vocabulary)
			}
		}
	}
	return nil
}

// heldOut chooses prompts by a hash of their id: the same ones in every run, whatever else the dataset holds.
func heldOut(id string, share float64) bool {
	sum := sha256.Sum256([]byte("holdout\x1f" + id))
	return float64(binary.BigEndian.Uint64(sum[:])>>11)/(1<<53) < share
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
