package prefetch

import "context"

// InOrder reads things 0 to n-1, up to parallel at a time, and takes them in their order. The first fault ends it.
func InOrder[T any](ctx context.Context, n, parallel int, read func(ctx context.Context, i int) (T, error), take func(i int, value T) error) error {
	p := NewParts(ctx, parallel+1, parallel, read)
	defer p.Close()
	for i := range n {
		for ahead := i; ahead < min(n, i+parallel); ahead++ {
			p.Ahead(ahead)
		}
		value, err := p.Get(ctx, i)
		if err == nil {
			err = take(i, value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
