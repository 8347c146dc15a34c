package inspect

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
)

// place is what an address stands for: one file, or datasets, of one store.
type place struct {
	store dataset.Store
	// file is the key of a Parquet file, "" for datasets.
	file string
	// names are the datasets' in the store.
	names []string
}

// find looks at what is there: a name that ends in .parquet is a file; else the address is a dataset's folder or a
// folder with datasets below it.
func find(ctx context.Context, address string) (place, error) {
	root, name, err := split(address)
	if err != nil {
		return place{}, err
	}
	store, name, err := ascend(ctx, root, name)
	if err != nil {
		return place{}, err
	}
	if path.Ext(name) == ".parquet" {
		return place{store: store, file: name}, nil
	}
	names, err := dataset.Names(ctx, store, name+"/")
	if err != nil {
		return place{}, err
	}
	if len(names) == 0 {
		return place{}, fmt.Errorf("%s: no dataset is there (a folder with _DATASET.json), nor below it, and it is no .parquet file", address)
	}
	return place{store: store, names: names}, nil
}

// split cuts an address into the store's and the last name.
func split(address string) (root, name string, err error) {
	if scheme, rest, isURL := strings.Cut(address, "://"); isURL {
		root, name = path.Split(path.Clean(rest))
		if root == "" {
			return "", "", fmt.Errorf("%s: want a folder or a file in the bucket", address)
		}
		return scheme + "://" + strings.TrimSuffix(root, "/"), name, nil
	}
	local := filepath.Clean(address)
	if base := filepath.Base(local); base == "." || base == ".." {
		if local, err = filepath.Abs(local); err != nil {
			return "", "", err
		}
	}
	return filepath.Dir(local), filepath.Base(local), nil
}

// ascend opens the store at the folder of the run that an address belongs to: root or one of the two folders above it,
// the first that has prompts/; else root.
func ascend(ctx context.Context, root, name string) (dataset.Store, string, error) {
	at, below := root, name
	for range 3 {
		store, err := dataset.OpenStore(ctx, at)
		if err != nil {
			return nil, "", err
		}
		if run, err := store.Exists(ctx, "prompts/_DATASET.json"); err == nil && run {
			return store, below, nil
		}
		up, last, err := split(at)
		if err != nil || up == at {
			break
		}
		at, below = up, last+"/"+below
	}
	store, err := dataset.OpenStore(ctx, root)
	return store, name, err
}
