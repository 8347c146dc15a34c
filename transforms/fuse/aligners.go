package fuse

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"sync"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/vocabularies"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/inflight"
)

// Alignment says how distributions are moved to the target's tokens.
type Alignment struct {
	// Method and Fallback are align.method and align.fallback; "" is exact and none.
	Method, Fallback string
	// Counts is the folder of the co-alignment counts that Counts wrote, for method statistics.
	Counts string
	// Maps is the folder in which vocabulary maps are kept, "" nowhere.
	Maps string
}

// method is Method with its default.
func (a Alignment) method() string {
	if a.Method == "" {
		return align.MethodExact
	}
	return a.Method
}

// countsKey is where a source's co-alignment counts are.
func (a Alignment) countsKey(source string) string { return a.Counts + "/" + source + ".counts" }

// formats and aligners of this process, made at their first use; a vocabulary is large, and many parts share it.
var formats, aligners sync.Map

// format loads a model's tokenizer and template once.
func format(m inflight.Model) (*chat.Format, error) {
	load, _ := formats.LoadOrStore(m, sync.OnceValues(func() (*chat.Format, error) {
		f, err := chat.Load(m.Dir, chat.Options{ChatTemplate: m.ChatTemplate, EndOfTurn: m.EndOfTurn, BOS: m.BOS})
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", m.Name, err)
		}
		return f, nil
	}))
	return load.(func() (*chat.Format, error))()
}

// pair is what an aligner is made for; counts is a digest.
type pair struct {
	source, target inflight.Model
	alignment      Alignment
	counts         string
}

// aligners gives one for each source, nil for one that is not at hand.
func (s Step) aligners(ctx context.Context, store dataset.Store) ([]align.Aligner, error) {
	var out []align.Aligner
	for _, source := range s.Sources {
		if !source.Model.AtHand() {
			out = append(out, nil) // its responses have no distributions
			continue
		}
		key := pair{source: source.Model, target: s.Target, alignment: s.Alignment}
		var counts []byte
		if s.Alignment.method() == align.MethodStatistics {
			var err error
			if counts, err = store.Read(ctx, s.Alignment.countsKey(source.Model.Name)); err != nil {
				return nil, fmt.Errorf("reading the co-alignment counts of %s: %w", source.Model.Name, err)
			}
			sum := sha256.Sum256(counts)
			key.counts = hex.EncodeToString(sum[:])
		}
		make, _ := aligners.LoadOrStore(key, sync.OnceValues(func() (align.Aligner, error) { return newAligner(key, counts) }))
		a, err := make.(func() (align.Aligner, error))()
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// newAligner prepares a pair of vocabularies.
func newAligner(p pair, encoded []byte) (align.Aligner, error) {
	from, err := format(p.source)
	if err != nil {
		return nil, err
	}
	to, err := format(p.target)
	if err != nil {
		return nil, err
	}
	a, b := from.Tokenizer(), to.Tokenizer()
	method := p.alignment.method()
	if method == align.MethodExact {
		return align.NewExact(a, from.StopIDs(), a.Fingerprint(), b, to.EndOfTurn(), b.Fingerprint()), nil
	}
	kind, ok := align.MapOf(method)
	if !ok {
		return nil, fmt.Errorf("align.method %q: want exact, exact_match, min_edit_distance, statistics or transport", method)
	}
	var counts *vocabulary.Counts
	if encoded != nil {
		counts = new(vocabulary.Counts)
		if err := counts.UnmarshalBinary(encoded); err != nil {
			return nil, fmt.Errorf("the co-alignment counts of %s: %w; remove %s, so that they are made again", p.source.Name, err, p.alignment.countsKey(p.source.Name))
		}
	}
	m, err := vocabularies.Store{Dir: p.alignment.Maps}.Map(kind, a, b, counts)
	if err != nil {
		return nil, fmt.Errorf("mapping the vocabulary of %s: %w", p.source.Name, err)
	}
	fallback := p.alignment.Fallback
	if fallback == "" {
		fallback = align.FallbackNone
	}
	return align.NewComparison(method, fallback, a, b, m)
}

// ownDistributions are what the target itself thinks of a text, for method transport: nothing if it did not read the text, or
// read it in other tokens.
func ownDistributions(own *schemas.TokenDistributions, ids []int32) dist.Sparse {
	if own == nil || !slices.Equal(own.TokenIDs, ids) {
		return dist.Sparse{}
	}
	return dist.Sparse{Counts: own.Counts, IDs: own.IDs, LogProbs: own.LogProbs}
}
