package trial

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// readAnswers takes the marks of a model's free answers from a run's evaluation.
func (out *Result) readAnswers(ctx context.Context, dir, model string) error {
	store, err := dataset.OpenStore(ctx, dir)
	if err != nil {
		return err
	}
	answers, err := dataset.All[schemas.Evaluation](ctx, store, "evaluation/"+model)
	if err != nil {
		return err
	}
	if len(answers) == 0 {
		return errors.New("the evaluation has no rows")
	}
	right, n := map[string]int{}, map[string]int{}
	nats, size, chars := 0.0, 0, 0
	for _, a := range answers {
		n[a.Skill]++
		if a.Correct {
			right[a.Skill]++
		}
		nats, size, chars = nats+a.Nats, size+int(a.Bytes), chars+utf8.RuneCountInString(a.Text)
	}
	out.Free = map[string]float64{}
	for skill, of := range n {
		out.Free[skill] = float64(right[skill]) / float64(of)
	}
	out.NatsPerByte, out.Chars = nats/float64(max(size, 1)), float64(chars)/float64(len(answers))
	return nil
}

// Results are all results that are there by "section/row": the k-th is the k-th seed's, nil where it is missing; rows
// without training have one.
func (l *Lab) Results() (map[string][]*Result, error) {
	all := map[string][]*Result{}
	for _, r := range l.rows() {
		var result *Result
		data, err := os.ReadFile(l.resultFile(r))
		if err == nil {
			if err = json.Unmarshal(data, &result); err == nil {
				err = l.readScores(r, result)
			}
		} else if errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", l.resultFile(r), err)
		}
		all[r.section+"/"+r.Name] = append(all[r.section+"/"+r.Name], result)
	}
	return all, nil
}
