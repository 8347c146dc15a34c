package subword

import "unicode/utf8"

// WordPiece takes the longest token from the left again and again; a word that cannot be covered is one
// unknown token.
//
// Source: Wu et al. 2016, as used by BERT (Devlin et al. 2018).
type WordPiece struct {
	// Unknown is the id of a word that cannot be covered.
	Unknown int32
	// MaxRunes is the number of characters above which a word is unknown.
	MaxRunes int

	begin, inside *trie
}

// NewWordPiece makes a model; prefix is what tokens inside a word begin with, such as "##".
func NewWordPiece(vocabulary map[string]int32, prefix string, unknown int32, maxRunes int) *WordPiece {
	size := 0
	for token := range vocabulary {
		size += len(token)
	}
	m := &WordPiece{unknown, maxRunes, newTrie(size), newTrie(size)}
	for token, id := range vocabulary {
		m.begin.add(token, id)
		if len(token) > len(prefix) && token[:len(prefix)] == prefix {
			m.inside.add(token[len(prefix):], id)
		}
	}
	return m
}

// Tokenize covers a word.
func (m *WordPiece) Tokenize(w *Work, piece string) {
	w.Tokens = w.Tokens[:0]
	if len(piece) > m.MaxRunes && utf8.RuneCountInString(piece) > m.MaxRunes {
		w.Tokens = append(w.Tokens, Token{m.Unknown, int32(len(piece))})
		return
	}
	tree := m.begin
	for i := 0; i < len(piece); {
		size, id, node := 0, int32(-1), int32(0)
		for k := i; k < len(piece); k++ {
			if node = tree.child(node, piece[k]); node < 0 {
				break
			}
			if found := tree.ids[node]; found >= 0 && !w.forbids(found) {
				size, id = k+1-i, found
			}
		}
		if size == 0 {
			w.Tokens = append(w.Tokens[:0], Token{m.Unknown, int32(len(piece))})
			return
		}
		w.Tokens = append(w.Tokens, Token{id, int32(size)})
		i += size
		tree = m.inside
	}
}

// WordLevel has a token for whole pieces only.
type WordLevel struct {
	// Vocabulary is token → id.
	Vocabulary map[string]int32
	// Unknown is the id of all other pieces; -1: they vanish.
	Unknown int32
}

// Tokenize looks the piece up.
func (m *WordLevel) Tokenize(w *Work, piece string) {
	w.Tokens = w.Tokens[:0]
	id, ok := m.Vocabulary[piece]
	if !ok || w.forbids(id) {
		id = m.Unknown
	}
	if id >= 0 {
		w.Tokens = append(w.Tokens, Token{id, int32(len(piece))})
	}
}
