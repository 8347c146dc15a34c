package lora

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/profuser/profuser/models/decoder/lowrank"
	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/folder"
)

// MergeOptions say what Merge merges.
type MergeOptions struct {
	// Adapter is the adapter's folder. Required.
	Adapter string
	// Base is the base model's; "" takes the one that the adapter names.
	Base string
	// Out is the folder to make; it must not exist, or be empty. Required.
	Out string
	// ShardBytes is the largest size of a file of weights.
	ShardBytes int64
	// Log gets the summary.
	Log io.Writer
}

// Merge adds an adapter to its base model and writes a model directory: the same tensors in the same storage types, those
// of adapted matrices with scale · B·A added. One tensor is in memory at a time. A failure leaves no folder Out.
func Merge(o MergeOptions) error {
	f, err := open(o.Adapter)
	if err != nil {
		return err
	}
	defer f.tensors.Close()
	if o.Base == "" {
		o.Base = f.Base
	}
	if info, err := os.Stat(filepath.Join(o.Base, "config.json")); o.Base == "" || err != nil || info.IsDir() {
		return fmt.Errorf("the base model %q has no config.json: name its folder with --base", o.Base)
	}
	base, err := safetensors.Open(o.Base)
	if err != nil {
		return err
	}
	defer base.Close()
	outlines, err := f.match(base, o.Base)
	if err != nil {
		return err
	}
	out, err := folder.New(o.Out)
	if err != nil {
		return err
	}
	defer out.Close()
	w, err := safetensors.Create(out.Path(), safetensors.Split(outlines, o.ShardBytes))
	if err != nil {
		return err
	}
	for _, t := range base.Tensors() {
		if err := f.add(w, base, t); err != nil {
			return errors.Join(err, w.Abort())
		}
	}
	if err := w.Commit(); err != nil {
		return err
	}
	config, err := os.ReadFile(filepath.Join(o.Base, "config.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(out.Path(), "config.json"), config, 0o644)
	}
	if err != nil {
		return fmt.Errorf("copying config.json: %w", err)
	}
	if err := folder.CopyCompanions(out.Path(), o.Base); err != nil {
		return err
	}
	if err := out.Finish(); err != nil {
		return err
	}
	fmt.Fprintf(o.Log, "merged %d matrices of rank %d, scale %.4g, from %s into %s: %s\n", len(f.modules), f.Rank, f.scale(), o.Adapter, o.Base, o.Out)
	return nil
}

// match lists the base's tensors, and checks that every adapted matrix is one of them.
func (f *file) match(base *safetensors.File, dir string) ([]safetensors.Outline, error) {
	for _, name := range slices.Sorted(maps.Keys(f.modules)) {
		nameA, nameB := lowrank.Names(peftPrefix + lowrank.Module(name))
		a, _ := f.tensors.Lookup(nameA)
		b, _ := f.tensors.Lookup(nameB)
		t, ok := base.Lookup(name)
		if !ok {
			return nil, fmt.Errorf("adapter %s adapts %s, which the base model %s does not have", f.dir, name, dir)
		}
		if want := []int{b.Shape[0], a.Shape[1]}; !slices.Equal(t.Shape, want) {
			return nil, fmt.Errorf("adapter %s adapts %s as %v, in the base model %s it is %v", f.dir, name, want, dir, t.Shape)
		}
	}
	var outlines []safetensors.Outline
	for _, t := range base.Tensors() {
		outlines = append(outlines, safetensors.Outline{Name: t.Name, DType: t.DType, Shape: t.Shape})
	}
	return outlines, nil
}

// add writes a tensor of the base, with its addition if it has one.
func (f *file) add(w *safetensors.Writer, base *safetensors.File, t safetensors.Tensor) error {
	raw := make([]byte, t.Bytes())
	if !f.modules[t.Name] {
		if err := t.ReadAt(raw, 0); err != nil {
			return err
		}
		return w.WriteAt(t.Name, raw, 0)
	}
	x, err := base.Float32(t.Name)
	if err != nil {
		return err
	}
	nameA, nameB := lowrank.Names(peftPrefix + lowrank.Module(t.Name))
	a, err := f.tensors.Float32(nameA)
	if err != nil {
		return err
	}
	b, err := f.tensors.Float32(nameB)
	if err != nil {
		return err
	}
	addProduct(x, b, a, t.Shape[1], f.Rank, f.scale())
	if err := safetensors.Encode(raw, t.DType, x); err != nil {
		return fmt.Errorf("tensor %s of %s: %w", t.Name, t.Path(), err)
	}
	return w.WriteAt(t.Name, raw, 0)
}
