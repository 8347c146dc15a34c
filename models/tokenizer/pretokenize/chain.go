package pretokenize

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/bytelevel"
	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/normalize"
)

// Sink takes the pieces of a text.
type Sink interface {
	// Piece takes a piece; o maps the string of which it is a part, and in which it begins at start.
	Piece(piece string, o *normalize.Positions, start int)
}

// Run is one text on its way through a Chain.
type Run struct {
	// Sink takes the pieces.
	Sink Sink
	// First says that the text begins the whole input: Metaspace may then put a prefix in front.
	First bool
	// FirstSize is the size of the input's first character: what it was rewritten to begins the input too.
	FirstSize int
	// Mid says that the text stands in the middle of another: nothing is put in front.
	Mid bool
	// Track says that positions are needed.
	Track bool

	chain *Chain
}

// step cuts or rewrites s, which begins at base of the string that o maps, and passes parts to step k+1.
type step interface {
	cut(r *Run, k int, s string, o *normalize.Positions, base int)
}

// Chain is the pre-tokenizer of a tokenizer: steps in order. The zero value leaves text in one piece.
type Chain struct {
	// ByteLevel says that pieces are bytes of a byte-level vocabulary.
	ByteLevel bool
	// Marks says that spaces become markers here.
	Marks bool
	// First says that the result depends on what is at the very start of the text.
	First bool
	// CutsAtMarkers says that every piece begins with its only marker.
	CutsAtMarkers bool

	steps []step
}

// Cut sends the pieces of s to the run's sink.
func (c *Chain) Cut(r *Run, s string, o *normalize.Positions) {
	r.chain = c
	r.pass(0, s, o, 0)
}

func (r *Run) pass(k int, s string, o *normalize.Positions, base int) {
	if s == "" {
		return
	}
	if k == len(r.chain.steps) {
		r.Sink.Piece(s, o, base)
		return
	}
	r.chain.steps[k].cut(r, k, s, o, base)
}

// cutting is the step of a cutter.
type cutting struct{ cutter }

func (c cutting) cut(r *Run, k int, s string, o *normalize.Positions, base int) {
	for start := 0; start < len(s); {
		end, keep := c.next(s, start)
		if keep {
			r.pass(k+1, s[start:end], o, base+start)
		}
		start = end
	}
}

// scanning is cutting by a scanner that keeps everything, without the detour over an interface.
type scanning struct{ next scanner }

func (c scanning) cut(r *Run, k int, s string, o *normalize.Positions, base int) {
	last := k+1 == len(r.chain.steps)
	for start := 0; start < len(s); {
		end := c.next(s, start)
		if last {
			r.Sink.Piece(s[start:end], o, base+start)
		} else {
			r.pass(k+1, s[start:end], o, base+start)
		}
		start = end
	}
}

// byteLevel puts a space in front and cuts by GPT-2's pattern, both if asked to.
type byteLevel struct{ prefix, scan bool }

func (b byteLevel) cut(r *Run, k int, s string, o *normalize.Positions, base int) {
	if b.prefix && !r.Mid && s[0] != ' ' {
		o = normalize.At(prefixed(1, len(s), r.Track), normalize.From(base, o))
		s, base = " "+s, 0
	}
	if !b.scan {
		r.pass(k+1, s, o, base)
		return
	}
	scanning{nextGPT2}.cut(r, k, s, o, base)
}

// prefixed maps positions after size bytes were put in front of a string of length bytes.
func prefixed(size, length int, track bool) []int32 {
	if !track {
		return nil
	}
	at := make([]int32, size+length+1)
	for i := range length + 1 {
		at[size+i] = int32(i)
	}
	return at
}

// onSymbols cuts bytes as if they were symbols of the byte-level alphabet.
type onSymbols struct{ inner step }

