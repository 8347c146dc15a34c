package dataset

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// temporary is the folder of half-written files, in the root so that link(2) stays within one file system.
const temporary = ".tmp"

// localStore keeps objects as files. Creating is a temporary file, fsync and link(2), which is atomic between threads
// and processes; gocloud's fileblob is not. Temporary names are random: a process id is 1 in every container.
type localStore struct {
	dir string
	// write replaces os.File.Write in tests.
	write func(f *os.File, data []byte) error
}

// URL implements Store.
func (s *localStore) URL() string { return s.dir }

func (s *localStore) path(key string) string { return filepath.Join(s.dir, filepath.FromSlash(key)) }

// Create implements Store.
func (s *localStore) Create(ctx context.Context, key string, data []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := s.create(ctx, key, data)
	for range 2 {
		if errors.Is(err, errTidied) {
			err = s.create(ctx, key, data)
		}
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.path(key), explain(err))
	}
	return nil
}

// errTidied says that Tidy of another process took a temporary file for a left one before it was locked.
var errTidied = errors.New("the temporary file was removed")

// Tidy removes files that killed processes left half-written in the store's temporary folder. A file that is being
// written is locked by its process, and a lock ends with its process.
func Tidy(s Store) error {
	local, ok := s.(*localStore)
	if !ok {
		return nil // an object store drops unfinished uploads itself
	}
	folder := filepath.Join(local.dir, temporary)
	entries, err := os.ReadDir(folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("tidying: %w", err)
	}
	for _, entry := range entries {
		path := filepath.Join(folder, entry.Name())
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			continue // gone, or not ours to remove
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			err = os.Remove(path)
		}
		if err = errors.Join(err, f.Close()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("tidying: %w", err)
		}
	}
	return nil
}

func (s *localStore) create(ctx context.Context, key string, data []byte) error {
	final := s.path(key)
	if _, err := os.Lstat(final); err == nil {
		return ErrExists
	}
	temp := filepath.Join(s.dir, temporary, filepath.Base(final)+"."+rand.Text())
	for _, dir := range []string{filepath.Dir(final), filepath.Dir(temp)} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp) }()          // a file left behind is never read
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_EX) // where there are no locks, Tidy finds none either and removes nothing
	if err := s.fill(f, data); err != nil {
		return errors.Join(err, f.Close())
	}
	err = ctx.Err()
	if err == nil {
		err = os.Link(temp, final) // while it is locked
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return errTidied
	case errors.Is(err, fs.ErrExist):
		return ErrExists
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS), errors.Is(err, syscall.EMLINK):
		return fmt.Errorf("this file system makes no hard links, which creating a file whole and once needs; choose an --out on another: %w", err)
	}
	return err
}

func (s *localStore) fill(f *os.File, data []byte) error {
	if s.write != nil {
		return s.write(f, data)
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

// explain drops the temporary file's name, which would mislead, and adds what to do about a full disk.
func explain(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: free some or choose another --out, then run the same command again", err)
	}
	return err
}

// Read implements Store.
func (s *localStore) Read(ctx context.Context, key string) ([]byte, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(s.path(key))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	return data, nil
}

// List implements Store.
func (s *localStore) List(ctx context.Context, prefix string) ([]string, error) {
	return keysOf(s.Objects(ctx, prefix))
}

// Objects implements Store. A file that goes while the folder is read is left out.
func (s *localStore) Objects(ctx context.Context, prefix string) ([]Object, error) {
	var objects []Object
	start := s.dir
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		start = s.path(prefix[:i])
	}
	err := filepath.WalkDir(start, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		} else if err != nil {
			return err
		}
		relative, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		key := filepath.ToSlash(relative)
		switch {
		case entry.IsDir() && entry.Name() == temporary:
			return filepath.SkipDir
		case !entry.IsDir() && strings.HasPrefix(key, prefix):
			info, err := entry.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			} else if err != nil {
				return err
			}
			objects = append(objects, Object{Key: key, Bytes: info.Size(), Modified: info.ModTime()})
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", s.path(prefix), err)
	}
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

// Exists implements Store.
func (s *localStore) Exists(ctx context.Context, key string) (bool, error) {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return false, err
	}
	_, err := os.Lstat(s.path(key))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// Remove implements Store.
func (s *localStore) Remove(ctx context.Context, key string) error {
	if err := errors.Join(checkKey(key), ctx.Err()); err != nil {
		return err
	}
	if err := os.Remove(s.path(key)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing: %w", err)
	}
	return nil
}

func (s *localStore) open(_ context.Context, key string) (io.ReaderAt, int64, func() error, error) {
	f, err := os.Open(s.path(key))
	if err != nil {
		return nil, 0, nil, fmt.Errorf("reading: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, 0, nil, errors.Join(fmt.Errorf("reading: %w", err), f.Close())
	}
	return f, info.Size(), f.Close, nil
}
