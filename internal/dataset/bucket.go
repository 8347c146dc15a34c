package dataset

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"cloud.google.com/go/storage"
	"gocloud.dev/blob"
	"gocloud.dev/blob/gcsblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"
)

// bucketStore keeps objects in an object store that creates them atomically and on the condition that they are new.
type bucketStore struct {
	url    string
	bucket *blob.Bucket
	prefix string // "" or ends with a slash
}

// memory holds the mem:// stores of this process by name.
var memory sync.Map

// openBucket opens the bucket called name. A bucket lives as long as the process, as the stores that share it do.
func openBucket(ctx context.Context, scheme, name string) (*blob.Bucket, error) {
	switch scheme {
	case "gs":
		// JSON reads, since emulators do not speak the XML interface; the client reads STORAGE_EMULATOR_HOST itself.
		client, err := storage.NewClient(ctx, storage.WithJSONReads())
		if err != nil {
			return nil, err
		}
		return gcsblob.OpenBucket(ctx, nil, name, &gcsblob.Options{Client: client})
	case s3blob.Scheme:
		return blob.OpenBucket(ctx, s3blob.Scheme+"://"+name)
	case memblob.Scheme:
		bucket, _ := memory.LoadOrStore(name, memblob.OpenBucket(nil))
		return bucket.(*blob.Bucket), nil
	}
	return nil, fmt.Errorf("unknown scheme %q: want a local folder, gs://, s3:// or mem://", scheme)
}

// URL implements Store.
func (s *bucketStore) URL() string { return s.url }

func (s *bucketStore) name(key string) string { return strings.TrimSuffix(s.url, "/") + "/" + key }

// Create implements Store.
func (s *bucketStore) Create(ctx context.Context, key string, data []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := s.upload(ctx, s.prefix+key, data)
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.FailedPrecondition, gcerrors.Code(err) == gcerrors.AlreadyExists:
		return fmt.Errorf("writing %s: %w", s.name(key), ErrExists)
	}
	return fmt.Errorf("writing %s: %w", s.name(key), oneLine(err))
}

// upload cancels the writer's context on a fault: closing it instead would commit what was sent so far.
func (s *bucketStore) upload(ctx context.Context, name string, data []byte) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	sum := md5.Sum(data)
	w, err := s.bucket.NewWriter(ctx, name, &blob.WriterOptions{
		IfNotExist: true, ContentType: "application/octet-stream", ContentMD5: sum[:],
	})
	if err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		cancel()
		_ = w.Close() // the first error says what is wrong
		return err
	}
	return w.Close()
}

// Read implements Store.
func (s *bucketStore) Read(ctx context.Context, key string) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	data, err := s.bucket.ReadAll(ctx, s.prefix+key)
	if err != nil {
		return nil, s.readError(key, err)
	}
	return data, nil
}

func (s *bucketStore) readError(key string, err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fmt.Errorf("reading %s: %w", s.name(key), fs.ErrNotExist)
	}
	return fmt.Errorf("reading %s: %w", s.name(key), oneLine(err))
}

// List implements Store.
func (s *bucketStore) List(ctx context.Context, prefix string) ([]string, error) {
	return keysOf(s.Objects(ctx, prefix))
}

// Objects implements Store.
func (s *bucketStore) Objects(ctx context.Context, prefix string) ([]Object, error) {
	var objects []Object
	list := s.bucket.List(&blob.ListOptions{Prefix: s.prefix + prefix})
	for {
		object, err := list.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", s.name(prefix), oneLine(err))
		}
		objects = append(objects, Object{Key: strings.TrimPrefix(object.Key, s.prefix), Bytes: object.Size, Modified: object.ModTime})
	}
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

// Exists implements Store.
func (s *bucketStore) Exists(ctx context.Context, key string) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	there, err := s.bucket.Exists(ctx, s.prefix+key)
	if err != nil {
		return false, s.readError(key, err)
	}
	return there, nil
}

// Remove implements Store.
func (s *bucketStore) Remove(ctx context.Context, key string) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if err := s.bucket.Delete(ctx, s.prefix+key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("removing %s: %w", s.name(key), oneLine(err))
	}
	return nil
}

func (s *bucketStore) open(ctx context.Context, key string) (io.ReaderAt, int64, func() error, error) {
	attributes, err := s.bucket.Attributes(ctx, s.prefix+key)
	if err != nil {
		return nil, 0, nil, s.readError(key, err)
	}
	at := func(p []byte, offset int64) (int, error) {
		r, err := s.bucket.NewRangeReader(ctx, s.prefix+key, offset, int64(len(p)), nil)
		if err != nil {
			return 0, s.readError(key, err)
		}
		n, err := io.ReadFull(r, p)
		return n, errors.Join(err, r.Close())
	}
	return readerAt(at), attributes.Size, func() error { return nil }, nil
}

type readerAt func(p []byte, offset int64) (int, error)

// ReadAt implements io.ReaderAt.
func (r readerAt) ReadAt(p []byte, offset int64) (int, error) { return r(p, offset) }

// oneLineError shows an object store's error on one line and unwraps to it.
type oneLineError struct{ error }

func oneLine(err error) error { return oneLineError{err} }

// Error joins the lines.
func (e oneLineError) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

// Unwrap returns the store's own error.
func (e oneLineError) Unwrap() error { return e.error }
