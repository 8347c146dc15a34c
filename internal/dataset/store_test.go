package dataset

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// stores are one of every kind that needs no network.
func stores(t *testing.T) map[string]Store {
	t.Helper()
	out := map[string]Store{}
	for kind, url := range map[string]string{"local": filepath.Join(t.TempDir(), "run"), "memory": "mem://" + t.Name() + "/run/"} {
		s, err := OpenStore(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		out[kind] = s
	}
	return out
}

// eachStore runs a test on every kind of store.
func eachStore(t *testing.T, test func(t *testing.T, s Store)) {
	for kind, s := range stores(t) {
		t.Run(kind, func(t *testing.T) { test(t, s) })
	}
}

func TestStore(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		ctx := t.Context()
		if keys, err := s.List(ctx, "a/"); err != nil || len(keys) != 0 {
			t.Errorf("an empty store lists %v, %v", keys, err)
		}
		for _, key := range []string{"a/2", "a/1", "a/b/3", "c"} {
			if err := s.Create(ctx, key, []byte(key)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.Create(ctx, "a/1", []byte("other")); !errors.Is(err, ErrExists) {
			t.Errorf("a second create gave %v, want ErrExists", err)
		}
		if data, err := s.Read(ctx, "a/1"); err != nil || string(data) != "a/1" {
			t.Errorf("read %q, %v", data, err)
		}
		for _, text := range []string{"new", "newer"} {
			if err := Replace(ctx, s, "c", []byte(text)); err != nil {
				t.Error(err)
			}
			if data, err := s.Read(ctx, "c"); err != nil || string(data) != text {
				t.Errorf("replaced by %q, read %q, %v", text, data, err)
			}
		}
		keys, err := s.List(ctx, "a/")
		if diff := cmp.Diff([]string{"a/1", "a/2", "a/b/3"}, keys); err != nil || diff != "" {
			t.Errorf("list: %v\n%s", err, diff)
		}
		if err := errors.Join(s.Remove(ctx, "a/1"), s.Remove(ctx, "a/1")); err != nil {
			t.Error(err)
		}
		if there, err := s.Exists(ctx, "a/1"); there || err != nil {
			t.Errorf("after removing: there %v, %v", there, err)
		}
		if _, err := s.Read(ctx, "a/1"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reading what is not there gave %v, want fs.ErrNotExist", err)
		}
		for _, key := range []string{"", "/a", "a//b", "../a", "a/./b", ".tmp/x"} {
			if err := s.Create(ctx, key, nil); err == nil {
				t.Errorf("key %q was accepted", key)
			}
		}
	})
}

// TestOneCreateWins: of many who create one key at once one does, and all read what it wrote.
func TestOneCreateWins(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		var won atomic.Int32
		var group sync.WaitGroup
		for i := range 16 {
			group.Go(func() {
				err := s.Create(t.Context(), "d/part", []byte(fmt.Sprint("writer ", i)))
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, ErrExists) {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if data, err := s.Read(t.Context(), "d/part"); won.Load() != 1 || err != nil || !strings.HasPrefix(string(data), "writer ") {
			t.Errorf("%d creates won, what is there is %q, %v", won.Load(), data, err)
		}
	})
}

// TestFullDisk: a write that fails half-way leaves nothing, the error says where and what to do, and the same call works
// once there is room.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := &localStore{dir: dir, write: func(f *os.File, data []byte) error {
		if _, err := f.Write(data[:len(data)/2]); err != nil {
			return err
		}
		return &fs.PathError{Op: "write", Path: f.Name(), Err: syscall.ENOSPC}
	}}
	err := s.Create(t.Context(), "d/part-000000.parquet", []byte("0123456789"))
	want := "writing " + filepath.Join(dir, "d", "part-000000.parquet") + ": no space left on device: free some or choose another --out, then run the same command again"
	if !errors.Is(err, syscall.ENOSPC) || err.Error() != want {
		t.Errorf("error %v\nwant %s", err, want)
	}
	if keys, err := s.List(t.Context(), ""); err != nil || len(keys) != 0 {
		t.Errorf("left behind: %v, %v", keys, err)
	}
	if entries, err := os.ReadDir(filepath.Join(dir, temporary)); err != nil || len(entries) != 0 {
		t.Errorf("scratch files left: %v, %v", entries, err)
	}
	s.write = nil
	if err := s.Create(t.Context(), "d/part-000000.parquet", []byte("0123456789")); err != nil {
		t.Error(err)
	}
}

// TestTidy: what killed writers left half-written goes; what a living one holds
// locked stays, and so does everything outside the temporary folder.
func TestTidy(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenStore(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Tidy(s); err != nil {
		t.Errorf("a store without a temporary folder: %v", err)
	}
	if err := s.Create(t.Context(), "d/part-000000.parquet", []byte("whole")); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Join(dir, temporary)
	for _, name := range []string{"part-000001.parquet.LEFT", "_MANIFEST-000001.json.LEFT", "part-000002.parquet.HELD"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte("ha"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	held, err := os.Open(filepath.Join(folder, "part-000002.parquet.HELD"))
	if err == nil {
		err = syscall.Flock(int(held.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatal(err)
	}
	tidied := func(want ...string) {
		t.Helper()
		if err := Tidy(s); err != nil {
			t.Fatal(err)
		}
		entries, err := os.ReadDir(folder)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("temporary files (-want +got):\n%s", diff)
		}
	}
	tidied("part-000002.parquet.HELD")
	if err := held.Close(); err != nil { // as when its process ends
		t.Fatal(err)
	}
	tidied()
	if data, err := s.Read(t.Context(), "d/part-000000.parquet"); err != nil || string(data) != "whole" {
		t.Errorf("the finished part: %q, %v", data, err)
	}
}

// TestTidyRace: a writer whose temporary file another process's Tidy took before it was locked writes it again.
func TestTidyRace(t *testing.T) {
	dir := t.TempDir()
	taken := false
	s := &localStore{dir: dir, write: func(f *os.File, data []byte) error {
		if _, err := f.Write(data); err != nil || taken {
			return err
		}
		taken = true
		return os.Remove(f.Name())
	}}
	if err := s.Create(t.Context(), "d/part", []byte("x")); err != nil || !taken {
		t.Fatal(err, taken)
	}
	if data, err := s.Read(t.Context(), "d/part"); err != nil || string(data) != "x" {
		t.Errorf("read %q, %v", data, err)
	}
}

// TestCancelled: a cancelled create leaves nothing either.
func TestCancelled(t *testing.T) {
	eachStore(t, func(t *testing.T, s Store) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Create(ctx, "d/part", []byte("x")); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want context.Canceled", err)
		}
		if there, err := s.Exists(t.Context(), "d/part"); there || err != nil {
			t.Errorf("there %v, %v", there, err)
		}
	})
}

func TestOpenStoreRefuses(t *testing.T) {
	for url, want := range map[string]string{"": "the address is empty", "gs://": "the bucket's name is missing", "ftp://host/x": `unknown scheme "ftp"`} {
		if _, err := OpenStore(t.Context(), url); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
}