func (c onSymbols) cut(r *Run, k int, s string, o *normalize.Positions, base int) {
	symbols := bytelevel.Token(s)
	bytesAt := make([]int32, len(symbols)+1) // byte of s for each byte of symbols
	n := int32(0)
	for i := range len(symbols) {
		if i > 0 && utf8.RuneStart(symbols[i]) {
			n++
		}
		bytesAt[i] = n
	}
	bytesAt[len(symbols)] = int32(len(s))
	collect := &collector{}
	inner := &Run{Sink: collect, chain: &Chain{}}
	c.inner.cut(inner, -1, symbols, nil, 0)
	for _, part := range collect.parts {
		start, end := bytesAt[part.start], bytesAt[part.end]
		r.pass(k+1, s[start:end], o, base+int(start))
	}
}

// collector keeps the places of pieces.
type collector struct{ parts []stretch }

// Piece keeps the place of a piece.
func (c *collector) Piece(piece string, _ *normalize.Positions, start int) {
	c.parts = append(c.parts, stretch{start: start, end: start + len(piece)})
}

var names = []string{
	"BertPreTokenizer", "ByteLevel", "CharDelimiterSplit", "Digits", "Metaspace", "Punctuation", "Split",
	"Whitespace", "WhitespaceSplit",
}

// Read reads the pre_tokenizer of a tokenizer.json.
func Read(raw json.RawMessage) (*Chain, error) {
	parts, err := component.Flatten(raw, "pretokenizers")
	if err != nil {
		return nil, err
	}
	c := &Chain{}
	for _, part := range parts {
		if err := c.read(part); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Chain) read(part component.Component) (err error) {
	var s step
	switch part.Type {
	case "ByteLevel":
		return c.readByteLevel(part)
	case "Metaspace":
		return c.readMetaspace(part)
	case "BertPreTokenizer":
		s, err = cutting{bert}, part.None()
	case "Whitespace":
		s, err = cutting{whitespace}, part.None()
	case "WhitespaceSplit":
		s, err = cutting{removed(isSpace)}, part.None()
	case "Digits":
		s, err = c.readDigits(part)
	case "Punctuation":
		o := struct {
			Behavior string `json:"behavior"`
		}{"Isolated"}
		if err = part.Options(&o); err == nil {
			s, err = classStep(isPunctuation, o.Behavior)
		}
	case "CharDelimiterSplit":
		var o struct {
			Delimiter string `json:"delimiter"`
		}
		err = part.Options(&o)
		delimiter, size := utf8.DecodeRuneInString(o.Delimiter)
		if err == nil && (size != len(o.Delimiter) || size == 0) {
			err = fmt.Errorf("CharDelimiterSplit: delimiter %q is not one character", o.Delimiter)
		}
		s = cutting{removed(func(r rune) bool { return r == delimiter })}
	case "Split":
		s, err = c.readSplit(part)
	default:
		return part.Unsupported(names...)
	}
	if err != nil {
		return err
	}
	c.add(s)
	return nil
}

// add appends a step that changes no text.
func (c *Chain) add(s step) {
	native := false
	if cut, ok := s.(cutting); ok {
		switch cut.cutter.(type) {
		case byteDigits, byteScanner:
			native = true
		}
	}
	if c.ByteLevel && !native {
		s = onSymbols{s}
	}
	c.steps = append(c.steps, s)
}

func (c *Chain) readDigits(part component.Component) (step, error) {
	var o struct {
		Individual bool `json:"individual_digits"`
	}
	if err := part.Options(&o); err != nil {
		return nil, err
	}
	switch {
	case c.ByteLevel:
		return cutting{byteDigits{o.Individual}}, nil
	case o.Individual:
		return cutting{isolated(unicode.IsNumber)}, nil
	}
	return cutting{contiguous(unicode.IsNumber)}, nil
}

func (c *Chain) readByteLevel(part component.Component) error {
	o := struct {
		Prefix bool `json:"add_prefix_space"`
		Trim   bool `json:"trim_offsets"` // of the reference's offsets, not of ours
		Regex  bool `json:"use_regex"`
	}{true, true, true}
	if err := part.Options(&o); err != nil {
		return err
	}
	if c.ByteLevel || c.Marks {
		return errors.New("ByteLevel after ByteLevel or Metaspace is not supported")
	}
	c.ByteLevel = true
	switch {
	case o.Prefix:
		c.steps = append(c.steps, byteLevel{true, o.Regex})
	case o.Regex:
		c.steps = append(c.steps, scanning{nextGPT2})
	}
	return nil
}
