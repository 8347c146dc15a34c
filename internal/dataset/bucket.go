package dataset

import (
	"bytes"
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
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
	// wait replaces the pause before a request is made again in tests.
	wait func(ctx context.Context, try int) error
}

// tries is how often a request is made at most.
const tries = 6

// tried makes a request again while the store's answer says nothing about it: server errors, cut replies.
func (s *bucketStore) tried(ctx context.Context, request func() error) error {
	for try := 1; ; try++ {
		err := request()
		if err == nil || try == tries || ctx.Err() != nil || final(err) {
			return err
		}
		wait := s.wait
		if wait == nil {
			wait = pause
		}
		if waitErr := wait(ctx, try); waitErr != nil {
			return errors.Join(err, waitErr)
		}
	}
}

// final says that the same request would get the same answer.
func final(err error) bool {
	switch gcerrors.Code(err) {
	case gcerrors.NotFound, gcerrors.AlreadyExists, gcerrors.FailedPrecondition, gcerrors.InvalidArgument, gcerrors.PermissionDenied, gcerrors.Unimplemented, gcerrors.Canceled:
		return !errors.Is(err, io.ErrUnexpectedEOF)
	}
	return false
}

// pause waits a quarter of a second, then twice as long each time.
func pause(ctx context.Context, try int) error {
	select {
	case <-time.After(125 * time.Millisecond << try):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
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
		client.SetRetry(storage.WithPolicy(storage.RetryNever)) // the client's own tries would multiply with ours
		return gcsblob.OpenBucket(ctx, nil, name, &gcsblob.Options{Client: client})
	case s3blob.Scheme:
		// No tries of the client's own: they would multiply with ours.
		config, err := awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }))
		if err != nil {
			return nil, err
		}
		return s3blob.OpenBucket(ctx, s3.NewFromConfig(config), name, nil)
	case memblob.Scheme:
		bucket, _ := memory.LoadOrStore(name, memblob.OpenBucket(nil))
		return bucket.(*blob.Bucket), nil
	}
	return nil, fmt.Errorf("unknown scheme %q: want a local folder, gs://, s3:// or mem://", scheme)
}

// URL implements Store.
func (s *bucketStore) URL() string { return s.url }

func (s *bucketStore) name(key string) string { return strings.TrimSuffix(s.url, "/") + "/" + key }

// Create implements Store. A store that refuses a key because it is there may have it from an earlier try of ours whose answer
// was lost: the same bytes are success, whoever wrote them.
func (s *bucketStore) Create(ctx context.Context, key string, data []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	err := s.tried(ctx, func() error { return s.upload(ctx, s.prefix+key, data) })
	switch {
	case err == nil:
		return nil
	case gcerrors.Code(err) == gcerrors.FailedPrecondition, gcerrors.Code(err) == gcerrors.AlreadyExists:
		if there, err := s.Read(ctx, key); err == nil && bytes.Equal(there, data) {
			return nil
		}
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
	var data []byte
	err := s.tried(ctx, func() (err error) {
		data, err = s.download(ctx, s.prefix+key)
		return err
	})
	if err != nil {
		return nil, s.readError(key, err)
	}
	return data, nil
}

// download reads an object; a reply that ends early is io.ErrUnexpectedEOF.
func (s *bucketStore) download(ctx context.Context, name string) ([]byte, error) {
	r, err := s.bucket.NewReader(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(r)
	if err = errors.Join(err, r.Close()); err == nil && int64(len(data)) != r.Size() {
		err = fmt.Errorf("%d of %d bytes came: %w", len(data), r.Size(), io.ErrUnexpectedEOF)
	}
	return data, err
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
	page := blob.FirstPageToken
	for len(page) > 0 {
		var listed []*blob.ListObject
		err := s.tried(ctx, func() (err error) {
			var next []byte
			if listed, next, err = s.bucket.ListPage(ctx, page, 1000, &blob.ListOptions{Prefix: s.prefix + prefix}); err == nil {
				page = next
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", s.name(prefix), oneLine(err))
		}
		for _, object := range listed {
			objects = append(objects, Object{Key: strings.TrimPrefix(object.Key, s.prefix), Bytes: object.Size, Modified: object.ModTime})
		}
	}
	slices.SortFunc(objects, func(a, b Object) int { return strings.Compare(a.Key, b.Key) })
	return objects, nil
}

// Exists implements Store.
func (s *bucketStore) Exists(ctx context.Context, key string) (bool, error) {
	if err := checkKey(key); err != nil {
		return false, err
	}
	var there bool
	err := s.tried(ctx, func() (err error) {
		there, err = s.bucket.Exists(ctx, s.prefix+key)
		return err
	})
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
	if err := s.tried(ctx, func() error { return s.bucket.Delete(ctx, s.prefix+key) }); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return fmt.Errorf("removing %s: %w", s.name(key), oneLine(err))
	}
	return nil
}

func (s *bucketStore) open(ctx context.Context, key string) (io.ReaderAt, int64, func() error, error) {
	var attributes *blob.Attributes
	err := s.tried(ctx, func() (err error) {
		attributes, err = s.bucket.Attributes(ctx, s.prefix+key)
		return err
	})
	if err != nil {
		return nil, 0, nil, s.readError(key, err)
	}
	at := func(p []byte, offset int64) (n int, err error) {
		err = s.tried(ctx, func() error {
			r, err := s.bucket.NewRangeReader(ctx, s.prefix+key, offset, int64(len(p)), nil)
			if err != nil {
				return err
			}
			n, err = io.ReadFull(r, p)
			return errors.Join(err, r.Close())
		})
		if err != nil {
			err = s.readError(key, err)
		}
		return n, err
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
