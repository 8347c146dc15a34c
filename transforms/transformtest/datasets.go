package transformtest

import (
	"context"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
	"github.com/profuser/profuser/transforms/sink"
)

// Llama and MPT are models with the demo's tokenizers; root is the path to the repository.
func Llama(root string) inflight.Model {
	return inflight.Model{Name: "llama", Dir: root + "/data/tokenizers/llama", Concurrency: 4}
}

// MPT is the one with the byte-level tokenizer.
func MPT(root string) inflight.Model {
	return inflight.Model{Name: "mpt", Dir: root + "/data/tokenizers/mpt", Concurrency: 4}
}

// Prompts commits the dataset prompts with n questions of user in parts of rows. Every third has no reference; a
// reference says the answer in more words.
func Prompts(ctx context.Context, url string, n, rows int) error {
	var all []schemas.Prompt
	for i := range n {
		messages := []schemas.Message{{Role: schemas.RoleUser, Content: fmt.Sprintf("What is %d plus %d?", i, i%7)}}
		p := schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages, Tags: []string{"sums"}, Meta: fmt.Sprintf(`{"answer":"%d"}`, i+i%7)}
		if i%3 != 2 {
			reference := fmt.Sprintf("Let us see: %d and %d. The answer is %d.", i, i%7, i+i%7)
			p.Reference = &reference
		}
		all = append(all, p)
	}
	var parts [][]schemas.Prompt
	for ; len(all) > 0; all = all[min(rows, len(all)):] {
		parts = append(parts, all[:min(rows, len(all))])
	}
	return Write(ctx, url, "prompts", schemas.PromptSchema, parts)
}

// Write commits a dataset of the given parts.
func Write[T any](ctx context.Context, url, name, schema string, parts [][]T) error {
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	if err := dataset.Begin(ctx, store, name, dataset.Header{Schema: schema, ConfigDigest: "test"}); err != nil {
		return err
	}
	for k, rows := range parts {
		data, err := dataset.EncodePart(rows, dataset.Footer{Part: k, ConfigDigest: "test"})
		if err != nil {
			return err
		}
		if err := store.Create(ctx, name+"/"+dataset.PartName(k), data); err != nil {
			return err
		}
	}
	_, err = dataset.Commit(ctx, store, name, dataset.CommitOptions{Parts: len(parts)})
	return err
}

// Read returns all rows of a committed dataset.
func Read[T any](ctx context.Context, url, name string) ([]T, error) {
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return nil, err
	}
	return dataset.All[T](ctx, store, name)
}

// Run makes parts 0 to n-1 of a step's datasets, of the given schemas, on the runner under test, and commits them.
func Run(ctx context.Context, url string, n int, step sink.Step, schemas []string, build func(s beam.Scope, parts beam.PCollection) beam.PCollection) error {
	store, err := dataset.OpenStore(ctx, url)
	if err != nil {
		return err
	}
	for i, name := range step.Datasets() {
		if err := dataset.Begin(ctx, store, name, dataset.Header{Schema: schemas[i], ConfigDigest: "test"}); err != nil {
			return err
		}
	}
	numbers := make([]int, n)
	for k := range numbers {
		numbers[k] = k
	}
	p, s := beam.NewPipelineWithRoot()
	sink.Commit(s, url, step.Datasets(), dataset.CommitOptions{Parts: n, MaxRejects: 0.5}, build(s, sink.Numbers(s, numbers, 1)))
	return ptest.Run(p)
}
