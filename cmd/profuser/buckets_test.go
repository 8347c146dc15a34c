package main

import (
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/dataset/s3test"
)

// TestBuckets runs the command lines of testdata/buckets beside emulators of Google's and Amazon's stores.
func TestBuckets(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	_, environment, stop := s3test.Start()
	t.Cleanup(stop)
	gcs, err := fakestorage.NewServerWithOptions(fakestorage.Options{Scheme: "http", Host: "127.0.0.1", Port: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gcs.Stop)
	gcs.CreateBucketWithOpts(fakestorage.CreateBucketOpts{Name: "bucket"})
	environment["STORAGE_EMULATOR_HOST"] = strings.TrimPrefix(gcs.URL(), "http://")
	for key, value := range environment {
		t.Setenv(key, value) // samestore reads the stores in this process
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/buckets",
		Setup: func(e *testscript.Env) error {
			for key, value := range environment {
				e.Setenv(key, value)
			}
			return world(e.WorkDir, root)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"samestore": sameStore},
	})
}

// sameStore compares all objects of a local folder with those of a store, costs of steps aside.
func sameStore(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: samestore OUT URL")
	}
	ctx := context.Background()
	objects := func(url string) (all []string, data map[string]string) {
		store, err := dataset.OpenStore(ctx, url)
		ts.Check(err)
		keys, err := store.List(ctx, "")
		ts.Check(err)
		data = map[string]string{}
		for _, key := range keys {
			if path.Dir(key) == "steps" {
				continue
			}
			b, err := store.Read(ctx, key)
			ts.Check(err)
			all, data[key] = append(all, key), string(b)
		}
		return all, data
	}
	here, a := objects(ts.MkAbs(args[0]))
	there, b := objects(args[1])
	if !slices.Equal(here, there) || len(here) == 0 {
		ts.Fatalf("%d objects in %s, %d in %s", len(here), args[0], len(there), args[1])
	}
	for key, data := range a {
		if b[key] != data {
			ts.Fatalf("%s differs in %s", key, args[1])
		}
	}
}
