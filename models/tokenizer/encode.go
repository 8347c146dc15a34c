package tokenizer

import (
	"math"
	"strings"
	"sync"
	"unicode/utf8"
)

// Encode gives the ids of a text. Special strings in it become special tokens; nothing is put before or
// after it (see Specials). Invalid UTF-8 is read as U+FFFD.
func (t *Tokenizer) Encode(text string) []int32 {
	e := t.encoder()
	defer e.release()
	e.encode(text)
	return e.result()
}

// EncodeSpans gives the same ids and the bytes of the text that each token covers. The spans follow one
// another from 0 to len(text); a token that is only the dummy prefix has an empty span at its place. Where
// normalisation rewrote a character, the tokens inside it share its bytes.
func (t *Tokenizer) EncodeSpans(text string) ([]int32, []Span) {
	return t.encodeQuoted(text, quotation{})
}

// EncodeOutside is EncodeSpans of a text of which some parts, ranges of bytes in any order, are contents
// that somebody wrote, put into a template. A special string that lies in a part or reaches into it is
// ordinary text, and so is that of any other added token with a character besides letters, digits and
// white space: contents cannot give orders. All else is as in EncodeSpans, and merging runs across the
// borders, so without such strings in the contents the ids are those of Encode.
func (t *Tokenizer) EncodeOutside(text string, contents []Span) ([]int32, []Span) {
	return t.encodeQuoted(text, quote(contents, true, false))
}

// EncodeQuoted is EncodeOutside with one part, an answer as a model would give it: besides, no token
// outside takes white space of the answer along, which a model that generates does not do either.
func (t *Tokenizer) EncodeQuoted(text string, answer Span) ([]int32, []Span) {
	return t.encodeQuoted(text, quote([]Span{answer}, true, true))
}

func (t *Tokenizer) encodeQuoted(text string, quoted quotation) ([]int32, []Span) {
	e := t.encoder()
	defer e.release()
	e.track, e.quoted = true, quoted
	e.encode(text)
	return e.result(), e.spans(len(text))
}

// everywhere quotes the whole text.
var everywhere = quotation{spans: []Span{{0, math.MaxInt}}}

// EncodeMidText gives the ids of bytes that stand in the middle of a text: no dummy prefix, special
// strings are ordinary text. The longest valid UTF-8 prefix is encoded as text, each byte after it as
// its own token; a byte without token gives nothing.
func (t *Tokenizer) EncodeMidText(text []byte) []int32 {
	e := t.encoder()
	defer e.release()
	e.mid, e.quoted = true, everywhere
	valid := validPrefix(text)
	e.encode(string(text[:valid]))
	for _, b := range text[valid:] {
		if id := t.symbol[b]; id >= 0 {
			e.ids = append(e.ids, id)
		}
	}
	return e.result()
}

// EncodeMidSpans is EncodeMidText of a string with the spans of its tokens; invalid UTF-8 is read as
// U+FFFD.
func (t *Tokenizer) EncodeMidSpans(text string) ([]int32, []Span) {
	e := t.encoder()
	defer e.release()
	e.mid, e.track, e.quoted = true, true, everywhere
	e.encode(text)
	return e.result(), e.spans(len(text))
}

func validPrefix(text []byte) int {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && size <= 1 {
			return i
		}
		i += size
	}
	return len(text)
}

// encoder is the work space of one call.
type encoder struct {
	t       *Tokenizer
	mid     bool      // in the middle of a text: nothing is put in front
	track   bool      // fill ends
	quoted  quotation // where special strings are text
	ids     []int32   // result
	ends    []int32   // where each id ends in the text
	symbols []symbol
	merges  []merge
	links   []link
	heap    []uint64
}

var encoders = sync.Pool{New: func() any { return new(encoder) }}

func (t *Tokenizer) encoder() *encoder {
	e := encoders.Get().(*encoder)
	e.t, e.mid, e.track, e.quoted = t, false, false, quotation{}
	e.ids, e.ends = e.ids[:0], e.ends[:0]
	return e
}

func (e *encoder) release() {
	e.t = nil
	encoders.Put(e)
}

// result copies the ids; it is never nil.
func (e *encoder) result() []int32 { return append(make([]int32, 0, len(e.ids)), e.ids...) }

// spans makes spans of the ends; characters without any token at the end go to the last.
func (e *encoder) spans(size int) []Span {
	spans := make([]Span, len(e.ends))
	start := 0
	for i, end := range e.ends {
		spans[i] = Span{start, int(end)}
		start = int(end)
	}
	if len(spans) > 0 {
		spans[len(spans)-1].End = size
	}
	return spans
}

// encode handles the added tokens of the text as written and the stretches between them.
func (e *encoder) encode(text string) {
	valid, at := validUTF8(text, e.track)
	whole := &offsets{at: at}
	for from := 0; from < len(valid); {
		start, end, id := e.t.literal.next(valid, from, whole, &e.quoted)
		if start > from {
			e.stretch(valid[from:start], &offsets{start: from, outer: whole}, from == 0)
		}
		if id >= 0 {
			e.emit(id, whole, end)
		}
		from = end
	}
}

