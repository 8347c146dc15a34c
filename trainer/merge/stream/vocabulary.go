package stream

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/trainer/merge/recipe"
)

// tokenizerFiles are read, in this order, to know a model's vocabulary.
var tokenizerFiles = []string{"tokenizer.json", "tokenizer.model"}

// vocabularies compares the models' vocabularies with the donor's and gives, for those that differ, the rows of their
// embeddings that stand for the donor's tokens. Differing without `embed: overlap` is an error.
func vocabularies(p *plan) (map[*model][]int32, error) {
	rows := map[*model][]int32{}
	var donor *tokenizer.Tokenizer
	used := map[*model]bool{}
	for _, s := range []recipe.Slice{p.recipe.Slices[0], p.recipe.Slices[len(p.recipe.Slices)-1]} {
		for _, src := range s.Sources {
			used[p.models[src.Model]] = true
		}
	}
	for _, m := range p.models {
		if !used[m] { // gives layers only
			continue
		}
		sameSize := vocabularySize(m) == vocabularySize(p.donor)
		if m == p.donor || sameSize && sameTokenizerFile(m, p.donor) {
			continue
		}
		mine, err := loadTokenizer(m)
		if err != nil {
			return nil, err
		}
		if donor == nil {
			if donor, err = loadTokenizer(p.donor); err != nil {
				return nil, err
			}
		}
		if mine == nil || donor == nil {
			if sameSize && !p.recipe.Overlap { // nothing tells that they differ
				continue
			}
			return nil, fmt.Errorf("models %s and %s have vocabularies of %d and %d rows, and not both have a tokenizer.json or tokenizer.model: rows cannot be matched",
				p.donor.path, m.path, vocabularySize(p.donor), vocabularySize(m))
		}
		if sameSize && mine.Fingerprint() == donor.Fingerprint() {
			continue
		}
		if !p.recipe.Overlap {
			return nil, fmt.Errorf("models %s and %s have different vocabularies (%d and %d tokens, %d and %d rows): `embed: overlap` in the merge file merges the rows of tokens with equal bytes and keeps %s's rows for the others",
				p.donor.path, m.path, donor.Size(), mine.Size(), vocabularySize(p.donor), vocabularySize(m), p.donor.path)
		}
		rows[m] = matchRows(donor, mine, vocabularySize(p.donor), vocabularySize(m))
	}
	return rows, nil
}

// vocabularySize is the number of rows of the embedding of tokens, 0 without one.
func vocabularySize(m *model) int {
	t, ok := m.file.Lookup(m.tokenTable())
	if !ok || len(t.Shape) == 0 {
		return 0
	}
	return t.Shape[0]
}

// sameTokenizerFile says whether the models' tokenizers are the same file, or both have none.
func sameTokenizerFile(a, b *model) bool {
	for _, name := range tokenizerFiles {
		x, errX := os.ReadFile(filepath.Join(a.dir, name))
		y, errY := os.ReadFile(filepath.Join(b.dir, name))
		if errX == nil || errY == nil {
			return errX == nil && errY == nil && bytes.Equal(x, y)
		}
	}
	return true
}

// loadTokenizer reads a model's tokenizer; nil if it has none.
func loadTokenizer(m *model) (*tokenizer.Tokenizer, error) {
	for _, name := range tokenizerFiles {
		if _, err := os.Stat(filepath.Join(m.dir, name)); err == nil {
			t, err := tokenizer.Load(filepath.Join(m.dir, name))
			if err != nil {
				return nil, fmt.Errorf("model %s: %w", m.path, err)
			}
			return t, nil
		}
	}
	return nil, nil
}

// matchRows gives, for each of n rows of the donor's embedding, the other's row of the token with equal bytes, -1 for none.
// Special tokens match special tokens of the same name; a token for a lone byte goes to one of its own kind if there is
// one. Of several the lowest id counts.
func matchRows(donor, other *tokenizer.Tokenizer, n, most int) []int32 {
	ids := map[string]int32{}
	for id := range int32(min(other.Size(), most)) {
		for _, key := range tokenKeys(other, id) {
			if _, has := ids[key]; !has {
				ids[key] = id
			}
		}
	}
	rows := make([]int32, n)
	for r := range rows {
		rows[r] = -1
		for _, key := range tokenKeys(donor, int32(r)) {
			if id, has := ids[key]; has {
				rows[r] = id
				break
			}
		}
	}
	return rows
}

// tokenKeys are what a token is known by, the most exact first; none for an id without token.
func tokenKeys(t *tokenizer.Tokenizer, id int32) []string {
	if int(id) >= t.Size() {
		return nil
	}
	if t.Special(id) {
		return []string{"special " + t.Token(id)}
	}
	b := t.Bytes(id)
	if len(b) == 0 {
		return nil
	}
	kind := "token "
	if t.ByteFallback(id) {
		kind = "byte "
	}
	return []string{kind + string(b), "any " + string(b)}
}

// overlap describes a matching.
func overlap(rows []int32) string {
	found := 0
	for _, x := range rows {
		if x >= 0 {
			found++
		}
	}
	return fmt.Sprintf("%d of %d rows matched", found, len(rows))
}
