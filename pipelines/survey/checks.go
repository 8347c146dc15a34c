package survey

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/pipelines/plan"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/transforms/source"
)

// checkTime is how long one check may take.
const checkTime = 30 * time.Second

// Checks looks at every precondition of a run: input files, models and their servers, places to write. offline leaves out
// what is not on this machine.
func Checks(ctx context.Context, c *config.Config, offline bool) []plan.Check {
	type check struct {
		name   string
		remote bool
		look   func(context.Context) error
	}
	var all []check
	for _, file := range slices.Concat(c.Prompts.Files, c.Evaluate.Files) {
		all = append(all, check{"input file " + file, !IsLocal(file), func(ctx context.Context) error { return source.CheckInput(ctx, file) }})
	}
	for _, name := range slices.Concat(c.Competitors(), c.Reward.Models) {
		m, _ := c.Model(name)
		text := "model " + name + " in " + m.Path
		if m.Endpoint != nil {
			text = fmt.Sprintf("model %s at %s: answers, and is its tokenizer's", name, strings.Join(m.Endpoint.URLs, " "))
		}
		all = append(all, check{text, m.Endpoint != nil, func(ctx context.Context) error { return pipelines.CheckModel(ctx, impatient(c), name) }})
	}
	if in := c.Advantage.Inference; in.Method == advantage.Judge {
		m, _ := c.Model(in.Judge)
		all = append(all, check{"judge " + in.Judge, m.Endpoint != nil, func(ctx context.Context) error { return pipelines.CheckJudge(ctx, impatient(c)) }})
	}
	all = append(all, check{"runner " + c.Runner.Name, c.Runner.Name != runner.Prism && c.Runner.Name != runner.Direct, func(ctx context.Context) error {
		return pipelines.CheckRunner(ctx, c)
	}})
	places := []string{c.Out}
	for _, m := range c.Models {
		if m.Endpoint != nil && m.Endpoint.Cache != "" && !slices.Contains(places, m.Endpoint.Cache) {
			places = append(places, m.Endpoint.Cache)
		}
	}
	for _, place := range places {
		all = append(all, check{"writing to " + place, !IsLocal(place), func(ctx context.Context) error { return writable(ctx, place) }})
	}
	out := make([]plan.Check, len(all))
	var wait sync.WaitGroup
	for i, check := range all {
		out[i] = plan.Check{Name: check.name, Skipped: offline && check.remote}
		if out[i].Skipped {
			continue
		}
		wait.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, checkTime)
			defer cancel()
			if err := check.look(ctx); err != nil {
				out[i].Fault = strings.ReplaceAll(err.Error(), "\n", "; ")
			}
		})
	}
	wait.Wait()
	return out
}

// IsLocal says whether a place is a folder of this machine.
func IsLocal(place string) bool { return !strings.Contains(place, "://") }

// impatient is a configuration whose servers are asked twice at most.
func impatient(c *config.Config) *config.Config {
	copied := *c
	copied.Models = slices.Clone(c.Models)
	for i, m := range copied.Models {
		if m.Endpoint != nil {
			e := *m.Endpoint
			e.Attempts, e.MaxWait = min(e.Attempts, 2), min(e.MaxWait, time.Second)
			copied.Models[i].Endpoint = &e
		}
	}
	return &copied
}

// writable writes an object and removes it. Of folders that were not there nothing stays.
func writable(ctx context.Context, place string) error {
	if IsLocal(place) {
		for _, dir := range absent(place) {
			defer func() { _ = os.Remove(dir) }() // one that somebody else fills meanwhile is left
		}
		if made := filepath.Join(place, ".tmp"); len(absent(made)) > 0 {
			defer func() { _ = os.Remove(made) }()
		}
	}
	store, err := dataset.OpenStore(ctx, place)
	if err != nil {
		return err
	}
	key := "_PLAN-" + rand.Text()
	if err := store.Create(ctx, key, []byte("profuser plan looks whether this can be written\n")); err != nil {
		return err
	}
	return store.Remove(ctx, key)
}

// absent lists the folders that making dir would make, the outermost first.
func absent(dir string) (missing []string) {
	for dir = filepath.Clean(dir); ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			return missing
		}
		missing = append([]string{dir}, missing...)
	}
}
