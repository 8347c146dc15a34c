package stream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/folder"
	"github.com/profuser/profuser/trainer/merge/recipe"
)

// Options say what to merge and how. The result depends on Config and Seed alone; ShardSize changes how it is cut into
// files.
type Options struct {
	// Config is the merge file. Required.
	Config string
	// Out is the folder to make; it must not exist, or be empty. Required, except with DryRun.
	Out string
	// ShardSize is the largest size of a file of weights in bytes; a larger tensor has a file of its own.
	ShardSize int64
	// Seed is the seed of the random masks of dare and della.
	Seed uint64
	// Threads is how many tensors' pieces are worked on at a time; 0 is one a processor.
	Threads int
	// Chunk is how many elements are read at a time; 0 is 65536.
	Chunk int
	// DryRun lists what would be made and makes nothing.
	DryRun bool
	// Log gets notes, progress and the summary.
	Log io.Writer
}

// Merge merges models. Everything that can be checked is checked before the first byte is written; a failure or a kill
// leaves no folder Out. Errors name the key, the tensor or the file at fault.
func Merge(ctx context.Context, o Options) error {
	raw, err := os.ReadFile(o.Config)
	if err != nil {
		return fmt.Errorf("reading the merge file: %w", err)
	}
	r, err := recipe.Parse(raw)
	if err != nil {
		return fmt.Errorf("%s: %w", o.Config, err)
	}
	p, err := makePlan(r, filepath.Dir(o.Config))
	if err != nil {
		return fmt.Errorf("%s: %w", o.Config, err)
	}
	defer p.close()
	for _, note := range r.Notes {
		fmt.Fprintln(o.Log, "note:", note)
	}
	shards := safetensors.Split(p.outlines(), o.ShardSize)
	if o.DryRun {
		p.list(o.Log, shards)
		return nil
	}
	if o.Threads <= 0 {
		o.Threads = runtime.GOMAXPROCS(0)
	}
	if o.Chunk <= 0 {
		o.Chunk = 1 << 16
	}
	out, err := folder.New(o.Out)
	if err != nil {
		return err
	}
	defer out.Close()
	start := time.Now()
	report, err := write(ctx, p, o, out.Path(), shards)
	if err != nil {
		return err
	}
	if err := p.files(out.Path(), raw, report); err != nil {
		return err
	}
	if err := report.commit(); err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	seconds := time.Since(start).Seconds()
	fmt.Fprintf(o.Log, "merged %d tensors of %d models, %s, into %s in %.1f s: %s/s read and written\n",
		len(p.tensors), len(p.models), size(outputBytes(shards)), o.Out, seconds, size(int64(float64(p.inputBytes()+outputBytes(shards))/seconds)))
	return nil
}

// written is what write leaves to the end: the report's lines, and weights that still have temporary names.
type written struct {
	lines   []reportLine
	weights *safetensors.Writer
}

// commit gives the weights their names.
func (w written) commit() error { return w.weights.Commit() }

// write merges all tensors into files with temporary names.
func write(ctx context.Context, p *plan, o Options, dir string, shards [][]safetensors.Outline) (written, error) {
	w, err := safetensors.Create(dir, shards)
	if err != nil {
		return written{}, err
	}
	e := newExecution(ctx, p, o, w)
	lines, err := e.run()
	if err != nil {
		return written{}, errors.Join(err, w.Abort())
	}
	return written{lines, w}, nil
}

// outlines are the tensors of the result, in order.
func (p *plan) outlines() []safetensors.Outline {
	out := make([]safetensors.Outline, len(p.tensors))
	for i, t := range p.tensors {
		out[i] = t.outline
	}
	return out
}

// inputBytes is the size of everything that is merged.
func (p *plan) inputBytes() int64 {
	var n int64
	for _, t := range p.tensors {
		n += t.inputBytes()
	}
	return n
}

func (t tensor) inputBytes() int64 {
	var n int64
	for _, in := range t.inputs {
		n += in.tensor.Bytes()
	}
	return n
}

func outputBytes(shards [][]safetensors.Outline) int64 {
	var n int64
	for _, s := range shards {
		for _, t := range s {
			n += t.Bytes()
		}
	}
	return n
}

// list shows what a merge would make.
func (p *plan) list(w io.Writer, shards [][]safetensors.Outline) {
	i := 0
	for n, s := range shards {
		for _, o := range s {
			t := p.tensors[i]
			i++
			how := p.recipe.Method.Name
			if t.copied {
				how = "copied"
			}
			fmt.Fprintf(w, "%-56s %-5s %-16s %10s  shard %d  %s of %d\n", o.Name, o.DType, fmt.Sprint(o.Shape), size(o.Bytes()), n+1, how, len(t.inputs))
		}
	}
	for _, m := range p.models {
		line := fmt.Sprintf("model %s: %d tensors", m.path, len(m.file.Tensors()))
		if m == p.donor {
			line += ", its config.json and tokenizer go to the result"
		}
		for _, t := range p.tensors {
			for _, in := range t.inputs {
				if in.model == m && in.rows != nil {
					line += fmt.Sprintf(", %s: %s", t.outline.Name, overlap(in.rows))
				}
			}
		}
		fmt.Fprintln(w, line)
	}
	fmt.Fprintf(w, "%d tensors, %s read at least once, %s written in %d files; nothing was written\n", len(p.tensors), size(p.inputBytes()), size(outputBytes(shards)), len(shards))
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
