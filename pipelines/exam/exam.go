package exam

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/pipelines/wanted"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/examine"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
)

// Names of the datasets below Options.Out.
const (
	requestsName = "requests"
	scoresName   = "scores"
)

// Run asks the model about every item whose part is not there yet, writes the results and prints the table. Options must
// have passed Check. The same call goes on where an earlier one was stopped.
func Run(ctx context.Context, o Options, out io.Writer) (err error) {
	items, err := Requests(o)
	if err != nil {
		return err
	}
	model, err := o.model(ctx)
	if err != nil {
		return err
	}
	store, err := dataset.OpenStore(ctx, o.Out)
	if err != nil {
		return err
	}
	h, err := o.header(items, model)
	if err != nil {
		return err
	}
	parts, err := writeRequests(ctx, store, items, h)
	if err != nil {
		return err
	}
	if err := o.score(ctx, store, model, h, parts, int64(len(items)), out); err != nil {
		return err
	}
	scores, err := dataset.All[schemas.BenchmarkScore](ctx, store, scoresName)
	if err != nil {
		return err
	}
	return o.write(ctx, store, model, scores, items, out)
}

// header is that of both datasets; its digest is of everything that the scores depend on.
func (o Options) header(items []schemas.BenchmarkItem, m inflight.Model) (h dataset.Header, err error) {
	files, err := wanted.DigestModel(m.Dir)
	if err != nil {
		return h, fmt.Errorf("model %s: %w", m.Name, err)
	}
	h.SourceModel = m.Name
	h.ConfigDigest, err = digest(items, m.Name, files, m.Backend, fmt.Sprint(m.Endpoint.URLs != ""), fmt.Sprint(o.MaxNewTokens))
	return h, err
}

// begin begins a dataset, or goes on with one of the same header.
func begin(ctx context.Context, store dataset.Store, name string, h dataset.Header) error {
	found, err := dataset.Look(ctx, store, name)
	if err != nil {
		return err
	}
	if found.Newest != nil {
		if field, there, here := found.Newest.Differs(h); field != "" {
			return fmt.Errorf("%s in %s is of another evaluation (its %s is %q, this one's %q; it counts the items, the examples, the model and the options): choose another --out, or remove that folder",
				name, store.URL(), field, there, here)
		}
	}
	return dataset.Begin(ctx, store, name, h)
}

// score runs the job over the parts that are missing, and commits.
func (o Options) score(ctx context.Context, store dataset.Store, m inflight.Model, h dataset.Header, parts int, rows int64, out io.Writer) (err error) {
	h.Schema = schemas.BenchmarkScoreSchema
	if err := begin(ctx, store, scoresName, h); err != nil {
		return err
	}
	found, err := dataset.Look(ctx, store, scoresName)
	if err != nil {
		return err
	}
	var missing []int
	for k := range parts {
		if !found.Has(k, 1) {
			missing = append(missing, k)
		}
	}
	commit := dataset.CommitOptions{Parts: parts, MaxRejects: o.MaxRejects}
	if len(missing) > 0 {
		label := o.Task + " " + m.Name
		board := progress.NewBoard([]string{label}, nil)
		display := progress.Show(ctx, board, out)
		before := parts - len(missing)
		board.Begin(label, progress.Work{Parts: int64(parts), PartsBefore: int64(before), Rows: rows, RowsBefore: min(rows, int64(before*partItems))})
		err := o.job(ctx, store.URL(), m, h, missing, board, label)
		board.Stop()
		display.Close()
		if ctx.Err() != nil {
			return errors.New("evaluate: cancelled; the same command goes on from here")
		}
		if err != nil {
			return err
		}
	}
	_, err = dataset.Commit(ctx, store, scoresName, commit)
	return err
}

// job runs the step over parts.
func (o Options) job(ctx context.Context, url string, m inflight.Model, h dataset.Header, parts []int, board *progress.Board, label string) (err error) {
	UseModels()
	defer func() { err = errors.Join(err, examine.Models.Close()) }()
	r, err := runner.Open(ctx, runner.Options{})
	if err != nil {
		return err
	}
	step := examine.Step{Model: m, Task: o.Task, Requests: requestsName, Output: scoresName, Footer: dataset.Footer{ConfigDigest: h.ConfigDigest, SourceModel: h.SourceModel}, MaxNewTokens: o.MaxNewTokens}
	return r.Run(ctx, runner.Job{
		Name: label, Progress: func(metrics runner.Metrics) { board.Observe(label, pipelines.SampleOf(metrics)) },
		Build: func(s beam.Scope) {
			examine.Examine(s, step, url, inflight.OpenParts(m.Concurrency, partItems), sink.Numbers(s, parts, 1))
		},
	})
}
