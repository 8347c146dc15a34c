package tokens

import (
	"fmt"
	"math"
	"strings"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// StatusNames are the schema's position statuses.
var StatusNames = []string{"none", "exact", "boundary", "inner", "one-hot"}

// Tick is one token on a ruler.
type Tick struct {
	// Text is the token's bytes, readable.
	Text string
	// Width is its share of the ruler in characters.
	Width int
	// Class is the status's colour class, "" for the source.
	Class string
	// Title lists the most probable entries.
	Title string
}

// Ruler is the tokens of one model over the bytes of a text.
type Ruler struct {
	// Model is whose tokens they are.
	Model string
	// Ticks are the tokens in order.
	Ticks []Tick
}

// Pair makes the two rulers of one fusion example: the source's tokens above, the target's below.
func Pair(x schemas.FusionExample, d schemas.TokenDistributions, source, target *chat.Format) []Ruler {
	encoded, starts := x.TextIDs, make([]int32, len(x.TextIDs))
	at := int32(0)
	for i, id := range encoded { // the target's starts follow from its tokens' bytes
		n := int32(len(target.Tokenizer().Bytes(id)))
		if i == 0 && len(x.Text) > 0 {
			at -= int32(leading(target, encoded, len(x.Text)))
		}
		starts[i] = at
		at += n
	}
	above := Ruler{Model: x.Source, Ticks: ticks(source, d.TokenIDs, d.StartBytes, len(x.Text), nil, d.Counts, d.IDs, d.LogProbs)}
	below := Ruler{Model: "target", Ticks: ticks(target, encoded, starts, len(x.Text), x.Status, x.Counts, x.IDs, x.LogProbs)}
	return []Ruler{above, below}
}

// leading is how many bytes more the tokens have than the text: a dummy prefix.
func leading(f *chat.Format, ids []int32, size int) int {
	n := 0
	for _, id := range ids {
		n += len(f.Tokenizer().Bytes(id))
	}
	return max(0, n-size)
}

// ticks draws tokens by their bytes of the text.
func ticks(f *chat.Format, ids, starts []int32, size int, status, counts, entries []int32, logprobs []float32) []Tick {
	var out []Tick
	first := 0
	for i, id := range ids {
		start, end := max(0, int(starts[i])), size
		if i+1 < len(starts) {
			end = max(start, min(size, int(starts[i+1])))
		}
		t := Tick{Text: Visible(f.Tokenizer(), id, max(0, -int(starts[i]))), Width: max(1, end-start)}
		if f.Tokenizer().Special(id) {
			t.Width = max(t.Width, len(t.Text))
		}
		if status != nil {
			t.Class = "s" + fmt.Sprint(status[i])
		}
		n := int(counts[i])
		t.Title = entriesText(f, entries[first:first+n], logprobs[first:first+n])
		if status != nil {
			t.Title = StatusNames[status[i]] + "\n" + t.Title
		}
		first += n
		out = append(out, t)
	}
	return out
}

// entriesText lists the five most probable entries.
func entriesText(f *chat.Format, ids []int32, logprobs []float32) string {
	var b strings.Builder
	for k := range ids[:min(5, len(ids))] {
		fmt.Fprintf(&b, "%.3f %s\n", math.Exp(float64(logprobs[k])), Visible(f.Tokenizer(), ids[k], 0))
	}
	if len(ids) > 5 {
		fmt.Fprintf(&b, "and %d more", len(ids)-5)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Visible is a token as text from its byte skip on (what lies before belongs to the template), white space shown.
func Visible(t *tokenizer.Tokenizer, id int32, skip int) string {
	b := t.Bytes(id)
	if skip < len(b) {
		b = b[skip:]
	}
	if len(b) == 0 {
		return t.Token(id)
	}
	return strings.NewReplacer(" ", "␣", "\n", "⏎", "\t", "⇥", "\r", "␍").Replace(strings.ToValidUTF8(string(b), "�"))
}
