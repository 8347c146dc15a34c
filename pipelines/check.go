package pipelines

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/pipelines/runner"
	"github.com/profuser/profuser/transforms/source"
)

// checkedModel is what the steps need to know of a model before they run it.
type checkedModel struct {
	fingerprint string // of its tokenizer
	template    string // digest of its chat format
	context     int
	digest      string // of its files
}

// check looks at everything that the run needs: input files, model directories, configurations, tokenizers, templates.
func (r *Run) check(ctx context.Context) error {
	for _, file := range slices.Concat(r.config.Prompts.Files, r.config.Evaluate.Files) {
		if err := source.CheckInput(ctx, file); err != nil {
			return err
		}
	}
	for _, name := range r.competitors() {
		if err := r.checkModel(ctx, name, false); err != nil {
			return err
		}
	}
	for _, name := range r.config.Reward.Models {
		if err := r.checkModel(ctx, name, true); err != nil {
			return err
		}
	}
	return r.checkJudge(ctx)
}

// CheckModel says what is wrong with one model of a configuration: its files, or its server and whether that has the model
// of the tokenizer and can do what a run will ask.
func CheckModel(ctx context.Context, c *config.Config, name string) error {
	r := &Run{config: c, checked: map[string]checkedModel{}}
	return r.checkModel(ctx, name, slices.Contains(c.Reward.Models, name))
}

// CheckJudge says what is wrong with the chat model that method judge asks, if that is the method.
func CheckJudge(ctx context.Context, c *config.Config) error {
	r := &Run{config: c, checked: map[string]checkedModel{}}
	return r.checkJudge(ctx)
}

// CheckRunner says whether the runner answers, and can reach what it must.
func CheckRunner(ctx context.Context, c *config.Config) error {
	if err := checkPlaces(c); err != nil {
		return err
	}
	_, err := runner.Open(ctx, runnerOptions(c))
	return err
}

// checkModel reads a model's small files, checks that it has the head that its role needs, and takes the digest of all.
func (r *Run) checkModel(ctx context.Context, name string, reward bool) error {
	if _, ok := r.checked[name]; ok {
		return nil
	}
	m := r.model(name)
	if !m.AtHand() {
		r.checked[name] = checkedModel{}
		return nil
	}
	if m.Endpoint.URLs != "" {
		return r.checkServed(ctx, m, serving.Need{Generate: !reward, Score: !reward, Reward: reward, TopK: r.config.Truncate.TopK})
	}
	c, format, err := engine.Check(m.Dir, formatOptions(m))
	if err != nil {
		return fmt.Errorf("model %s: %w", name, err)
	}
	switch {
	case reward && !c.Reward():
		return fmt.Errorf("model %s: %s is a %s, reward.models need a scalar head such as LlamaForSequenceClassification's", name, m.Dir, c.Architecture)
	case !reward && c.Reward():
		return fmt.Errorf("model %s: %s is a %s, a target or source must be a causal language model", name, m.Dir, c.Architecture)
	}
	digest, err := digestModel(m.Dir)
	if err != nil {
		return fmt.Errorf("model %s: %w", name, err)
	}
	length := c.Context()
	if n := int(r.entry(name).Context); n > 0 {
		length = min(length, n)
	}
	r.checked[name] = checkedModel{fingerprint: format.Tokenizer().Fingerprint(), template: format.Digest(), context: length, digest: digest}
	return nil
}

// digestModel is the SHA-256 over names and contents of the files that make a model's answers.
func digestModel(dir string) (string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || (ext != ".json" && ext != ".safetensors" && ext != ".jinja") {
			continue
		}
		sum, err := digestFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s\x1f%s\x1e", e.Name(), sum)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digestFile is the SHA-256 of a file, hex.
func digestFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("reading: %w", err)
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", fmt.Errorf("reading %s: %w", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digest is a step's: its configuration and the files of its models.
func (r *Run) digest(step string, models ...string) string {
	parts := []string{r.config.Digest(step)}
	for _, name := range models {
		parts = append(parts, name, r.checked[name].digest)
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x1f")))
	return hex.EncodeToString(sum[:16])
}

// open opens a dataset that an earlier step commits.
func (r *Run) open(ctx context.Context, name string) (*dataset.Dataset, error) {
	d, err := dataset.Open(ctx, r.store, name)
	if err != nil {
		folder, _, _ := strings.Cut(name, "/")
		step := map[string]string{"prompts": "ingest", "generations": "generate", "rewards": "reward"}[folder]
		return nil, fmt.Errorf("%w; profuser %s makes it, profuser run all", err, cmp.Or(step, folder))
	}
	return d, nil
}

// rows is a committed dataset's number of rows, 0 if it is not there: the job that reads it will say so.
func (r *Run) rows(ctx context.Context, name string) int64 {
	d, err := dataset.Open(ctx, r.store, name)
	if err != nil {
		return 0
	}
	return d.Manifest.Rows
}

// localPath is a key's file when the store is a local folder.
func (r *Run) localPath(key string) (string, bool) {
	if strings.Contains(r.store.URL(), "://") {
		return "", false
	}
	return filepath.Join(r.store.URL(), filepath.FromSlash(key)), true
}
