package tokenizer

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/bytelevel"
	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/normalize"
	"github.com/profuser/profuser/models/tokenizer/pretokenize"
	"github.com/profuser/profuser/models/tokenizer/subword"
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
	return t.encodeQuoted(text, quote(contents))
}

// EncodeQuoted is EncodeOutside with an answer as a model would give it, and with contents besides it: no token
// outside takes white space of the answer along, which a model that generates does not do either.
func (t *Tokenizer) EncodeQuoted(text string, answer Span, contents ...Span) ([]int32, []Span) {
	quoted := quote(append(contents[:len(contents):len(contents)], answer))
	quoted.keep = answer
	return t.encodeQuoted(text, quoted)
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
		if id := t.byteID(b); id >= 0 {
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
	t      *Tokenizer
	mid    bool      // in the middle of a text: nothing is put in front
	track  bool      // fill ends
	quoted quotation // where special strings are text
	ids    []int32   // result
	ends   []int32   // where each id ends in the text
	work   subword.Work
	run    pretokenize.Run
	forbid func(id int32) bool
}

// newEncoder makes the work space of one goroutine at a time; it remembers the tokens of frequent words.
func (t *Tokenizer) newEncoder() any {
	e := &encoder{t: t}
	e.run.Sink = e
	e.forbid = func(id int32) bool {
		entry := &t.entries[id]
		return entry.special || e.quoted.control && entry.control
	}
	return e
}

func (t *Tokenizer) encoder() *encoder {
	e := t.encoders.Get().(*encoder)
	e.mid, e.track, e.quoted = false, false, quotation{}
	e.ids, e.ends, e.work.Forbid = e.ids[:0], e.ends[:0], nil
	return e
}

// maxKept is the number of ids above which a work space is given back to the system.
const maxKept = 1 << 20

func (e *encoder) release() {
	if cap(e.ids) <= maxKept {
		e.t.encoders.Put(e)
	}
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
	valid, at := normalize.ValidUTF8(text, e.track)
	whole := normalize.At(at, nil)
	_, e.run.FirstSize = utf8.DecodeRuneInString(valid)
	for from := 0; from < len(valid); {
		start, end, id := e.t.literal.next(valid, from, whole, &e.quoted)
		if start > from {
			e.stretch(valid[from:start], normalize.From(from, whole), from == 0)
		}
		if id >= 0 {
			e.emit(id, whole, end)
		}
		from = end
	}
}

// stretch normalises text between added tokens and handles those of the normalised text.
func (e *encoder) stretch(s string, o *normalize.Positions, first bool) {
	s, at := e.t.normalizer.Apply(s, e.mid, e.track || e.t.preTokenizer.First)
	o = normalize.At(at, o)
	for from := 0; from < len(s); {
		start, end, id := e.t.normal.next(s, from, o, &e.quoted)
		if start > from {
			e.run.First, e.run.Mid, e.run.Track = first && from == 0, e.mid, e.track
			e.t.preTokenizer.Cut(&e.run, s[from:start], normalize.From(from, o))
		}
		if id >= 0 {
			e.emit(id, o, end)
		}
		from = end
	}
}

// Piece encodes what merges never cross; start is its place in the string that o maps. It cuts before
// markers where no token reaches across the cut, so that the cost stays linear in long texts.
func (e *encoder) Piece(s string, o *normalize.Positions, start int) {
	if !e.t.cutAtMarker {
		e.piece(s, o, start)
		return
	}
	const marker = component.Marker
	from := 0
	for i := 0; i < len(s); {
		next := strings.Index(s[i:], marker)
		if next < 0 {
			break
		}
		if i += next; next > 0 && i > from {
			e.piece(s[from:i], o, start+from)
			from = i
		}
		i += len(marker)
	}
	e.piece(s[from:], o, start+from)
}

func (e *encoder) piece(s string, o *normalize.Positions, start int) {
	if len(e.quoted.spans) > 0 {
		e.work.Forbid = e.forbid
		if e.track && !e.quoted.meets(o.Text(start), o.Text(start+len(s))) { // untracked: all is quoted
			e.work.Forbid = nil
		}
	}
	if e.t.symbols {
		e.symbolPiece(s, o, start)
		return
	}
	e.work.Find(e.t.model, s)
	if !e.track {
		for _, token := range e.work.Tokens {
			e.ids = append(e.ids, token.ID)
		}
		return
	}
	for _, token := range e.work.Tokens {
		start += int(token.Size)
		e.emit(token.ID, o, start)
	}
}

// symbolPiece encodes bytes with a model that knows symbols only; a token ends after the byte of its last
// symbol.
func (e *encoder) symbolPiece(s string, o *normalize.Positions, start int) {
	symbols := bytelevel.Token(s)
	e.work.Find(e.t.model, symbols)
	for _, token := range e.work.Tokens {
		start += utf8.RuneCountInString(symbols[:token.Size])
		symbols = symbols[token.Size:]
		e.emit(token.ID, o, start)
	}
}

// emit appends an id that ends at position end of the string that o maps.
func (e *encoder) emit(id int32, o *normalize.Positions, end int) {
	e.ids = append(e.ids, id)
	if e.track {
		e.ends = append(e.ends, int32(o.Text(end)))
	}
}
