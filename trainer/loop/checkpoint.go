package loop

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gomlx/gomlx/core/tensors"

	"github.com/profuser/profuser/models/safetensors"
	"github.com/profuser/profuser/trainer/identity"
)

// State is where a training is: state.json of a checkpoint. The order of prompts follows from seed and epoch, so the
// step says which batch is next; no random state is needed.
type State struct {
	// Step is the number of batches done, bad ones included.
	Step int `json:"step"`
	// Applied is the number of optimizer steps done.
	Applied int `json:"applied"`
	// Stage and Epoch are those of the last batch done; epochs count from 1 over all stages.
	Stage string `json:"stage"`
	Epoch int    `json:"epoch"`
	// Position is the number of batches done of that epoch.
	Position int `json:"position"`
	// Bad is the number of batches that were not applied.
	Bad int `json:"bad"`
	// Digest stands for everything that the training depends on, Depends lists it, to say what differs.
	Digest  string            `json:"digest"`
	Depends map[string]string `json:"depends,omitempty"`
	// Curriculum is what the curriculum has to remember, in its own JSON; most kinds remember nothing.
	Curriculum json.RawMessage `json:"curriculum,omitempty"`
	// Seconds is the time spent so far.
	Seconds float64 `json:"seconds"`
	// Files are the SHA-256 of the checkpoint's other files.
	Files map[string]string `json:"files"`
}

// Names of a checkpoint's files.
const (
	stateFile   = "state.json"
	weightsFile = "weights.safetensors"
	firstFile   = "first_moments.safetensors"
	secondFile  = "second_moments.safetensors"
)

// checkpointPrefix begins the name of a whole checkpoint; one being written has another.
const checkpointPrefix = "step-"

// CheckpointName is the folder of the checkpoint after a step; names sort by step.
func CheckpointName(step int) string { return fmt.Sprintf("%s%09d", checkpointPrefix, step) }

// Save writes a checkpoint into folder/step-…: float32 weights and moments, and state.json, under a temporary name that
// is renamed when all is on the disk. Then all but the newest keep checkpoints go, and what interrupted ones left.
func (l *Learner) Save(folder string, state State, keep int) (err error) {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	tmp, err := os.MkdirTemp(folder, ".tmp-")
	if err != nil {
		return fmt.Errorf("saving a checkpoint: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("saving a checkpoint: %w", errors.Join(err, os.RemoveAll(tmp)))
		}
	}()
	state.Applied = l.step
	state.Files = map[string]string{}
	for _, f := range l.files() {
		path := filepath.Join(tmp, f.name)
		if err := safetensors.WriteEach(path, f.outlines, f.values); err != nil {
			return err
		}
		if state.Files[f.name], err = fileDigest(path); err != nil {
			return err
		}
	}
	b, err := json.MarshalIndent(state, "", "  ")
	if err != nil {
		return err
	}
	if err := WriteSynced(filepath.Join(tmp, stateFile), append(b, '\n')); err != nil {
		return err
	}
	final := filepath.Join(folder, CheckpointName(state.Step))
	if err := os.RemoveAll(final); err != nil {
		return err
	}
	if err := os.Rename(tmp, final); err != nil {
		return err
	}
	if err := syncFolder(folder); err != nil {
		return err
	}
	return prune(folder, keep)
}

// stored is one of a checkpoint's files: what it holds for each trained weight.
type stored struct {
	name     string
	outlines []safetensors.Outline
	values   func(i int) ([]float32, error)
	set      func(i int, x []float32) error
}

// files are weights and moments: float32, or moments in their own type.
func (l *Learner) files() []stored {
	files := []stored{
		{name: weightsFile, values: l.weightValues, set: l.setWeight},
		{name: firstFile, values: func(i int) ([]float32, error) { return l.parameters[i].First.Values(), nil }, set: func(i int, x []float32) error { return l.parameters[i].First.Set(x) }},
		{name: secondFile, values: func(i int) ([]float32, error) { return l.parameters[i].Second.Values(), nil }, set: func(i int, x []float32) error { return l.parameters[i].Second.Set(x) }},
	}
	for f := range files {
		for i, name := range l.names {
			o := safetensors.Outline{Name: name, DType: safetensors.F32, Shape: l.weights[i].Shape().Dimensions}
			if files[f].name != weightsFile {
				o.DType = l.parameters[i].First.DType()
			}
			files[f].outlines = append(files[f].outlines, o)
		}
	}
	return files
}

