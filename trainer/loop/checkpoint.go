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
	// Digest stands for everything that the training depends on.
	Digest string `json:"digest"`
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
	for name, values := range map[string]func(i int) []float32{
		firstFile: func(i int) []float32 { return l.parameters[i].First }, secondFile: func(i int) []float32 { return l.parameters[i].Second }, weightsFile: nil,
	} {
		if state.Files[name], err = l.saveTensors(filepath.Join(tmp, name), values); err != nil {
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

// saveTensors writes one value of each weight (nil: the weight itself) as float32 and returns the file's digest.
func (l *Learner) saveTensors(path string, values func(i int) []float32) (string, error) {
	var named []safetensors.Named
	for i, name := range l.names {
		n := safetensors.Named{Name: name, DType: safetensors.F32, Shape: l.weights[i].Shape().Dimensions}
		if values != nil {
			n.Data = values(i)
		} else {
			var err error
			if n.Data, err = tensors.CopyFlatData[float32](l.weights[i]); err != nil {
				return "", fmt.Errorf("reading weight %s: %w", name, err)
			}
		}
		named = append(named, n)
	}
	if err := safetensors.Write(path, named); err != nil {
		return "", err
	}
	return fileDigest(path)
}

// Resume loads the newest whole checkpoint of a folder. A broken one is skipped with a warning; ok is false when there is
// none. One of another digest is an error.
func (l *Learner) Resume(folder, digest string, warn io.Writer) (state State, ok bool, err error) {
	names, err := checkpoints(folder)
	if err != nil {
		return state, false, err
	}
	for _, name := range slices.Backward(names) {
		dir := filepath.Join(folder, name)
		state, err := readState(dir)
		if err == nil && state.Digest != digest {
			return state, false, fmt.Errorf("checkpoint %s is of another configuration, model or dataset (digest %.12s, now %.12s): go back to that, choose another out, or start over with --resume never", dir, state.Digest, digest)
		}
		if err == nil {
			err = l.load(dir)
		}
		if err != nil {
			fmt.Fprintf(warn, "warning: skipping checkpoint %s: %v\n", dir, err)
			continue
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

// load reads weights and moments: everything first, so that a fault changes nothing.
func (l *Learner) load(dir string) error {
	read := map[string][][]float32{}
	for _, file := range []string{weightsFile, firstFile, secondFile} {
		f, err := safetensors.Open(filepath.Join(dir, file))
		if err != nil {
			return err
		}
		for i, name := range l.names {
			x, readErr := f.Float32(name)
			if readErr == nil && len(x) != len(l.gradients[i]) {
				readErr = fmt.Errorf("%s: %s has %d values, the model %d", file, name, len(x), len(l.gradients[i]))
			}
			err = errors.Join(err, readErr)
			read[file] = append(read[file], x)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	for i := range l.names {
		copy(l.parameters[i].First, read[firstFile][i])
		copy(l.parameters[i].Second, read[secondFile][i])
		if err := tensors.MutableFlatData(l.weights[i], func(w []float32) { copy(w, read[weightsFile][i]) }); err != nil {
			return fmt.Errorf("setting weight %s: %w", l.names[i], err)
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
