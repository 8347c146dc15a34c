package transport

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Store keeps objects by key, a slash-separated relative name: a local directory or a bucket. Methods are for
// concurrent use; an object appears whole or not at all.
type Store interface {
	// Read returns an object; fs.ErrNotExist if there is none.
	Read(ctx context.Context, key string) ([]byte, error)
	// Write keeps an object, instead of one that is there.
	Write(ctx context.Context, key string, data []byte) error
}

// Cache keeps replies, an object each, so that a repeated run costs no calls. Several processes may share it; a reply
// that is damaged counts as absent.
type Cache struct{ store Store }

// NewCache keeps replies in a store.
func NewCache(s Store) *Cache { return &Cache{s} }

// cacheKey is the SHA-256, hex, of everything that a reply depends on.
func cacheKey(identity, method, path string, body []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "1\x1f%d\x1f%s\x1f%s\x1f%s\x1f", len(identity), identity, method, path)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func object(key string) string { return key[:2] + "/" + key[2:] + ".reply" }

// get gives a stored reply, nil if there is none. A store that cannot be read is an error: calls would be paid again.
func (c *Cache) get(ctx context.Context, key string) ([]byte, error) {
	data, err := c.store.Read(ctx, object(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the response cache: %w", err)
	}
	if len(data) < sha256.Size {
		return nil, nil
	}
	sum, reply := data[:sha256.Size], data[sha256.Size:]
	if own := sha256.Sum256(reply); !bytes.Equal(own[:], sum) {
		return nil, nil
	}
	return reply, nil
}

// put stores a reply: its checksum, then its bytes.
func (c *Cache) put(ctx context.Context, key string, reply []byte) error {
	sum := sha256.Sum256(reply)
	if err := c.store.Write(ctx, object(key), append(sum[:], reply...)); err != nil {
		return fmt.Errorf("writing the response cache: %w", err)
	}
	return nil
}

// Directory is a Store in a local directory, which is made when it is missing.
type Directory string

// Read implements Store.
func (d Directory) Read(_ context.Context, key string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(d), filepath.FromSlash(key)))
}

// Write implements Store: the object is written beside its place and moved there.
func (d Directory) Write(_ context.Context, key string, data []byte) error {
	name := filepath.Join(string(d), filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
