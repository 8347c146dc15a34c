package export

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// Options of Write.
type Options struct {
	// Format is Preference, SFT or FuseSFT.
	Format string
	// Output is a local file, .jsonl or .parquet; it appears when it is whole, and replaces an older one.
	Output string
	// MinMargin drops pairs whose scores differ less; at least 0, so that the better one is never scored lower.
	MinMargin float64
	// Temperature of FuseSFT's weights, positive.
	Temperature float64
}

// Validate names the first option that cannot be.
func (o Options) Validate() error {
	ext := filepath.Ext(o.Output)
	switch {
	case o.Format != Preference && o.Format != SFT && o.Format != FuseSFT:
		return fmt.Errorf("flag --format: %q; want %s, %s or %s", o.Format, Preference, SFT, FuseSFT)
	case ext != ".jsonl" && ext != ".parquet" || strings.Contains(o.Output, "://"):
		return fmt.Errorf("flag --output: %q; want a local file that ends in .jsonl or .parquet", o.Output)
	case !(o.MinMargin >= 0) || math.IsInf(o.MinMargin, 1):
		return fmt.Errorf("flag --min-margin: %g; want a number, 0 or more", o.MinMargin)
	case !(o.Temperature > 0) || math.IsInf(o.Temperature, 1):
		return fmt.Errorf("flag --temperature: %g; want a positive number", o.Temperature)
	}
	return nil
}

// Result counts what Write wrote, and the prompts without a row by reason.
type Result struct {
	Rows    int
	Without map[string]int
}

// String says it in one line.
func (r Result) String() string {
	text := fmt.Sprintf("%d rows", r.Rows)
	for _, reason := range slices.Sorted(maps.Keys(r.Without)) {
		text += fmt.Sprintf("; %d prompts without (%s)", r.Without[reason], reason)
	}
	return text
}