// stretch normalises text between added tokens and handles those of the normalised text.
func (e *encoder) stretch(s string, o *offsets, first bool) {
	s, at := e.t.normalizer.apply(s, e.mid, e.track)
	o = &offsets{at: at, outer: o}
	for from := 0; from < len(s); {
		start, end, id := e.t.normal.next(s, from, o, &e.quoted)
		if start > from {
			e.pieces(s[from:start], &offsets{start: from, outer: o}, first && from == 0)
		}
		if id >= 0 {
			e.emit(id, o, end)
		}
		from = end
	}
}

// pieces applies the pre-tokenizer and encodes each piece; first is whether s starts the text.
func (e *encoder) pieces(s string, o *offsets, first bool) {
	p := &e.t.preTokenizer
	if p.byteLevel {
		if p.prefixSpace && !e.mid && s[0] != ' ' {
			s = " " + s
			o = &offsets{at: prefixed(len(s), e.track), outer: o}
		}
		for start := 0; start < len(s); {
			end := p.next(s, start)
			e.piece(s[start:end], o, start)
			start = end
		}
		return
	}
	if p.metaspace {
		prefix := !e.mid && (p.prefix == prefixAlways || p.prefix == prefixFirst && first) &&
			s[0] != ' ' && !strings.HasPrefix(s, marker)
		var at []int32
		s, at = addMarkers(s, prefix, true, e.track)
		o = &offsets{at: at, outer: o}
	}
	e.markedPieces(s, o)
}

// prefixed maps positions after one byte was put in front of a string, making it size bytes long.
func prefixed(size int, track bool) []int32 {
	if !track {
		return nil
	}
	at := make([]int32, size+1)
	for i := range size {
		at[i+1] = int32(i)
	}
	return at
}

// markedPieces cuts before markers where the pre-tokenizer asks for it, or where no token reaches
// across the cut, so that the cost stays linear in long texts and the ids are the same.
func (e *encoder) markedPieces(s string, o *offsets) {
	everyMarker := e.t.preTokenizer.cutMarkers
	if !everyMarker && !e.t.model.cutAtMarker {
		e.piece(s, o, 0)
		return
	}
	start, afterMarker := 0, false
	for i := 0; i < len(s); i++ {
		if s[i] != marker[0] || !strings.HasPrefix(s[i:], marker) {
			afterMarker = false
			continue
		}
		if i > start && (everyMarker || !afterMarker) {
			e.piece(s[start:i], o, start)
			start = i
		}
		i += len(marker) - 1
		afterMarker = true
	}
	e.piece(s[start:], o, start)
}

// piece encodes what merges never cross; start is its place in the string that o maps.
func (e *encoder) piece(s string, o *offsets, start int) {
	if e.t.model.ignoreMerges {
		if id, ok := e.t.whole[s]; ok {
			e.emit(id, o, start+len(s))
			return
		}
	}
	e.split(s)
	e.merge()
	for _, symbol := range e.symbols {
		start += int(symbol.size)
		e.emit(symbol.id, o, start)
	}
}

// emit appends an id that ends at position end of the string that o maps.
func (e *encoder) emit(id int32, o *offsets, end int) {
	e.ids = append(e.ids, id)
	if e.track {
		e.ends = append(e.ends, int32(o.text(end)))
	}
}

// split fills e.symbols with the tokens that merging starts from: bytes or characters.
func (e *encoder) split(s string) {
	t := e.t
	e.symbols = e.symbols[:0]
	lost, unknownRun := int32(0), false
	add := func(id, size int32) {
		e.symbols = append(e.symbols, symbol{id, size + lost})
		lost, unknownRun = 0, false
	}
	for i := 0; i < len(s); {
		size, id := 1, int32(-1)
		switch {
		case t.preTokenizer.byteLevel:
			id = t.symbol[s[i]]
		case s[i] < utf8.RuneSelf:
			id = t.ascii[s[i]]
		default:
			_, size = utf8.DecodeRuneInString(s[i:])
			if known, ok := t.model.vocab[s[i:i+size]]; ok {
				id = known
			}
		}
		last := len(e.symbols) - 1
		switch {
		case id >= 0:
			add(id, int32(size))
		case t.model.byteFallback && t.hasBytes(s[i:i+size]):
			for k := range size {
				add(t.symbol[s[i+k]], 1)
			}
		case t.model.unknown >= 0 && unknownRun && t.model.fuseUnknown:
			e.symbols[last].size += int32(size)
		case t.model.unknown >= 0:
			add(t.model.unknown, int32(size))
			unknownRun = true
		case last >= 0: // the reference drops a character without any token
			e.symbols[last].size += int32(size)
		default:
			lost += int32(size)
		}
		i += size
	}
}

// hasBytes says whether every byte of s has a byte-fallback token.
func (t *Tokenizer) hasBytes(s string) bool {
	for i := range len(s) {
		if t.symbol[s[i]] < 0 {
			return false
		}
	}
	return true
}
