package examine

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

func init() { sink.Register[Step]() }

// CodeTooLong is the reject of an item whose answer does not fit the model's context.
const CodeTooLong = "too_long"

// Step lets one model answer every request.
type Step struct {
	// Model is who answers.
	Model inflight.Model
	// Task is the benchmark's name.
	Task string
	// Requests and Output are names of datasets.
	Requests, Output string
	// Footer is what every part says of itself.
	Footer dataset.Footer
	// MaxNewTokens is the longest text that the model writes, in tokens, 1 or more.
	MaxNewTokens int
}

// Examine answers the requests of each part: PCollection<sink.Part> -> PCollection<sink.Done>. url is the store's address,
// open the cap on parts held in memory.
func Examine(s beam.Scope, step Step, url string, open int, parts beam.PCollection) beam.PCollection {
	s = s.Scope("examine.Examine")
	return sink.Write(s, step, url, open, parts)
}

// Name implements sink.Step.
func (Step) Name() string { return "examine" }

// Datasets implements sink.Step.
func (s Step) Datasets() []string { return []string{s.Output} }

// Make implements sink.Step.
func (s Step) Make(ctx context.Context, in *sink.Inputs, part int, counts *tally.Tally) ([][]byte, error) {
	items, input, err := sink.Read[schemas.BenchmarkItem](ctx, in, s.Requests, part)
	if err != nil {
		return nil, err
	}
	task, err := harness.Named(s.Task)
	if err != nil {
		return nil, err
	}
	model, err := Models.Get(ctx, s.Model)
	if err != nil {
		return nil, err
	}
	rows, rejects := make([]*schemas.BenchmarkScore, len(items)), make([]*schemas.Rejected, len(items))
	feed, calls := s.Model.Calls()
	err = inflight.Rows(ctx, feed, calls, len(items), func(ctx context.Context, i int) error {
		row, err := s.answer(ctx, task, model, items[i], counts)
		id := fmt.Sprint(s.Task, " ", items[i].DocID)
		switch rejects[i] = sink.Failed(s.Name(), "", s.Model.Name, err); {
		case errors.Is(err, errTooLong):
			rejects[i] = sink.Reject(s.Name(), "", s.Model.Name, CodeTooLong, "item %s: %v", id, err)
		case rejects[i] != nil:
			rejects[i].Message = schemas.ShortMessage("item " + id + ": " + rejects[i].Message)
		case err != nil:
			return fmt.Errorf("item %s, model %s: %w", id, s.Model.Name, err)
		default:
			rows[i] = row
		}
		counts.Row(rejects[i])
		return nil
	})
	if err != nil {
		return nil, err
	}
	return sink.Encode(s.Footer, part, []dataset.Input{input}, rows, rejects)
}

// answer asks the model about one item and marks what it gives.
func (s Step) answer(ctx context.Context, task harness.Task, model Model, item schemas.BenchmarkItem, counts *tally.Tally) (*schemas.BenchmarkScore, error) {
	row := &schemas.BenchmarkScore{BenchmarkItem: item}
	d := harness.Document{Answers: item.Answers, Gold: int(item.Gold), True: item.Right}
	if len(item.Right) == 0 {
		d.True = nil
	}
	var verdict harness.Verdict
	var err error
	if task.Generates {
		row.Text, err = s.write(ctx, model, item.Contexts[0], counts)
		verdict = task.Written(d, row.Text)
	} else if row.LogLikelihoods, err = s.score(ctx, model, item, counts); err == nil {
		verdict, err = task.Chosen(d, row.LogLikelihoods)
	}
	for _, name := range task.Metrics {
		row.Metrics = append(row.Metrics, schemas.Metric{Name: name, Value: verdict[name]})
	}
	return row, err
}

// write lets the model write an answer. A context that leaves no room for the longest one is cut on the left.
func (s Step) write(ctx context.Context, model Model, text string, counts *tally.Tally) (string, error) {
	t := model.Tokenizer()
	ids := encode(t, text)
	room := model.Context() - s.MaxNewTokens
	if room < 1 {
		return "", fmt.Errorf("answers of %d tokens leave no room in the context of %d: give a smaller --max-new-tokens", s.MaxNewTokens, model.Context())
	}
	ids = ids[max(0, len(ids)-room):]
	stops := slices.Clone(harness.Stops)
	for _, id := range model.StopIDs() {
		if token := t.Token(id); !slices.Contains(stops, token) {
			stops = append(stops, token)
		}
	}
	end := counts.Call()
	written, err := model.Write(ctx, ids, s.MaxNewTokens, harness.Stops)
	end(len(ids), len(written))
	if err != nil {
		return "", err
	}
	return harness.CutAtStops(t.Decode(written, true), stops), nil
}

// score gives the log-likelihood of each continuation. Those after the same context tokens are asked for together.
func (s Step) score(ctx context.Context, model Model, item schemas.BenchmarkItem, counts *tally.Tally) ([]float64, error) {
	r := harness.Request{Contexts: item.Contexts, Continuations: item.Continuations}
	before, after := make([][]int32, len(r.Continuations)), make([][]int32, len(r.Continuations))
	for i := range r.Continuations {
		context, continuation := r.Pair(i)
		var err error
		if before[i], after[i], err = pair(model.Tokenizer(), context, continuation, model.Context()); err != nil {
			return nil, err
		}
	}
	sums, done := make([]float64, len(before)), make([]bool, len(before))
	for i := range before {
		if done[i] {
			continue
		}
		var places []int
		var texts [][]int32
		tokens := 0
		for k := i; k < len(before); k++ {
			if slices.Equal(before[i], before[k]) {
				done[k] = true
				places, texts, tokens = append(places, k), append(texts, after[k]), tokens+len(after[k])
			}
		}
		end := counts.Call()
		logProbs, err := model.ScoreAll(ctx, before[i], texts)
		end(len(before[i]), tokens)
		if err != nil {
			return nil, err
		}
		for n, k := range places {
			for _, p := range logProbs[n] {
				sums[k] += float64(p)
			}
		}
	}
	return sums, nil
}
