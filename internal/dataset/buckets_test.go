package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"

	"github.com/profuser/profuser/internal/dataset/s3test"
	"github.com/profuser/profuser/schemas"
)

// startS3 starts a server for a test.
func startS3(t *testing.T) *s3test.Server {
	t.Helper()
	f, environment, stop := s3test.Start()
	t.Cleanup(stop)
	for key, value := range environment {
		t.Setenv(key, value)
	}
	return f
}

// TestBuckets: Google's store (fake-gcs-server) and S3's (fakeS3) behave as the local one does: a key is created once,
// listings are whole beyond a thousand keys, and a dataset is the same, byte for byte.
func TestBuckets(t *testing.T) {
	startS3(t)
	gcs, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gcs.Stop)
	gcs.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "bucket"})
	t.Setenv("STORAGE_EMULATOR_HOST", strings.TrimPrefix(gcs.URL(), "http://"))
	want := written(t, t.TempDir())
	for _, url := range []string{"s3://bucket/some/run", "gs://bucket/some/run"} {
		t.Run(url[:2], func(t *testing.T) {
			ctx := t.Context()
			s, err := OpenStore(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Create(ctx, "a", []byte("one")); err != nil {
				t.Fatal(err)
			}
			if err := s.Create(ctx, "a", []byte("two")); !errors.Is(err, ErrExists) {
				t.Errorf("another object under the same key: %v", err)
			}
			if err := s.Create(ctx, "a", []byte("one")); err != nil {
				t.Errorf("the same object again: %v", err)
			}
			large := bytes.Repeat([]byte("0123456789abcdef"), 1<<19) // 8 MiB: several pieces
			if err := s.Create(ctx, "large", large); err != nil {
				t.Fatal(err)
			}
			if data, err := s.Read(ctx, "large"); err != nil || !bytes.Equal(data, large) {
				t.Errorf("%d bytes came back, %v", len(data), err)
			}
			if err := s.Create(ctx, "large", large[1:]); !errors.Is(err, ErrExists) {
				t.Errorf("another large object under the same key: %v", err)
			}
			if _, err := s.Read(ctx, "none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("what is not there: %v", err)
			}
			for i := range 1100 {
				if err := s.Create(ctx, fmt.Sprintf("many/%04d", i), []byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			if keys, err := s.List(ctx, "many/"); err != nil || len(keys) != 1100 || keys[1099] != "many/1099" {
				t.Errorf("%d keys, %v", len(keys), err)
			}
			got := written(t, url+"/data")
			for key, data := range want {
				if !bytes.Equal(got[key], data) {
					t.Errorf("%s differs from the local file", key)
				}
			}
			if len(got) != len(want) {
				t.Errorf("%d objects, locally %d", len(got), len(want))
			}
		})
	}
}

// written is a dataset of two parts as it lies in a store, one part of which is read by its footer too.
func written(t *testing.T, url string) map[string][]byte {
	t.Helper()
	ctx := t.Context()
	s, err := OpenStore(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	if err := Begin(ctx, s, "d", Header{Schema: schemas.PromptSchema, ConfigDigest: "c"}); err != nil {
		t.Fatal(err)
	}
	for part := range 2 {
		data, err := EncodePart(samplePrompts(300)[150*part:150*(part+1)], Footer{ConfigDigest: "c", Part: part})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Create(ctx, "d/"+PartName(part), data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Commit(ctx, s, "d", CommitOptions{Parts: 2}); err != nil {
		t.Fatal(err)
	}
	if f, rows, err := PartFooter(ctx, s, "d", 1); err != nil || f.Part != 1 || rows != 150 {
		t.Errorf("footer of part %d with %d rows, %v", f.Part, rows, err)
	}
	keys, err := s.List(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]byte{}
	for _, key := range keys {
		if all[key], err = s.Read(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestBucketFaults: server errors and cut replies are tried again, a bounded number of times; an answer that was lost does
// not make a part look like somebody else's.
func TestBucketFaults(t *testing.T) {
	f := startS3(t)
	store, err := OpenStore(t.Context(), "s3://bucket/run")
	if err != nil {
		t.Fatal(err)
	}
	var waits atomic.Int32
	s := store.(*bucketStore)
	s.wait = func(context.Context, int) error { waits.Add(1); return nil }
	ctx := t.Context()
	var left atomic.Int32
	failing := func(method string, answer func(w http.ResponseWriter)) {
		f.Fault = func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != method || left.Add(-1) < 0 {
				return false
			}
			answer(w)
			return true
		}
	}
	unavailable := func(w http.ResponseWriter) { s3test.Refuse(w, http.StatusServiceUnavailable, "SlowDown") }
	cut := func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "10")
		_, _ = w.Write([]byte("0123"))
	}

	left.Store(tries - 1)
	failing(http.MethodPut, unavailable)
	if err := s.Create(ctx, "k", []byte("0123456789")); err != nil {
		t.Errorf("a put that fails %d times: %v", tries-1, err)
	}
	left.Store(tries - 1)
	failing(http.MethodGet, cut)
	if data, err := s.Read(ctx, "k"); err != nil || string(data) != "0123456789" {
		t.Errorf("a reply cut %d times: %q, %v", tries-1, data, err)
	}
	left.Store(tries - 1)
	failing(http.MethodGet, unavailable)
	if keys, err := s.List(ctx, ""); err != nil || len(keys) != 1 {
		t.Errorf("a listing that fails %d times: %v, %v", tries-1, keys, err)
	}
	if waits.Load() != 3*(tries-1) {
		t.Errorf("%d pauses, want %d", waits.Load(), 3*(tries-1))
	}
	left.Store(1 << 20)
	failing(http.MethodGet, unavailable)
	if _, err := s.Read(ctx, "k"); err == nil || errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "\n") {
		t.Errorf("a store that is down: %v", err)
	}
	if n := 1<<20 - left.Load(); n != tries {
		t.Errorf("%d requests to a store that is down", n)
	}
	f.Fault = nil
	lost := false
	f.Lose = func(*http.Request) bool { lost = !lost; return lost }
	if err := s.Create(ctx, "lost", []byte("ours")); err != nil {
		t.Errorf("a put whose answer is lost: %v", err)
	}
	f.Lose = nil
	if err := s.Create(ctx, "lost", []byte("theirs")); !errors.Is(err, ErrExists) {
		t.Errorf("another's bytes: %v", err)
	}
	if _, err := os.Stat("run"); err == nil {
		t.Error("a local folder was made")
	}
}
