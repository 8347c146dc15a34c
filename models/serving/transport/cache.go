package transport

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Cache keeps replies in a local directory, a file each, so that a repeated run costs no calls. Several processes may
// share it: a file appears whole or not at all, and one that is damaged counts as absent.
type Cache struct{ dir string }

// OpenCache makes the directory if it is missing.
func OpenCache(dir string) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening the response cache: %w", err)
	}
	return &Cache{dir}, nil
}

// cacheKey is the SHA-256, hex, of everything that a reply depends on.
func cacheKey(identity, method, path string, body []byte) string {
	h := sha256.New()
	fmt.Fprintf(h, "1\x1f%d\x1f%s\x1f%s\x1f%s\x1f", len(identity), identity, method, path)
	h.Write(body)
	return hex.EncodeToString(h.Sum(nil))
}

func (c *Cache) file(key string) string { return filepath.Join(c.dir, key[:2], key[2:]+".reply") }

// get gives a stored reply.
func (c *Cache) get(key string) ([]byte, bool) {
	data, err := os.ReadFile(c.file(key))
	if err != nil || len(data) < sha256.Size {
		return nil, false
	}
	sum := sha256.Sum256(data[sha256.Size:])
	return data[sha256.Size:], bytes.Equal(sum[:], data[:sha256.Size])
}

// put stores a reply: its checksum, then its bytes, written beside the place and then moved there.
func (c *Cache) put(key string, reply []byte) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("writing the response cache: %w", err)
		}
	}()
	name := c.file(key)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".new-*")
	if err != nil {
		return err
	}
	sum := sha256.Sum256(reply)
	_, err1 := f.Write(sum[:])
	_, err2 := f.Write(reply)
	if err := errors.Join(err1, err2, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return os.Rename(f.Name(), name)
}
