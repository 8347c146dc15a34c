package pipelines

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/serving/transport"
)

// openCache opens the response cache at a local folder or bucket; nil for "".
func openCache(ctx context.Context, url string) (*transport.Cache, error) {
	switch {
	case url == "":
		return nil, nil
	case !strings.Contains(url, "://"):
		return transport.NewCache(transport.Directory(url)), nil
	}
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("endpoint.cache: %w", err)
	}
	return transport.NewCache(replies{store}), nil
}

// replies is a run's kind of store as a cache's: what is written again replaces what is there.
type replies struct{ dataset.Store }

// Write implements transport.Store.
func (r replies) Write(ctx context.Context, key string, data []byte) error {
	err := r.Create(ctx, key, data)
	if errors.Is(err, dataset.ErrExists) { // damaged, or another process was as fast
		if err = r.Remove(ctx, key); err == nil {
			err = r.Create(ctx, key, data)
		}
	}
	if errors.Is(err, dataset.ErrExists) {
		return nil // another process was faster this time; replies to one request are as good as each other
	}
	return err
}
