package browser

import (
	"context"
	"errors"
	"io/fs"
	"slices"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// datasets are those of a run that the browser reads; nil where a step has not finished.
type datasets struct {
	prompts, selections   *dataset.Dataset
	generations, readings map[string]*dataset.Dataset // competitor
	rewards               map[string]*dataset.Dataset // reward model
	fusion                map[string]*dataset.Dataset // mode
}

// open opens what is committed.
func open(ctx context.Context, c *config.Config, store dataset.Store) (*datasets, error) {
	d := &datasets{
		generations: map[string]*dataset.Dataset{}, readings: map[string]*dataset.Dataset{},
		rewards: map[string]*dataset.Dataset{}, fusion: map[string]*dataset.Dataset{},
	}
	var faults []error
	take := func(name string) *dataset.Dataset {
		keys, err := store.List(ctx, name+"/_MANIFEST")
		if errors.Is(err, fs.ErrNotExist) || err == nil && len(keys) == 0 {
			return nil
		}
		var set *dataset.Dataset
		if err == nil {
			set, err = dataset.Open(ctx, store, name)
		}
		faults = append(faults, err)
		return set
	}
	d.prompts, d.selections = take("prompts"), take("selections")
	for _, name := range c.Competitors() {
		d.generations[name], d.readings[name] = take("generations/"+name), take("crossentropy/"+name)
	}
	for _, name := range c.Reward.Models {
		d.rewards[name] = take("rewards/" + name)
	}
	for _, mode := range schemas.Modes {
		d.fusion[mode] = take("fusion/" + mode)
	}
	return d, errors.Join(faults...)
}

// rows reads columns of part k; none of a dataset that is absent or has no such part yet.
func rows[T any](ctx context.Context, d *dataset.Dataset, k int, columns ...string) ([]T, error) {
	if d == nil || k >= d.Parts() {
		return nil, nil
	}
	return dataset.Columns[T](ctx, d, k, columns...)
}

// part is what is known of the prompts of one part.
type part struct {
	prompts     []schemas.Prompt
	generations map[string][]schemas.Generation             // prompt id; by competitor, then sample
	nats        map[string]map[string]float64               // competitor, prompt id: per byte of the reference
	scores      map[string]map[schemas.ResponseKey]float64  // reward model
	selections  map[string]map[string]schemas.Selection     // mode, prompt id
	examples    map[string]map[string]schemas.FusionExample // mode, prompt id: the winner's, where tokens are wanted
}

// read reads part k; tokens says of which prompts the aligned tokens are wanted.
func (d *datasets) read(ctx context.Context, c *config.Config, k int, tokens func(id string) bool) (*part, error) {
	p := &part{
		generations: map[string][]schemas.Generation{}, nats: map[string]map[string]float64{}, scores: map[string]map[schemas.ResponseKey]float64{},
		selections: map[string]map[string]schemas.Selection{}, examples: map[string]map[string]schemas.FusionExample{},
	}
	var err error
	if p.prompts, err = rows[schemas.Prompt](ctx, d.prompts, k); err != nil {
		return nil, err
	}
	for _, name := range c.Competitors() {
		answers, err := rows[schemas.Generation](ctx, d.generations[name], k, "id", "source", "sample", "text", "finish_reason")
		if err != nil {
			return nil, err
		}
		for _, g := range answers {
			p.generations[g.ID] = append(p.generations[g.ID], g)
		}
		readings, err := rows[schemas.TeacherForcing](ctx, d.readings[name], k, "id", "nats_per_byte")
		if err != nil {
			return nil, err
		}
		p.nats[name] = map[string]float64{}
		for _, r := range readings {
			p.nats[name][r.ID] = r.NatsPerByte
		}
	}
	for _, name := range c.Reward.Models {
		scores, err := rows[schemas.Reward](ctx, d.rewards[name], k)
		if err != nil {
			return nil, err
		}
		p.scores[name] = map[schemas.ResponseKey]float64{}
		for _, s := range scores {
			p.scores[name][s.Key()] = s.Score
		}
	}
	return p, d.readWinners(ctx, p, k, tokens)
}

// readWinners reads the selections of a part, and the examples of those prompts whose tokens are wanted.
func (d *datasets) readWinners(ctx context.Context, p *part, k int, tokens func(id string) bool) error {
	for _, mode := range schemas.Modes {
		p.selections[mode], p.examples[mode] = map[string]schemas.Selection{}, map[string]schemas.FusionExample{}
	}
	selections, err := rows[schemas.Selection](ctx, d.selections, k)
	if err != nil {
		return err
	}
	for _, s := range selections {
		p.selections[s.Mode][s.ID] = s
	}
	if !slices.ContainsFunc(p.prompts, func(x schemas.Prompt) bool { return tokens(x.ID) }) {
		return nil
	}
	for _, mode := range schemas.Modes {
		examples, err := rows[schemas.FusionExample](ctx, d.fusion[mode], k, "id", "source", "sample", "selected", "text_ids", "counts", "ids", "logprobs", "status")
		if err != nil {
			return err
		}
		for _, x := range examples {
			if x.Selected && tokens(x.ID) {
				p.examples[mode][x.ID] = x
			}
		}
	}
	return nil
}

// ids are those of all prompts, sorted.
func (d *datasets) ids(ctx context.Context) ([]string, error) {
	var ids []string
	for k := 0; d.prompts != nil && k < d.prompts.Parts(); k++ {
		prompts, err := rows[schemas.Prompt](ctx, d.prompts, k, "id")
		if err != nil {
			return nil, err
		}
		for _, p := range prompts {
			ids = append(ids, p.ID)
		}
	}
	slices.Sort(ids)
	return ids, nil
}

// among says which ids are the n smallest of all, which are sorted.
func among(all []string, n int) func(id string) bool {
	if n <= 0 || len(all) == 0 {
		return func(string) bool { return false }
	}
	last := all[min(n, len(all))-1]
	return func(id string) bool { return id <= last }
}
