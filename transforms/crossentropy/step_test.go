package crossentropy_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/runners/prism"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/crossentropy"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/transformtest"
)

func TestMain(m *testing.M) { os.Exit(transformtest.Main(m)) }

// read makes four prompts, of which the third has no reference, and reads them in two parts.
func read(ctx context.Context, url string) ([]schemas.TeacherForcing, error) {
	if err := transformtest.Prompts(ctx, url, 4, 2); err != nil {
		return nil, err
	}
	defer transformtest.Close()
	s := crossentropy.Step{
		Source: transformtest.MPT("../.."), Prompts: "prompts", Output: "crossentropy/mpt", Footer: dataset.Footer{ConfigDigest: "test"},
		Truncate: dist.Truncate{Mass: 1, TopK: 2},
	}
	err := transformtest.Run(ctx, url, 2, s, []string{schemas.TeacherForcingSchema}, func(scope beam.Scope, numbers beam.PCollection) beam.PCollection {
		return crossentropy.Score(scope, s, url, 2, numbers)
	})
	if err != nil {
		return nil, err
	}
	return transformtest.Read[schemas.TeacherForcing](ctx, url, s.Output)
}

func ExampleScore() {
	url, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(url)
	transformtest.Use(nil) // a model that gives every token a log-prob of -1/16
	rows, err := read(context.Background(), url)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range rows {
		fmt.Printf("%d tokens, %d bytes, %g nats\n", r.Tokens, r.Bytes, r.Nats)
	}
	// Output:
	// 20 tokens, 37 bytes, 1.25 nats
	// 17 tokens, 37 bytes, 1.0625 nats
	// 17 tokens, 37 bytes, 1.0625 nats
}

// TestReadings: prompts without a reference give no row; a row's sums are those of its tokens.
func TestReadings(t *testing.T) {
	transformtest.Use(nil)
	rows, err := read(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 3 {
		t.Fatalf("%d rows, want 3", len(rows))
	}
	for _, r := range rows {
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
		var nats float64
		for _, lp := range r.TokenLogProbs {
			nats -= float64(lp)
		}
		if math.Abs(nats-r.Nats) > 1e-9 || math.Abs(r.NatsPerByte*float64(r.Bytes)-nats) > 1e-9 || int(r.Tokens) != len(r.TokenIDs) {
			t.Errorf("prompt %s: %g nats, %g a byte, %d tokens; its tokens have %g nats", r.ID, r.Nats, r.NatsPerByte, r.Tokens, nats)
		}
	}
}

// TestTooLong: a reference that does not fit is rejected.
func TestTooLong(t *testing.T) {
	transformtest.Use(func(_ string, m *transformtest.Model) { m.Tokens = 8 })
	url := t.TempDir()
	_, err := read(t.Context(), url)
	var over *dataset.RejectsError
	if err == nil {
		t.Fatal("a dataset without rows was committed though at most half may be rejected")
	}
	store, _ := dataset.OpenStore(t.Context(), url)
	_, err = dataset.Commit(t.Context(), store, "crossentropy/mpt", dataset.CommitOptions{Parts: 2})
	if !errors.As(err, &over) || !strings.Contains(err.Error(), crossentropy.CodeTooLong) {
		t.Errorf("error %v, want one that says too_long", err)
	}
}

// TestFailingModel: an error of the model ends the job and names prompt and source.
func TestFailingModel(t *testing.T) {
	transformtest.Use(func(_ string, m *transformtest.Model) { m.Fail = errors.New("the plug was pulled") })
	_, err := read(t.Context(), t.TempDir())
	text, ok := sink.FaultText(err)
	if !ok || !strings.Contains(text, "source mpt: reading the reference: the plug was pulled") || !strings.Contains(text, "prompt ") {
		t.Errorf("fault %q of %v", text, err)
	}
}