// Write exports a run: the prompts that inference mode has a winner for, in their order.
func Write(ctx context.Context, c *config.Config, store dataset.Store, o Options) (result Result, err error) {
	if err := o.Validate(); err != nil {
		return result, err
	}
	in, err := open(ctx, c, store)
	if err != nil {
		return result, err
	}
	if err := os.MkdirAll(filepath.Dir(o.Output), 0o777); err != nil {
		return result, fmt.Errorf("writing %s: %w", o.Output, err)
	}
	file, err := os.CreateTemp(filepath.Dir(o.Output), "."+filepath.Base(o.Output)+".*")
	if err != nil {
		return result, fmt.Errorf("writing %s: %w", o.Output, err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // gone already if all went well
	if o.Format == Preference {
		result, err = rows(ctx, in, file, o, func(p prompt) ([]Pair, string, error) {
			row, reason, err := p.pair(in.stats, o.MinMargin)
			if row == nil {
				return nil, reason, err
			}
			return []Pair{*row}, "", nil
		})
	} else {
		result, err = rows(ctx, in, file, o, func(p prompt) ([]Conversation, string, error) {
			rows, reason := p.conversations(o.Format, o.Temperature)
			return rows, reason, nil
		})
	}
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close(), ctx.Err()); err == nil {
		err = errors.Join(os.Chmod(file.Name(), 0o644), os.Rename(file.Name(), o.Output))
	}
	if err != nil {
		return result, fmt.Errorf("writing %s: %w", o.Output, err)
	}
	return result, nil
}

// rows writes what make gives for each prompt.
func rows[T any](ctx context.Context, in *inputs, file io.Writer, o Options, make func(p prompt) ([]T, string, error)) (result Result, err error) {
	result.Without = map[string]int{}
	w := writer[T](file, filepath.Ext(o.Output))
	for part := range in.parts {
		prompts, err := in.part(ctx, part)
		if err != nil {
			return result, err
		}
		var all []T
		for _, p := range prompts {
			some, reason, err := make(p)
			if err != nil {
				return result, err
			}
			if len(some) == 0 {
				result.Without[reason]++
			}
			all = append(all, some...)
		}
		result.Rows += len(all)
		if err := w.Write(all); err != nil {
			return result, err
		}
	}
	return result, w.Close()
}

// rowWriter takes rows a part at a time.
type rowWriter[T any] interface {
	Write(rows []T) error
	Close() error
}

func writer[T any](file io.Writer, ext string) rowWriter[T] {
	if ext == ".parquet" {
		return dataset.NewRowWriter[T](file)
	}
	return &lines[T]{bufio.NewWriter(file)}
}

// lines writes JSON lines.
type lines[T any] struct{ *bufio.Writer }

func (l *lines[T]) Write(rows []T) error {
	encoder := json.NewEncoder(l.Writer)
	encoder.SetEscapeHTML(false)
	for _, r := range rows {
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *lines[T]) Close() error { return l.Flush() }

// inputs are the datasets of a run.
type inputs struct {
	config      *config.Config
	parts       int
	prompts     *dataset.Dataset
	selections  *dataset.Dataset
	generations []*dataset.Dataset // by competitor
	rewards     []*dataset.Dataset // by reward model
	stats       []*advantage.Stats
}

// open opens everything that an export reads.
func open(ctx context.Context, c *config.Config, store dataset.Store) (*inputs, error) {
	in := &inputs{config: c}
	var err error
	get := func(name string) *dataset.Dataset {
		if err != nil {
			return nil
		}
		var d *dataset.Dataset
		if d, err = dataset.Open(ctx, store, name); err != nil {
			err = fmt.Errorf("%w; profuser run makes it", err)
		} else if in.parts == 0 {
			in.parts = d.Parts()
		} else if d.Parts() != in.parts {
			err = fmt.Errorf("%s has %d parts, prompts has %d: make it again from these prompts", name, d.Parts(), in.parts)
		}
		return d
	}
	in.prompts, in.selections = get("prompts"), get("selections")
	for _, name := range c.Competitors() {
		in.generations = append(in.generations, get("generations/"+name))
	}
	for _, name := range c.Reward.Models {
		in.rewards = append(in.rewards, get("rewards/"+name))
	}
	if err != nil {
		return nil, err
	}
	const key = "rewards/_STATS.json"
	data, err := store.Read(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("reading the statistics of scores: %w", err)
	}
	var s advantage.Statistics
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	if in.stats = s.Scores; len(in.stats) != len(c.Reward.Models) {
		return nil, fmt.Errorf("%s is of %d reward models, the configuration has %d", key, len(in.stats), len(c.Reward.Models))
	}
	return in, nil
}

// part reads the prompts of a part that inference mode has a winner for, with the candidates' responses.
func (in *inputs) part(ctx context.Context, n int) ([]prompt, error) {
	prompts, _, err := dataset.Rows[schemas.Prompt](ctx, in.prompts, n)
	if err != nil {
		return nil, err
	}
	selections, _, err := dataset.Rows[schemas.Selection](ctx, in.selections, n)
	if err != nil {
		return nil, err
	}
	responses := map[schemas.ResponseKey]*advantage.Response{}
	for _, d := range in.generations {
		rows, _, err := dataset.Rows[schemas.Generation](ctx, d, n)
		if err != nil {
			return nil, err
		}
		for _, g := range rows {
			r := &advantage.Response{Source: g.Source, Sample: g.Sample, Text: g.Text, Finish: g.FinishReason}
			for range in.rewards {
				r.Scores = append(r.Scores, math.NaN())
			}
			responses[g.Key()] = r
		}
	}
	for m, d := range in.rewards {
		rows, _, err := dataset.Rows[schemas.Reward](ctx, d, n)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if r := responses[row.Key()]; r != nil {
				r.Scores[m] = row.Score
			}
		}
	}
	byID := map[string]*schemas.Prompt{}
	for i := range prompts {
		byID[prompts[i].ID] = &prompts[i]
	}
	var out []prompt
	for _, s := range selections {
		if s.Mode != schemas.ModeInference || byID[s.ID] == nil {
			continue
		}
		p := prompt{Prompt: byID[s.ID], winner: s.Key()}
		for _, c := range s.Candidates {
			r := responses[c.Key(s.ID)]
			if r == nil {
				return nil, fmt.Errorf("prompt %s: selections name sample %d of %s, which generations/%s has not: fuse again", s.ID, c.Sample, c.Source, c.Source)
			}
			p.candidates = append(p.candidates, *r)
		}
		out = append(out, p)
	}
	return out, nil
}
