package browser

import (
	"math"
	"strings"

	"github.com/profuser/profuser/internal/report/tokens"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// entriesShown is how many entries of a position are in the page.
const entriesShown = 5

// strip is the aligned tokens of one text, as lists over its n positions; entries are flat, the first entriesShown of each
// position. Tokens are places in the chunk's vocabulary, probabilities in thousandths.
type strip struct {
	Tokens []int  `json:"tokens"` // [n]
	Status string `json:"status"` // [n], a digit each: schemas.Status
	Own    []int  `json:"own"`    // [n], of the text's own token; -1 where it is not among all entries
	Counts []int  `json:"counts"` // [n], of all entries
	IDs    []int  `json:"ids"`
	Shares []int  `json:"shares"`
}

// vocabulary numbers the tokens of a chunk.
type vocabulary struct {
	tokenizer *tokenizer.Tokenizer
	place     map[int32]int
	texts     []string
}

// at is a token's place.
func (v *vocabulary) at(id int32) int {
	place, ok := v.place[id]
	if !ok {
		place = len(v.texts)
		v.place[id] = place
		v.texts = append(v.texts, tokens.Visible(v.tokenizer, id, 0))
	}
	return place
}

// newStrip packs an example, which is valid.
func newStrip(v *vocabulary, x schemas.FusionExample) strip {
	s := strip{Own: make([]int, len(x.TextIDs))}
	var status strings.Builder
	first := 0
	for i, id := range x.TextIDs {
		n := int(x.Counts[i])
		s.Tokens, s.Counts = append(s.Tokens, v.at(id)), append(s.Counts, n)
		status.WriteByte('0' + byte(x.Status[i]))
		s.Own[i] = -1
		for k := first; k < first+n; k++ {
			share := int(math.Round(1000 * math.Exp(float64(x.LogProbs[k]))))
			if x.IDs[k] == id {
				s.Own[i] = share
			}
			if k < first+entriesShown {
				s.IDs, s.Shares = append(s.IDs, v.at(x.IDs[k])), append(s.Shares, share)
			}
		}
		first += n
	}
	s.Status = status.String()
	return s
}
