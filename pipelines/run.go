package pipelines

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines/costs"
	"github.com/profuser/profuser/pipelines/progress"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/schemas"
)

// Names of datasets.
const (
	promptsName    = "prompts"
	selectionsName = "selections"
	itemsName      = "evaluation/items"
	// fusedName is the trained model in evaluations; its directory is out/model.
	fusedName = "fused"
	// verdictsName holds the comparisons of method judge.
	verdictsName = "verdicts"
)

func generationsName(model string) string  { return "generations/" + model }
func crossEntropyName(model string) string { return "crossentropy/" + model }
func rewardsName(model string) string      { return "rewards/" + model }
func evaluationName(model string) string   { return "evaluation/" + model }
func fusionName(mode string) string        { return "fusion/" + mode }

// Run is one invocation: a configuration, the store under its out, and where progress is told.
type Run struct {
	config *config.Config
	store  dataset.Store
	runner *runner.Runner
	out    io.Writer
	// checked holds what the preconditions found out about each model.
	checked map[string]checkedModel
	refresh bool // see RefreshStatistics

	metricsAddr string // see ServeMetrics
	board       *progress.Board
	display     *progress.Display // while Do works
}

// Steps lists the steps that `profuser run` makes, in order.
var Steps = []string{"ingest", "generate", "reward", "crossentropy", "crossentropy-responses", "judge", "fuse", "evaluate"}

// New opens the store and the runner and checks every precondition: models, tokenizers, templates and files. Nothing is
// written.
func New(ctx context.Context, c *config.Config, out io.Writer) (*Run, error) {
	if err := checkPlaces(c); err != nil {
		return nil, err
	}
	jobs, err := runner.Open(ctx, runnerOptions(c))
	if err != nil {
		return nil, err
	}
	store, err := dataset.OpenStore(ctx, c.Out)
	if err != nil {
		return nil, err
	}
	r := &Run{config: c, store: store, runner: jobs, out: out, checked: map[string]checkedModel{}}
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	UseEngines()
	return r, nil
}

// Store is the run's store.
func (r *Run) Store() dataset.Store { return r.store }

// Do makes the named steps in their order.
func (r *Run) Do(ctx context.Context, steps ...string) (err error) {
	hide, err := r.show(ctx, steps)
	if err != nil {
		return err
	}
	defer closing(&err, hide)
	known := map[string]func(context.Context) error{
		"ingest": r.ingest, "generate": r.generate, "reward": r.reward, "crossentropy": r.crossEntropy,
		"crossentropy-responses": r.crossEntropyResponses, "judge": r.judge, "fuse": r.fuse, "evaluate": r.evaluate,
	}
	for _, name := range steps {
		if known[name] == nil {
			return fmt.Errorf("there is no step %q", name)
		}
	}
	if err := r.probe(ctx); err != nil {
		return err
	}
	for _, name := range steps {
		if err := r.repeated(ctx, name, known[name]); err != nil {
			var dry *runner.DryRun
			if errors.As(err, &dry) {
				r.say("%s%s\n%-24s %v", dry.Graph, dry.Job, name, dry)
				return nil
			}
			if ctx.Err() != nil {
				return fmt.Errorf("%s: cancelled; the same command goes on from here", name)
			}
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// Say prints one line about a dataset.
func (r *Run) Say(format string, args ...any) { r.say(format, args...) }

// competitors are the target and the sources, in configured order.
func (r *Run) competitors() []string { return r.config.Competitors() }

// missing lists the part numbers below n that some dataset lacks.
func (r *Run) missing(ctx context.Context, names []string, n int) ([]int, error) {
	lacking := map[int]bool{}
	for _, name := range names {
		there, err := dataset.FinishedParts(ctx, r.store, name)
		if err != nil {
			return nil, err
		}
		for k := range n {
			if !there[k] {
				lacking[k] = true
			}
		}
	}
	var out []int
	for k := range n {
		if lacking[k] {
			out = append(out, k)
		}
	}
	return out, nil
}

// finished says whether all datasets are committed with the digests of their headers; a dataset with another digest is
// an error here, before any work.
func (r *Run) finished(ctx context.Context, outputs []output, parts int) (bool, error) {
	all := true
	for _, o := range outputs {
		if err := dataset.Begin(ctx, r.store, o.name, o.header); err != nil {
			return false, err
		}
		d, err := dataset.Open(ctx, r.store, o.name)
		if err != nil || d.Parts() != parts {
			all = false
		}
	}
	return all, nil
}

// output is a dataset that a step writes.
type output struct {
	name   string
	header dataset.Header
}

// cost keeps what a step cost, beside local results only.
func (r *Run) cost(c *costs.Recording, rows int64) error {
	folder, ok := r.localPath("steps")
	if !ok {
		return nil
	}
	return c.End(folder, int(rows))
}

// commit writes the manifests, and tells rows and rejects.
func (r *Run) commit(ctx context.Context, label string, outputs []output, parts int, maxRejects float64) error {
	for _, o := range outputs {
		m, err := dataset.Commit(ctx, r.store, o.name, dataset.CommitOptions{Parts: parts, MaxRejects: maxRejects})
		if err != nil {
			return err
		}
		r.say("%-24s %6d rows in %d parts%s  %s", label, m.Rows, len(m.Parts), rejectsText(m), o.name)
		label = ""
	}
	return nil
}

// modes of fusion datasets.
var modes = []string{schemas.ModeInference, schemas.ModeTraining}
