package subword

import (
	"fmt"
	"slices"
	"unicode/utf8"
)

// Scored is a token of a Unigram vocabulary with its log probability.
type Scored struct {
	// Token is the raw string.
	Token string
	// ID is its id.
	ID int32
	// Score is its log probability.
	Score float64
}

// UnigramOptions are the switches of a Unigram model.
type UnigramOptions struct {
	// Unknown is the id of what no token covers; -1: it vanishes.
	Unknown int32
	// ByteFallback makes the tokens of its bytes of it, <0x00> to <0xFF>.
	ByteFallback bool
	// Single computes with float32, as SentencePiece does; the reference for tokenizer.json has float64.
	Single bool
	// MinScore is the lowest score of a token, which prices what is unknown.
	MinScore float64
}

// Unigram finds the segmentation of the highest sum of scores; of equal ones the first that is found from
// the left. A character that no token covers alone may be unknown, at 10 below the lowest score. Runs
// of unknown characters are one.
//
//	best(e) = max over tokens [b, e) of best(b) + score(token)
//
// Source: Kudo 2018, the Viterbi search.
type Unigram struct {
	UnigramOptions
	tree   *trie
	scores []float64 // by id
	bytes  [256]int32
}

// unknownPenalty is what an unknown character costs below the lowest score.
const unknownPenalty = 10

// NewUnigram makes a model of tokens with scores.
func NewUnigram(tokens []Scored, o UnigramOptions) *Unigram {
	size, top := 0, int32(0)
	for _, t := range tokens {
		size += len(t.Token)
		top = max(top, t.ID)
	}
	m := &Unigram{UnigramOptions: o, tree: newTrie(size), scores: make([]float64, top+1)}
	names := make(map[string]int, 256)
	for b := range m.bytes {
		m.bytes[b] = -1
		names[fmt.Sprintf("<0x%02X>", b)] = b
	}
	for _, t := range tokens {
		m.tree.add(t.Token, t.ID)
		m.scores[t.ID] = t.Score
		if b, ok := names[t.Token]; ok && o.ByteFallback {
			m.bytes[b] = t.ID
		}
	}
	return m
}

// SetByte says which token stands for a byte, when it is not in the tree.
func (m *Unigram) SetByte(b byte, id int32) { m.bytes[b] = id }

// Byte is the id of a byte by itself, -1 if it has none.
func (m *Unigram) Byte(b byte) int32 { return m.bytes[b] }

// node is the best way to a place: its score, where its last token begins, and that token's id.
type node[F float32 | float64] struct {
	score F
	start int32
	id    int32
}

// Tokenize finds the best segmentation.
func (m *Unigram) Tokenize(w *Work, piece string) {
	w.Tokens = w.Tokens[:0]
	if m.Single {
		w.single = search(m, w, w.single, piece)
		collect(m, w, w.single, piece)
	} else {
		w.double = search(m, w, w.double, piece)
		collect(m, w, w.double, piece)
	}
	slices.Reverse(w.Tokens)
}

func search[F float32 | float64](m *Unigram, w *Work, nodes []node[F], piece string) []node[F] {
	nodes = slices.Grow(nodes[:0], len(piece)+1)[:len(piece)+1]
	for i := range nodes {
		nodes[i] = node[F]{start: -1}
	}
	unknown := F(m.MinScore) - unknownPenalty
	for start := 0; start < len(piece); {
		size := 1
		if piece[start] >= utf8.RuneSelf {
			_, size = utf8.DecodeRuneInString(piece[start:])
		}
		base, covered, at := nodes[start].score, false, int32(0)
		for end := start; end < len(piece); {
			if at = m.tree.child(at, piece[end]); at < 0 {
				break
			}
			end++
			id := m.tree.ids[at]
			if id < 0 || w.forbids(id) {
				continue
			}
			score := base + F(m.scores[id])
			if n := &nodes[end]; n.start < 0 || score > n.score {
				*n = node[F]{score, int32(start), id}
			}
			covered = covered || end == start+size
		}
		if n := &nodes[start+size]; !covered && (n.start < 0 || base+unknown > n.score) {
			*n = node[F]{base + unknown, int32(start), m.Unknown}
		}
		start += size
	}
	return nodes
}

// collect appends the tokens of the best way, last first.
func collect[F float32 | float64](m *Unigram, w *Work, nodes []node[F], piece string) {
	for end := len(piece); end > 0; {
		n := nodes[end]
		start := int(n.start)
		if n.id != m.Unknown {
			w.Tokens = append(w.Tokens, Token{n.id, int32(end - start)})
			end = start
			continue
		}
		for start > 0 && nodes[start].id == m.Unknown {
			start = int(nodes[start].start)
		}
		m.unknown(w, piece[start:end])
		end = start
	}
}

// unknown appends what stands for a run of unknown characters, last first.
func (m *Unigram) unknown(w *Work, run string) {
	if m.ByteFallback && m.hasBytes(run) {
		for i := range len(run) {
			w.Tokens = append(w.Tokens, Token{m.bytes[run[len(run)-1-i]], 1})
		}
		return
	}
	if m.Unknown >= 0 {
		w.Tokens = append(w.Tokens, Token{m.Unknown, int32(len(run))})
	} else if last := len(w.Tokens) - 1; last >= 0 {
		w.Tokens[last].Size += int32(len(run))
	}
}

func (m *Unigram) hasBytes(run string) bool {
	for i := range len(run) {
		if m.bytes[run[i]] < 0 {
			return false
		}
	}
	return true
}
