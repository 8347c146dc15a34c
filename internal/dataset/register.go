package dataset

import (
	"context"
	"sync"
)

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
