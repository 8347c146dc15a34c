package imports

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/pipelines"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/imported"
)

// Responses makes the generations of a source from files of JSON lines.
func Responses(ctx context.Context, c *config.Config, r *pipelines.Run, source string, paths []string) (err error) {
	if !slices.Contains(c.Competitors(), source) {
		return fmt.Errorf("flag --source: %q; want the target or one of sources: %v", source, c.Competitors())
	}
	files, err := read(ctx, r, paths)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, crossentropy.Models.Close()) }()
	w := r.InPlaceOf("generate", source)
	if err := claim(ctx, r.Store(), w.Output, files); err != nil {
		return err
	}
	step := imported.ResponsesStep{
		Source: w.Model, Files: files, Prompts: w.Prompts, Output: w.Output, Footer: w.Footer, Samples: c.Generate.Samples, Truncate: w.Truncate,
	}
	return r.Fill(ctx, w, c.Generate.MaxRejects, func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
		return imported.Responses(s, step, url, open, parts)
	})
}

// Scores makes the rewards of a reward model from files of JSON lines.
func Scores(ctx context.Context, c *config.Config, r *pipelines.Run, judge string, paths []string) error {
	if !slices.Contains(c.Reward.Models, judge) {
		return fmt.Errorf("flag --reward: %q; want one of reward.models: %v", judge, c.Reward.Models)
	}
	files, err := read(ctx, r, paths)
	if err != nil {
		return err
	}
	w := r.InPlaceOf("reward", judge)
	step := imported.ScoresStep{Judge: judge, Files: files, Prompts: w.Prompts, Output: w.Output, Footer: w.Footer}
	for _, name := range c.Competitors() {
		generations := r.InPlaceOf("generate", name).Output
		if _, err := dataset.Open(ctx, r.Store(), generations); err != nil {
			return fmt.Errorf("%w; profuser generate makes it", err)
		}
		step.Generations = append(step.Generations, generations)
	}
	if err := claim(ctx, r.Store(), w.Output, files); err != nil {
		return err
	}
	return r.Fill(ctx, w, c.Reward.MaxRejects, func(s beam.Scope, url string, open int, parts beam.PCollection) beam.PCollection {
		return imported.Scores(s, step, url, open, parts)
	})
}

// claim makes a dataset that of an import from these files. One that a model has begun, or other files, is refused.
func claim(ctx context.Context, store dataset.Store, name string, files imported.Files) error {
	data, err := json.MarshalIndent(files, "", " ")
	if err != nil {
		return err
	}
	var old imported.Files
	found, err := store.Read(ctx, name+"/"+pipelines.ImportName)
	switch {
	case err == nil:
		if err := json.Unmarshal(found, &old); err != nil || old.Digest != files.Digest {
			return fmt.Errorf("%s was imported from %v, which differ from these files: remove the folder to import it again", name, old.Paths)
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if begun, err := store.Exists(ctx, name+"/_DATASET.json"); err != nil || begun {
		return cmp.Or(err, fmt.Errorf("%s is there already, made by the model: remove the folder to import it instead", name))
	}
	return store.Create(ctx, name+"/"+pipelines.ImportName, append(data, '\n'))
}

// read reads the files and says how many of their rows are of a prompt; none is an error.
func read(ctx context.Context, r *pipelines.Run, paths []string) (imported.Files, error) {
	files, err := imported.NewFiles(ctx, paths)
	if err != nil {
		return files, err
	}
	d, err := dataset.Open(ctx, r.Store(), "prompts")
	if err != nil {
		return files, fmt.Errorf("%w; profuser ingest makes it", err)
	}
	rows, err := files.Rows(ctx)
	matching := 0
	for part := range d.Parts() {
		if err != nil {
			return files, err
		}
		var prompts []schemas.Prompt
		if prompts, _, err = dataset.Rows[schemas.Prompt](ctx, d, part); err == nil {
			var n int
			n, err = files.Matching(ctx, prompts)
			matching += n
		}
	}
	if err == nil && matching == 0 {
		err = fmt.Errorf("none of the %d rows of %v is of a prompt: want id (a prompt's, or the id of its input row) or the exact messages", rows, paths)
	}
	r.Say("%-24s %6d rows of %d are of a prompt", "import", matching, rows)
	return files, err
}
