package exam

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

// partItems is how many items a part has: what is lost at most of a call's work when the job is stopped, by the parts in
// flight.
const partItems = 64

// Requests are the items as they are asked, in the file's order, the first o.Limit of each subject. A file of examples is
// needed for examples.
func Requests(o Options) ([]schemas.BenchmarkItem, error) {
	t := o.task
	documents, err := Documents(t, o.Items, o.Subject)
	if err != nil {
		return nil, err
	}
	var pool []harness.Document
	if o.shots() > 0 {
		if o.FewShot == "" {
			return nil, fmt.Errorf("%s is asked with %d examples, whose file is missing: give --fewshot-file, or --shots 0", t.Name, o.shots())
		}
		if pool, err = Documents(t, o.FewShot, o.Subject); err != nil {
			return nil, err
		}
	}
	var render func([]schemas.Message) (string, error)
	if o.ChatTemplate {
		format, err := chat.Load(o.tokenizer(), chat.Options{})
		if err != nil {
			return nil, fmt.Errorf("--apply-chat-template: %w", err)
		}
		render = func(turns []schemas.Message) (string, error) {
			r, err := format.Locate(turns, true)
			return r.Text, err
		}
	}
	var out []schemas.BenchmarkItem
	for _, subject := range subjects(documents) {
		items, err := requestsOf(o, render, subject, documents, pool)
		if err != nil {
			return nil, err
		}
		out = append(out, items...)
	}
	slices.SortStableFunc(out, func(a, b schemas.BenchmarkItem) int { return int(a.DocID) - int(b.DocID) })
	return out, nil
}

// subjects are the subjects of documents in the order of their first item; one "" for a task without.
func subjects(documents []harness.Document) []string {
	var out []string
	for _, d := range documents {
		if !slices.Contains(out, d.Subject) {
			out = append(out, d.Subject)
		}
	}
	return out
}

// requestsOf makes the requests of one subject, whose examples are drawn by themselves.
func requestsOf(o Options, render func([]schemas.Message) (string, error), subject string, documents, pool []harness.Document) ([]schemas.BenchmarkItem, error) {
	var places []int
	for i, d := range documents {
		if d.Subject == subject && (o.Limit == 0 || len(places) < o.Limit) {
			places = append(places, i)
		}
	}
	pool = slices.DeleteFunc(slices.Clone(pool), func(d harness.Document) bool { return d.Subject != subject })
	var asked []harness.Document
	for _, place := range places {
		asked = append(asked, documents[place])
	}
	examples, err := o.task.Examples(o.Sampling, asked, pool, o.shots())
	if err != nil {
		return nil, fmt.Errorf("choosing examples from %s%s: %w", o.FewShot, of(subject), err)
	}
	var out []schemas.BenchmarkItem
	for k, place := range places {
		d := documents[place]
		r, err := o.task.Request(d, examples[k], render)
		if err != nil {
			return nil, fmt.Errorf("item %d of %s: rendering its examples and question: %w", place, o.Items, err)
		}
		out = append(out, schemas.BenchmarkItem{
			Task: o.task.Name, Subject: subject, DocID: int32(place), Contexts: r.Contexts, Continuations: r.Continuations,
			Answers: d.Answers, Gold: int32(d.Gold), Right: d.True,
		})
	}
	return out, nil
}

func of(subject string) string {
	if subject == "" {
		return ""
	}
	return " for subject " + subject
}

// digest is that of the requests and of what else the scores depend on.
func digest(items []schemas.BenchmarkItem, rest ...string) (string, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(rest); err != nil {
		return "", err
	}
	err := json.NewEncoder(h).Encode(items)
	return hex.EncodeToString(h.Sum(nil)[:16]), err
}

// writeRequests makes the dataset of requests, if it is not there.
func writeRequests(ctx context.Context, store dataset.Store, items []schemas.BenchmarkItem, h dataset.Header) (parts int, err error) {
	h.Schema = schemas.BenchmarkItemSchema
	if err := begin(ctx, store, requestsName, h); err != nil {
		return 0, err
	}
	for chunk := range slices.Chunk(items, partItems) {
		data, err := dataset.EncodePart(chunk, dataset.Footer{Part: parts, ConfigDigest: h.ConfigDigest})
		if err != nil {
			return 0, err
		}
		if err := store.Create(ctx, requestsName+"/"+dataset.PartName(parts), data); err != nil && !errors.Is(err, dataset.ErrExists) {
			return 0, err
		}
		parts++
	}
	_, err = dataset.Commit(ctx, store, requestsName, dataset.CommitOptions{Parts: parts})
	return parts, err
}
