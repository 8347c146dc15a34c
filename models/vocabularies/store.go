package vocabularies

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/models/tokenizer"
)

// Store keeps maps in a folder.
type Store struct {
	// Dir is the folder, made when it is needed; "": nothing is kept.
	Dir string
	// Warn, if set, is told of files that could not be used or written. Nothing is wrong with the map then.
	Warn func(message string)
}

// DefaultDir is the user's cache folder for maps, "" if the system names none.
func DefaultDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "profuser", "vocabularies")
}

// Map gives the map of a method from source to target, from the folder or built. counts are for MethodStatistics only.
func (s Store) Map(method vocabulary.Method, source, target *tokenizer.Tokenizer, counts *vocabulary.Counts) (*vocabulary.Map, error) {
	key := vocabulary.Key{Method: method, Source: source.Fingerprint(), Target: target.Fingerprint()}
	var from, to *vocabulary.Strings
	if method != vocabulary.MethodSpelling {
		from, to = vocabulary.NewStrings(source), vocabulary.NewStrings(target)
		key.Strings = vocabulary.Digest(from, to)
	}
	if method == vocabulary.MethodStatistics {
		if counts == nil {
			return nil, errors.New("vocabulary map of method statistics: needs the co-alignment counts of a corpus")
		}
		b, err := counts.MarshalBinary()
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(append(b, key.Strings...))
		key.Strings = hex.EncodeToString(sum[:])
	}
	if m := s.read(key, target.Size()); m != nil {
		return m, nil
	}
	var m *vocabulary.Map
	switch method {
	case vocabulary.MethodSpelling:
		m = vocabulary.Spelling(source, target)
	case vocabulary.MethodSameString:
		m = vocabulary.SameString(from, to)
	case vocabulary.MethodMinEditDistance:
		m = vocabulary.MinEditDistance(from, to)
	case vocabulary.MethodStatistics:
		var err error
		if m, err = vocabulary.Statistics(source, target, counts); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("vocabulary map of method %q: want exact, exact_match, min_edit_distance or statistics", method)
	}
	s.write(key, m)
	return m, nil
}

// file is where the map of a key is kept.
func (s Store) file(key vocabulary.Key) string {
	const digits = 16
	name := string(key.Method) + "-" + key.Source[:digits] + "-" + key.Target[:digits]
	if key.Method == vocabulary.MethodStatistics { // each corpus has its own
		name += "-" + key.Strings[:digits]
	}
	return filepath.Join(s.Dir, name+".map")
}

// read gives the map of a key if the folder has it whole.
func (s Store) read(key vocabulary.Key, target int) *vocabulary.Map {
	if s.Dir == "" {
		return nil
	}
	file := s.file(key)
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var m *vocabulary.Map
	if err == nil {
		m, err = vocabulary.Decode(data, key, target)
	}
	if err != nil {
		s.warn("%s: %v; it is built again", file, err)
		return nil
	}
	return m
}

// write keeps a map; another process's file of the same name is replaced by one that says the same.
func (s Store) write(key vocabulary.Key, m *vocabulary.Map) {
	if s.Dir == "" {
		return
	}
	file := s.file(key)
	if err := writeWhole(file, m, key); err != nil {
		s.warn("%s: %v; the map is not kept", file, err)
	}
}

func writeWhole(file string, m *vocabulary.Map, key vocabulary.Key) (err error) {
	data, err := m.Encode(key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	scratch, err := os.CreateTemp(filepath.Dir(file), ".map-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(scratch.Name()))
		}
	}()
	if _, err := scratch.Write(data); err != nil {
		return errors.Join(err, scratch.Close())
	}
	if err := errors.Join(scratch.Chmod(0o644), scratch.Sync(), scratch.Close()); err != nil {
		return err
	}
	return os.Rename(scratch.Name(), file)
}

func (s Store) warn(format string, args ...any) {
	if s.Warn != nil {
		s.Warn(fmt.Sprintf(format, args...))
	}
}
