package subword

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/bytelevel"
	"github.com/profuser/profuser/models/tokenizer/component"
)

// BPEOptions are the switches of a byte-pair model.
type BPEOptions struct {
	// Vocabulary is raw token → id, without added tokens.
	Vocabulary map[string]int32
	// Unknown is the id of an unknown character; -1: unknown characters vanish.
	Unknown int32
	// FuseUnknown makes a run of unknown characters one token.
	FuseUnknown bool
	// ByteLevel says that symbols are bytes, else characters.
	ByteLevel bool
	// ByteFallback makes of an unknown character the tokens of its bytes, <0x00> to <0xFF>.
	ByteFallback bool
	// IgnoreMerges makes a piece that is in the vocabulary one token.
	IgnoreMerges bool
	// Prefix is what every character but the first of a piece has in front, in the vocabulary.
	Prefix string
	// Suffix is what the last character of a piece has at its end, in the vocabulary.
	Suffix string
	// Frozen are strings that are always one token, which nothing merges with, and their ids.
	Frozen map[string]int32
}

// BPE merges the pair of lowest rank, the leftmost of equal ones, until no pair has a merge.
//
// Source: Sennrich et al. 2016; byte fallback: SentencePiece (Kudo and Richardson 2018).
type BPE struct {
	BPEOptions
	table  *mergeTable
	symbol [256]int32       // byte-level: id of the byte's symbol; else of its byte-fallback token; -1: none
	runes  []int32          // by character of the basic plane: id of its token; -1: none
	whole  map[string]int32 // IgnoreMerges: piece → id
	frozen *trie
}

// NewBPE makes a model without merges, of which at most size are added.
func NewBPE(o BPEOptions, size int) *BPE {
	m := &BPE{BPEOptions: o, table: newMergeTable(size)}
	for b := range m.symbol {
		m.symbol[b] = -1
		name := fmt.Sprintf("<0x%02X>", b)
		if o.ByteLevel {
			name = string(bytelevel.Symbol(byte(b)))
		}
		if id, ok := o.Vocabulary[name]; ok && (o.ByteLevel || o.ByteFallback) {
			m.symbol[b] = id
		}
	}
	m.indexRunes()
	if o.IgnoreMerges {
		m.whole = make(map[string]int32, len(o.Vocabulary))
		for token, id := range o.Vocabulary {
			if !o.ByteLevel {
				m.whole[token] = id
			} else if content, ok := bytelevel.AppendBytes(nil, token); ok {
				m.whole[string(content)] = id
			}
		}
	}
	if len(o.Frozen) > 0 {
		m.frozen = newTrie(1024)
		for token, id := range o.Frozen {
			m.frozen.add(token, id)
		}
	}
	return m
}

// indexRunes fills the table of single characters.
func (m *BPE) indexRunes() {
	if m.ByteLevel {
		return
	}
	m.runes = make([]int32, 1<<16)
	for i := range m.runes {
		m.runes[i] = -1
	}
	for token, id := range m.Vocabulary {
		if len(token) > 3 {
			continue
		}
		if r, size := utf8.DecodeRuneInString(token); size == len(token) {
			m.runes[r] = id
		}
	}
}

// AddMerge adds the merge of two tokens; its rank is the number of merges before it. found is false if
// one of the two or their union is not in the vocabulary.
func (m *BPE) AddMerge(rank int, left, right, union []byte) (found bool) {
	leftID, okLeft := m.Vocabulary[string(left)]
	rightID, okRight := m.Vocabulary[string(right)]
	id, ok := m.Vocabulary[string(union)]
	if !okLeft || !okRight || !ok {
		return false
	}
	m.table.set(leftID, rightID, merge{rank: int32(rank), id: id})
	return true
}

// AddPair adds a merge of ids.
func (m *BPE) AddPair(rank int, left, right, union int32) {
	m.table.set(left, right, merge{rank: int32(rank), id: union})
}

// Withhold makes sure that a piece is not one token just because it spells that token.
func (m *BPE) Withhold(token string) { delete(m.whole, token) }

// Symbol is the id of a byte by itself, -1 if it has none.
func (m *BPE) Symbol(b byte) int32 { return m.symbol[b] }

// CutsAtMarker says that no token has a marker after another character, so that a piece may be cut
// before every marker that follows another character: the ids are the same, and long texts cost less.
func (m *BPE) CutsAtMarker() bool {
	if _, ok := m.Vocabulary[component.Marker]; !ok || m.ByteLevel || m.IgnoreMerges || m.Prefix+m.Suffix != "" || m.frozen != nil {
		return false
	}
	for token := range m.Vocabulary {
		if len(token) > len(component.Marker) && strings.Contains(strings.TrimLeft(token, component.Marker), component.Marker) {
			return false
		}
	}
	return true
}

