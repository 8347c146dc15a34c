package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// ErrExists says that a key was created before, by this process or another; what is there is left as it is.
var ErrExists = errors.New("exists already")

// Store holds the objects of a run under one root. Keys are slash-separated and relative, such as
// prompts/part-000012.parquet. All methods are safe for concurrent use, between processes too.
type Store interface {
	// Create writes a new object: whole or not at all, visible only when whole. A key that exists is ErrExists.
	Create(ctx context.Context, key string, data []byte) error
	// Read returns a whole object; a missing one is fs.ErrNotExist.
	Read(ctx context.Context, key string) ([]byte, error)
	// List returns the keys that begin with prefix, at any depth, sorted.
	List(ctx context.Context, prefix string) ([]string, error)
	// Objects is List with what one listing tells of each object.
	Objects(ctx context.Context, prefix string) ([]Object, error)
	// Exists says whether the key is there.
	Exists(ctx context.Context, key string) (bool, error)
	// Remove deletes an object; a missing one is no error.
	Remove(ctx context.Context, key string) error
	// URL is the root, as given to OpenStore.
	URL() string
}

// Replace writes an object anew, for what is a view of other objects and no data: for a moment it is not there.
func Replace(ctx context.Context, s Store, key string, data []byte) error {
	if err := s.Remove(ctx, key); err != nil {
		return err
	}
	return s.Create(ctx, key, data)
}

// Object is one object of a listing.
type Object struct {
	// Key is its name.
	Key string
	// Bytes is its size.
	Bytes int64
	// Modified is when it was written, by the store's clock.
	Modified time.Time
}

// keysOf are the keys of objects.
func keysOf(objects []Object, err error) ([]string, error) {
	var keys []string
	for _, o := range objects {
		keys = append(keys, o.Key)
	}
	return keys, err
}

// opener is a Store that reads pieces of an object.
type opener interface {
	open(ctx context.Context, key string) (r io.ReaderAt, size int64, done func() error, err error)
}

// OpenStore returns the store at a local folder, gs://bucket/prefix, s3://bucket/prefix or mem://name (kept for the
// life of the process, for tests). gs:// honours STORAGE_EMULATOR_HOST; a local folder is made by the first Create.
func OpenStore(ctx context.Context, url string) (Store, error) {
	scheme, rest, isURL := strings.Cut(url, "://")
	switch {
	case url == "":
		return nil, errors.New("opening a store: the address is empty: want a local folder, gs://, s3:// or mem://")
	case !isURL:
		return &localStore{dir: url}, nil
	case scheme == "file":
		return &localStore{dir: rest}, nil
	}
	if s, ok, err := registered(ctx, scheme, url); ok {
		return s, err
	}
	root, prefix, _ := strings.Cut(rest, "/")
	if root == "" {
		return nil, fmt.Errorf("opening store %s: the bucket's name is missing", url)
	}
	bucket, err := openBucket(ctx, scheme, root)
	if err != nil {
		return nil, fmt.Errorf("opening store %s: %w", url, err)
	}
	prefix = strings.Trim(prefix, "/")
	if prefix != "" {
		prefix += "/"
	}
	return &bucketStore{url: url, bucket: bucket, prefix: prefix}, nil
}

// checkKey refuses keys that would leave the root or meet the temporary files.
func checkKey(key string) error {
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." || part == temporary {
			return fmt.Errorf("key %q: want names separated by single slashes, none of them empty, ., .. or %s", key, temporary)
		}
	}
	return nil
}

// opened are the schemes that Register has added.
var opened sync.Map

// Register makes OpenStore open addresses of a scheme with open, which gets the whole address. It is for stores that this
// package does not know, such as those of tests; register before the first OpenStore.
func Register(scheme string, open func(ctx context.Context, url string) (Store, error)) {
	opened.Store(scheme, open)
}

// registered opens an address of an added scheme.
func registered(ctx context.Context, scheme, url string) (s Store, ok bool, err error) {
	open, ok := opened.Load(scheme)
	if !ok {
		return nil, false, nil
	}
	s, err = open.(func(context.Context, string) (Store, error))(ctx, url)
	return s, true, err
}
