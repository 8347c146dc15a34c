package trial

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/profuser/profuser/experiment/design"
	"github.com/profuser/profuser/experiment/material"
)

// revision changes when results of earlier versions of the programs or of this package are no longer comparable.
const revision = 1

// Lab is where an experiment is carried out.
type Lab struct {
	// Design is what is done.
	Design design.Design
	// Dir is the folder of everything that is made.
	Dir string
	// Profuser and Trainer are the programs.
	Profuser, Trainer string
	// Say hears of progress.
	Say func(format string, args ...any)
}

// condition is what rows of one seed share: prompts with references, target and sources.
type condition struct {
	seed    int64
	wrong   float64
	short   bool
	formats float64
	target  string
	sources string // an option of the row, or ""
}

// digest is a short hash of anything that JSON can tell.
func digest(parts ...any) string {
	data, err := json.Marshal(parts)
	if err != nil {
		return "" // texts and finite numbers only
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

// modelDigest is what a model after its lesson depends on.
func (l *Lab) modelDigest(name string) string {
	m, d := l.Design.Models[name], l.Design
	return digest(revision, "lesson", m, d.Lesson)
}

func (l *Lab) modelDir(name string) string {
	return filepath.Join(l.Dir, "models", name+"-"+l.modelDigest(name))
}

// groundDigest is what the common steps of a condition depend on.
func (l *Lab) groundDigest(c condition) string {
	d := l.Design
	var models []string
	for _, name := range l.competitors(c) {
		models = append(models, name, l.modelDigest(name))
	}
	how := []any{revision, "ground", c.seed, c.wrong, c.short, c.target, c.sources, models, d.Prompts, d.HeldOut, d.Items, d.Configuration, d.Judges}
	if c.formats > 0 {
		how = append(how, "formats", c.formats)
	}
	return digest(how...)
}

func (l *Lab) groundDir(c condition) string {
	return filepath.Join(l.Dir, "grounds", l.groundDigest(c))
}

// competitors are the target and the sources.
func (l *Lab) competitors(c condition) []string {
	return append([]string{c.target}, slices.Sorted(slices.Values(l.Design.Sources))...)
}

// command runs a program on one processor; what it says goes to a file, whose last lines make the error.
func (l *Lab) command(ctx context.Context, log, program string, args ...string) error {
	if err := os.MkdirAll(filepath.Join(l.Dir, "logs"), 0o755); err != nil {
		return err
	}
	name := filepath.Join(l.Dir, "logs", log+".log")
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	fmt.Fprintln(f, "$", program, strings.Join(args, " "))
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = f, &said
	err = cmd.Run()
	_, _ = f.Write(said.Bytes()) // the error below says the same
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return fmt.Errorf("%s: %w (%s)", lines[len(lines)-1], err, name)
	}
	return nil
}

// exists says whether a file or folder is there.
func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// write writes a file whole or not at all.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".partial", data, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".partial", path)
}

// lesson teaches a model the formats.
func (l *Lab) lesson(name string) task {
	return task{name: "lesson " + name, run: func(ctx context.Context) error {
		out, d := l.modelDir(name), l.Design
		if exists(out) {
			return nil
		}
		m := d.Models[name]
		text, err := material.Lesson(d.Items, m.Mixture, d.Lesson.Conversations, m.Fuller)
		if err != nil {
			return err
		}
		file := out + ".jsonl"
		if err := write(file, text); err != nil {
			return err
		}
		defer os.Remove(file)
		return l.command(ctx, "lesson-"+name, l.Trainer, "pretrain", "--data", file, "--init", m.Path, "--out", out,
			"--tokens", fmt.Sprint(d.Lesson.Tokens), "--learning-rate", fmt.Sprint(d.Lesson.LearningRate))
	}}
}

// configuration writes a condition's fusion.yaml.
func (l *Lab) configuration(c condition, dir string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "version: 1\nout: .\nseed: %d\ntarget: {model: %s}\nmodels:\n", c.seed, c.target)
	add := func(name, path string) error {
		absolute, err := filepath.Abs(path)
		fmt.Fprintf(&b, "  - {name: %s, path: %s}\n", name, absolute)
		return err
	}
	var err error
	for _, name := range l.competitors(c) {
		err = errors.Join(err, add(name, l.modelDir(name)))
	}
	for _, name := range slices.Sorted(maps.Keys(l.Design.Judges)) {
		err = errors.Join(err, add(name, l.Design.Judges[name]))
	}
	b.WriteString(l.Design.Configuration)
	return errors.Join(err, write(filepath.Join(dir, "fusion.yaml"), b.Bytes()))
}

// ground makes what the rows of a condition share: answers, scores, cross-entropies, and the untrained models' marks.
func (l *Lab) ground(c condition) task {
	t := task{name: fmt.Sprintf("common steps %s, seed %d", l.groundDigest(c), c.seed)}
	for _, name := range l.competitors(c) {
		t.needs = append(t.needs, "lesson "+name)
	}
	t.run = func(ctx context.Context) error {
		dir, d := l.groundDir(c), l.Design
		if exists(filepath.Join(dir, "done")) {
			return nil
		}
		prompts, err := material.Prompts(c.seed, d.Prompts, material.Style{Wrong: c.wrong, Short: c.short, Formatted: c.formats})
		if err != nil {
			return err
		}
		heldOut, err := material.HeldOut(d.Items, d.HeldOut)
		if err != nil {
			return err
		}
		err = errors.Join(l.configuration(c, dir), write(filepath.Join(dir, "prompts.jsonl"), prompts), write(filepath.Join(dir, "heldout.jsonl"), heldOut))
		if err != nil {
			return err
		}
		args := []string{"run", filepath.Join(dir, "fusion.yaml")}
		if c.sources != "" {
			args = append(args, "--set", c.sources)
		}
		if err := l.command(ctx, "ground-"+l.groundDigest(c), l.Profuser, args...); err != nil {
			return err
		}
		return write(filepath.Join(dir, "done"), nil)
	}
	return t
}

// sets writes the benchmarks' files once.
func (l *Lab) sets() task {
	return task{name: "benchmark sets", run: func(context.Context) error {
		files, err := material.Sets(l.Design.Items, l.Design.SetItems)
		for name, data := range files {
			err = errors.Join(err, write(filepath.Join(l.setsDir(), name), data))
		}
		return err
	}}
}

func (l *Lab) setsDir() string {
	return filepath.Join(l.Dir, "sets-"+digest(revision, l.Design.Items, l.Design.SetItems))
}

// texts are a ground's configuration and its inputs. common are all that its rows begin with; datasets that depend on the row
// are not among them.
var (
	texts  = []string{"fusion.yaml", "prompts.jsonl", "heldout.jsonl"}
	common = append(slices.Clone(texts), "prompts", "generations", "rewards", "crossentropy", "evaluation", "steps")
)

// copyCommon copies them, each whole or not at all.
func copyCommon(from, to string) error {
	for _, name := range common {
		source, final := filepath.Join(from, name), filepath.Join(to, name)
		info, err := os.Stat(source)
		if err == nil && !exists(final) {
			if info.IsDir() {
				err = copyFolder(source, final)
			} else {
				err = copyFile(source, final)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file, whole or not at all.
func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return write(to, data)
}

// copyFolder copies a folder, whole or not at all.
func copyFolder(from, to string) error {
	err := os.RemoveAll(to + ".partial")
	if err == nil {
		err = os.CopyFS(to+".partial", os.DirFS(from))
	}
	if err == nil {
		err = os.Rename(to+".partial", to)
	}
	return err
}
