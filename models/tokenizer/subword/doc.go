// Package subword turns one piece of text into tokens of a vocabulary: byte-pair merges, WordPiece,
// Unigram, or whole words.
//
// In: a vocabulary with the options of its kind, and pieces as package pretokenize cuts them. Out: ids,
// and for each the number of the piece's bytes that it stands for; the sizes add up to the piece.
//
// A Model does not change and may be used by many goroutines at once, each with a Work of its own. All
// kinds are linear in the piece, but for the heap of byte-pair merges. The package reads no files.
package subword

// Token is an id and the bytes of the piece that it covers.
type Token struct{ ID, Size int32 }

// Model finds the tokens of a piece.
type Model interface {
	// Tokenize puts the tokens of a piece, which is not empty and valid UTF-8 (any bytes, for a byte-level
	// vocabulary), into w.Tokens.
	Tokenize(w *Work, piece string)
}

// Work is the memory of one caller.
type Work struct {
	// Tokens is the result of the last Tokenize.
	Tokens []Token
	// Forbid, if set, says which ids must not be found, as the text that spells them is only text.
	Forbid func(id int32) bool

	cache  []cached
	pairs  []merge
	links  []link
	heap   []uint64
	single []node[float32]
	double []node[float64]
}

// forbids says whether a token that the vocabulary has may not be used here.
func (w *Work) forbids(id int32) bool { return w.Forbid != nil && w.Forbid(id) }
