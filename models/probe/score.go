package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/schemas"
)

// maxLine is the longest line that is read, in bytes.
const maxLine = 64 << 20

// Row is one line to score: ids alone, text alone, or messages with a response.
type Row struct {
	// IDs are at least one token, taken as they are.
	IDs []int32 `json:"ids"`
	// Text is tokenised without special tokens.
	Text *string `json:"text"`
	// Messages are the turns before Response, which is judged with its end-of-turn.
	Messages []schemas.Message `json:"messages"`
	// Response is the answer to Messages.
	Response *string `json:"response"`
}

// Scores are what a model thinks of n tokens. For ids and text the first token is given and the others are judged: there
// are n-1 token log-probs and, as the model also says what would follow the last, n distributions, entry t being the one
// after ids[0..t]. For a response all n tokens are judged, end-of-turn included, and entry t is the distribution before
// ids[t]. Either way entry t of TokenLogProbs was read from entry t of the distributions.
type Scores struct {
	// IDs [n] are the text's tokens; for messages the response's.
	IDs []int32 `json:"ids"`
	// TokenLogProbs [n-1], for messages [n], are the judged tokens' log-probs in nats.
	TokenLogProbs []float32 `json:"token_logprobs"`
	// TopIDs [n][k] are the most probable tokens, best first, equal ones by id.
	TopIDs [][]int32 `json:"top_ids"`
	// TopLogProbs [n][k] are their log-probs in nats.
	TopLogProbs [][]float32 `json:"top_logprobs"`
	// Logits [n][V] are the raw logits of the same distributions, if asked for.
	Logits [][]float32 `json:"logits,omitempty"`
	// Nats is minus the sum of TokenLogProbs.
	Nats float64 `json:"nats"`
	// Bytes are those of the judged tokens' text; an end-of-turn has none.
	Bytes int `json:"bytes"`
	// NatsPerByte is Nats by Bytes, nil without bytes.
	NatsPerByte *float64 `json:"nats_per_byte"`
}

// Options of scoring.
type Options struct {
	// TopK is how many of the most probable tokens are listed, 0 to the vocabulary's size.
	TopK int
	// Logits also lists the raw logits.
	Logits bool
}

// ScoreLines scores every line of in and writes a line of out for each. The first fault ends the work and names its line.
func ScoreLines(ctx context.Context, e *engine.Engine, in io.Reader, out io.Writer, o Options) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	encoder := json.NewEncoder(out)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var r Row
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("scoring line %d: %w", n, err)
		}
		s, err := Score(ctx, e, r, o)
		if err != nil {
			return fmt.Errorf("scoring line %d: %w", n, err)
		}
		if err := encoder.Encode(s); err != nil {
			return fmt.Errorf("writing the scores of line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("reading lines to score: %w", err)
	}
	return nil
}

// Score scores one row.
func Score(ctx context.Context, e *engine.Engine, r Row, o Options) (Scores, error) {
	if o.TopK < 0 || o.TopK > e.VocabSize() {
		return Scores{}, fmt.Errorf("top_k is %d: want 0 to the vocabulary's size %d", o.TopK, e.VocabSize())
	}
	prompt, ids, err := r.encode(e.Format())
	if err != nil {
		return Scores{}, err
	}
	logits, err := e.Logits(ctx, append(append([]int32{}, prompt...), ids...))
	if err != nil {
		return Scores{}, err
	}
	v := e.VocabSize()
	judged := ids
	switch n := len(prompt); {
	case n > 0: // the distribution before the first of ids, up to that before the last
		logits = logits[(n-1)*v : (n-1+len(ids))*v]
	default:
		judged = ids[1:]
	}
	s := Scores{IDs: ids, TokenLogProbs: []float32{}, TopIDs: [][]int32{}, TopLogProbs: [][]float32{}}
	for t := range len(logits) / v {
		row := logits[t*v : (t+1)*v]
		total := logSum(row)
		if math.IsNaN(total) || math.IsInf(total, 0) {
			return Scores{}, fmt.Errorf("the logits of position %d are not finite", t)
		}
		if t < len(judged) {
			p := float64(row[judged[t]]) - total
			s.TokenLogProbs = append(s.TokenLogProbs, float32(p))
			s.Nats -= p
		}
		top := best(row, o.TopK)
		logProbs := make([]float32, len(top))
		for i, id := range top {
			logProbs[i] = float32(float64(row[id]) - total)
		}
		s.TopIDs, s.TopLogProbs = append(s.TopIDs, top), append(s.TopLogProbs, logProbs)
		if o.Logits {
			s.Logits = append(s.Logits, row)
		}
	}
	if r.Response != nil {
		s.Bytes = len(*r.Response)
	} else {
		for _, id := range judged {
			s.Bytes += len(e.Format().Tokenizer().Bytes(id))
		}
	}
	if s.Bytes > 0 {
		rate := s.Nats / float64(s.Bytes)
		s.NatsPerByte = &rate
	}
	return s, nil
}

// encode gives the tokens before those that are scored, none for ids and text, and those.
func (r Row) encode(f *chat.Format) (prompt, ids []int32, err error) {
	switch {
	case r.IDs != nil && r.Text == nil && r.Messages == nil && r.Response == nil:
		ids = r.IDs
	case r.Text != nil && r.IDs == nil && r.Messages == nil && r.Response == nil:
		ids = f.Tokenizer().Encode(*r.Text)
	case r.Messages != nil && r.Response != nil && r.IDs == nil && r.Text == nil:
		c, err := f.Encode(r.Messages, *r.Response, true)
		if err == nil && len(c.PromptIDs) == 0 {
			err = errors.New("the chat template puts nothing before an answer")
		}
		return c.PromptIDs, c.TextIDs, err
	default:
		return nil, nil, errors.New(`want {"ids": […]}, {"text": …} or {"messages": …, "response": …}`)
	}
	if len(ids) == 0 {
		return nil, nil, errors.New("no tokens")
	}
	return nil, ids, nil
}

// logSum is log Σ exp of a row [V], in float64.
func logSum(row []float32) float64 {
	largest := row[0]
	for _, x := range row {
		largest = max(largest, x)
	}
	var sum float64
	for _, x := range row {
		sum += math.Exp(float64(x) - float64(largest))
	}
	return float64(largest) + math.Log(sum)
}

// best are the ids of the k largest of a row, largest first, equal ones by id.
func best(row []float32, k int) []int32 {
	top := make([]int32, 0, k+1)
	for id, x := range row {
		if len(top) == k && (k == 0 || x <= row[top[k-1]]) {
			continue
		}
		i := len(top)
		for top = append(top, 0); i > 0 && x > row[top[i-1]]; i-- {
			top[i] = top[i-1]
		}
		top[i] = int32(id)
		top = top[:min(k, len(top))]
	}
	return top
}
