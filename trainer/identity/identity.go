// Package identity owns what a training depends on: one digest that decides, and items that say what differs.
//
// Flow in: the configuration's digest and keys, the datasets' parts with their checksums, the target's files; flow out:
// an Identity that a checkpoint and a finished training keep, and, for one of another training, an error that names what
// is not the same: keys with both values, parts and files by name.
//
// The digest covers more than the items do (the version of this list); two trainings are the same if their digests are.
//
// Not here: what the configuration's digest covers (internal/config), where identities are stored (trainer/loop,
// trainer/fusing).
package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
)

// Identity is what a training depends on.
type Identity struct {
	// Digest is equal for equal trainings.
	Digest string
	// Items are values by what they are of: a key of the configuration, or a part or file with its shortened checksum.
	Items map[string]string
}

// Settings are the configuration's share.
type Settings struct {
	// Digest stands for all keys that the training depends on.
	Digest string
	// Keys are these keys with their values. They may be missing.
	Keys map[string]string
}

// Set is a dataset by a name.
type Set struct {
	// Name is what it is called in messages, such as fusion/training; Short is what the digest has.
	Name, Short string
	// Dataset is committed.
	Dataset *dataset.Dataset
}

// Kinds of items, the beginnings of their names; keys of the configuration have none.
const (
	partKind = "dataset "
	fileKind = "target file "
)

// Of identifies a training on datasets of the model in a folder.
func Of(settings Settings, sets []Set, target string) (Identity, error) {
	id := Identity{Items: map[string]string{}}
	maps.Copy(id.Items, settings.Keys)
	h := sha256.New()
	fmt.Fprintf(h, "train/1\n%s\n", settings.Digest)
	for _, s := range sets {
		fmt.Fprintf(h, "%s\n", s.Short)
		for part := range s.Dataset.Parts() {
			sum := s.Dataset.Input(part).SHA256
			fmt.Fprintf(h, "%s\n", sum)
			id.Items[partKind+s.Name+" "+dataset.PartName(part)] = short(sum)
		}
	}
	files, err := filepath.Glob(filepath.Join(target, "*"))
	if err != nil {
		return id, err
	}
	slices.Sort(files)
	for _, path := range files {
		own := sha256.New()
		if err := sketch(io.MultiWriter(h, own), path); err != nil {
			return id, fmt.Errorf("reading the target model: %w", err)
		}
		id.Items[fileKind+filepath.Base(path)] = short(hex.EncodeToString(own.Sum(nil)))
	}
	id.Digest = hex.EncodeToString(h.Sum(nil))
	return id, nil
}

// short is the beginning of a checksum, enough to tell two apart.
func short(sum string) string { return sum[:min(12, len(sum))] }

// sketchWhole is the size up to which a model's files are read whole to identify them.
const sketchWhole = 64 << 20

// sketch hashes a file of a model: its name, size and contents, of a larger file only both ends.
func sketch(h io.Writer, path string) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return err
	}
	fmt.Fprintf(h, "%s %d\n", filepath.Base(path), info.Size())
	if info.Size() <= sketchWhole {
		_, err = io.Copy(h, f)
		return err
	}
	for _, from := range []int64{0, info.Size() - sketchWhole/2} {
		if _, err = io.Copy(h, io.NewSectionReader(f, from, sketchWhole/2)); err != nil {
			return err
		}
	}
	return nil
}

// shown is how many differences an error lists.
const shown = 6

// Refuse is nil if the digest that something was made with is this one, else an error that says what differs from the
// items it was made with, as far as they are known.
func (id Identity) Refuse(what, digest string, items map[string]string) error {
	if digest == id.Digest {
		return nil
	}
	differences := id.differences(items)
	why := fmt.Sprintf("another configuration, model or dataset (digest %.12s, now %.12s)", digest, id.Digest)
	if len(items) > 0 && len(differences) > 0 {
		more := ""
		if n := len(differences) - shown; n > 0 {
			differences, more = differences[:shown], fmt.Sprintf("; and %d more", n)
		}
		why = "another training: " + strings.Join(differences, "; ") + more
	}
	return fmt.Errorf("%s is of %s: go back to that, choose another out, or start over with --resume never", what, why)
}

// differences are sentences, configuration first.
func (id Identity) differences(was map[string]string) []string {
	names := map[string]bool{}
	for name := range id.Items {
		names[name] = true
	}
	for name := range was {
		names[name] = true
	}
	var keys, others []string
	for _, name := range slices.Sorted(maps.Keys(names)) {
		before, had := was[name]
		after, has := id.Items[name]
		sort, text := kind(name)
		switch {
		case had && has && before == after:
		case sort == "" && had && has:
			keys = append(keys, fmt.Sprintf("%s was %s, is %s", name, before, after))
		case sort == "" && had:
			keys = append(keys, fmt.Sprintf("%s was %s, is not set", name, before))
		case sort == "":
			keys = append(keys, fmt.Sprintf("%s was not set, is %s", name, after))
		case had && has:
			others = append(others, text+" has changed")
		case had:
			others = append(others, text+" is gone")
		default:
			others = append(others, text+" is new")
		}
	}
	return append(keys, others...)
}

// kind is an item's kind, "" for a key of the configuration, and what it is called.
func kind(name string) (kind, text string) {
	if set, ok := strings.CutPrefix(name, partKind); ok {
		of, part, _ := strings.Cut(set, " ")
		return partKind, of + "/" + part
	}
	if strings.HasPrefix(name, fileKind) {
		return fileKind, name
	}
	return "", name
}