func (l *Learner) weightValues(i int) ([]float32, error) {
	x, err := tensors.CopyFlatData[float32](l.weights[i])
	if err != nil {
		return nil, fmt.Errorf("reading weight %s: %w", l.names[i], err)
	}
	return x, nil
}

func (l *Learner) setWeight(i int, x []float32) error {
	if err := tensors.MutableFlatData(l.weights[i], func(w []float32) { copy(w, x) }); err != nil {
		return fmt.Errorf("setting weight %s: %w", l.names[i], err)
	}
	return nil
}

// Resume loads the newest whole checkpoint of a folder. A broken one is skipped with a warning; ok is false when there is
// none. One of another training is an error that says what differs.
func (l *Learner) Resume(folder string, id identity.Identity, warn io.Writer) (state State, ok bool, err error) {
	names, err := checkpoints(folder)
	if err != nil {
		return state, false, err
	}
	for _, name := range slices.Backward(names) {
		dir := filepath.Join(folder, name)
		state, err := readState(dir)
		if err == nil {
			if refused := id.Refuse("checkpoint "+dir, state.Digest, state.Depends); refused != nil {
				return state, false, refused
			}
			err = l.check(dir)
		}
		if err != nil {
			fmt.Fprintf(warn, "warning: skipping checkpoint %s: %v\n", dir, err)
			continue
		}
		if err := l.load(dir); err != nil {
			return state, false, fmt.Errorf("loading checkpoint %s: %w", dir, err)
		}
		l.step = state.Applied
		return state, true, nil
	}
	return state, false, nil
}

// readState reads state.json and checks the other files against it.
func readState(dir string) (State, error) {
	var s State
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if err != nil {
		return s, err
	}
	if err := json.Unmarshal(b, &s); err != nil {
		return s, fmt.Errorf("%s: %w", stateFile, err)
	}
	for _, name := range []string{weightsFile, firstFile, secondFile} {
		found, err := fileDigest(filepath.Join(dir, name))
		if err != nil {
			return s, err
		}
		if found != s.Files[name] {
			return s, fmt.Errorf("%s has SHA-256 %.12s, %s says %.12s: it is damaged", name, found, stateFile, s.Files[name])
		}
	}
	return s, nil
}

// check compares the headers of a checkpoint's files with what the learner holds.
func (l *Learner) check(dir string) error {
	for _, file := range l.files() {
		f, err := safetensors.Open(filepath.Join(dir, file.name))
		if err != nil {
			return err
		}
		for _, want := range file.outlines {
			t, ok := f.Lookup(want.Name)
			if !ok || t.DType != want.DType || !slices.Equal(t.Shape, want.Shape) {
				return errors.Join(fmt.Errorf("%s has no %s %v of type %s", file.name, want.Name, want.Shape, want.DType), f.Close())
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// load reads weights and moments, one tensor at a time. The files have been checked; a fault now is no fault of theirs.
func (l *Learner) load(dir string) error {
	for _, file := range l.files() {
		f, err := safetensors.Open(filepath.Join(dir, file.name))
		if err != nil {
			return err
		}
		for i, name := range l.names {
			var x []float32
			if x, err = f.Float32(name); err == nil {
				err = file.set(i, x)
			}
			if err != nil {
				return errors.Join(err, f.Close())
			}
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}

// checkpoints lists the whole checkpoints of a folder, oldest first.
func checkpoints(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("looking for checkpoints: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), checkpointPrefix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// prune removes all but the newest keep checkpoints, and unfinished ones.
func prune(folder string, keep int) error {
	names, err := checkpoints(folder)
	if err != nil {
		return err
	}
	stale, err := filepath.Glob(filepath.Join(folder, ".tmp-*"))
	if err != nil {
		return err
	}
	for _, name := range names[:max(0, len(names)-keep)] {
		stale = append(stale, filepath.Join(folder, name))
	}
	for _, path := range stale {
		if err := os.RemoveAll(path); err != nil {
			return err
		}
	}
	return nil
}

// WriteSynced writes a file and syncs it to the disk. It is not atomic.
func WriteSynced(path string, data []byte) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func syncFolder(path string) (err error) {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	return d.Sync()
}

func fileDigest(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	_, err = io.Copy(h, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