// Tokenize merges the symbols of a piece.
func (m *BPE) Tokenize(w *Work, piece string) {
	if m.IgnoreMerges {
		if id, ok := m.whole[piece]; ok && !w.forbids(id) {
			w.Tokens = append(w.Tokens[:0], Token{id, int32(len(piece))})
			return
		}
	}
	switch {
	case m.ByteLevel:
		m.splitBytes(w, piece)
	case m.Prefix+m.Suffix != "" || m.frozen != nil:
		m.splitAffixed(w, piece)
	default:
		m.splitRunes(w, piece)
	}
	w.merge(m.table)
}

// splitBytes makes symbols of bytes.
func (m *BPE) splitBytes(w *Work, piece string) {
	a := adder{m: m, tokens: w.Tokens[:0]}
	for i := range len(piece) {
		if id := m.symbol[piece[i]]; id >= 0 && a.lost == 0 {
			a.tokens = append(a.tokens, Token{id, 1})
			a.unknownRun = false
		} else {
			a.add(id, piece[i:i+1])
		}
	}
	w.Tokens = a.tokens
}

// splitRunes makes symbols of characters.
func (m *BPE) splitRunes(w *Work, piece string) {
	a := adder{m: m, tokens: w.Tokens[:0]}
	for i := 0; i < len(piece); {
		r, size := rune(piece[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRuneInString(piece[i:])
		}
		a.add(m.runeID(r, piece[i:i+size]), piece[i:i+size])
		i += size
	}
	w.Tokens = a.tokens
}

func (m *BPE) runeID(r rune, s string) int32 {
	if int(r) < len(m.runes) {
		return m.runes[r]
	}
	if id, ok := m.Vocabulary[s]; ok {
		return id
	}
	return -1
}

// splitAffixed makes symbols of frozen strings and of characters, with the prefix and the suffix.
func (m *BPE) splitAffixed(w *Work, piece string) {
	a := adder{m: m, tokens: w.Tokens[:0]}
	for i := 0; i < len(piece); {
		if size, id := m.frozenAt(piece[i:]); size > 0 {
			a.add(id, piece[i:i+size])
			i += size
			continue
		}
		_, size := utf8.DecodeRuneInString(piece[i:])
		name := piece[i : i+size]
		if i > 0 {
			name = m.Prefix + name
		}
		if i+size == len(piece) {
			name += m.Suffix
		}
		id, ok := m.Vocabulary[name]
		if !ok {
			id = -1
		}
		a.add(id, piece[i:i+size])
		i += size
	}
	w.Tokens = a.tokens
}

// frozenAt is the longest frozen string that s begins with.
func (m *BPE) frozenAt(s string) (size int, id int32) {
	if m.frozen == nil {
		return 0, -1
	}
	node := int32(0)
	for i := range len(s) {
		if node = m.frozen.child(node, s[i]); node < 0 {
			break
		}
		if found := m.frozen.ids[node]; found >= 0 {
			size, id = i+1, found
		}
	}
	return size, id
}

// adder appends symbols.
type adder struct {
	m          *BPE
	tokens     []Token
	lost       int32 // bytes without a token at the start
	unknownRun bool
}

// add appends the symbol of a character, or what stands for an unknown one.
func (a *adder) add(id int32, s string) {
	m, last, size := a.m, len(a.tokens)-1, int32(len(s))
	switch {
	case id >= 0:
		a.push(id, size)
	case m.ByteFallback && m.hasBytes(s):
		for k := range len(s) {
			a.push(m.symbol[s[k]], 1)
		}
	case m.Unknown >= 0 && a.unknownRun && m.FuseUnknown:
		a.tokens[last].Size += size
	case m.Unknown >= 0:
		a.push(m.Unknown, size)
		a.unknownRun = true
	case last >= 0: // the reference drops a character without any token
		a.tokens[last].Size += size
	default:
		a.lost += size
	}
}

func (a *adder) push(id, size int32) {
	a.tokens = append(a.tokens, Token{id, size + a.lost})
	a.lost, a.unknownRun = 0, false
}

// hasBytes says whether every byte of s has a byte-fallback token.
func (m *BPE) hasBytes(s string) bool {
	for i := range len(s) {
		if m.symbol[s[i]] < 0 {
			return false
		}
	}
	return true
}
