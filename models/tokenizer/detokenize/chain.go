package detokenize

import (
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/pretokenize"
	"github.com/profuser/profuser/models/tokenizer/regex"
)

// stage rewrites tokens as they come. After a stage that joins tokens, the tokens are parts of one.
type stage interface {
	push(token string, emit func(string))
	end(emit func(string))
}

// Chain is the decoder of a tokenizer: it makes the stages of a Decoder.
type Chain struct {
	stages []func() stage
	fused  bool // while reading: tokens are joined by now
}

// Decoder decodes one sequence of tokens.
type Decoder struct {
	out    []byte
	stages []stage
	pushes []func(string) // into each stage; the last one appends to out
}

// New begins a text.
func (c *Chain) New() *Decoder {
	d := &Decoder{}
	for _, make := range c.stages {
		d.stages = append(d.stages, make())
	}
	d.pushes = make([]func(string), len(d.stages)+1)
	d.pushes[len(d.stages)] = func(s string) { d.out = append(d.out, s...) }
	for i, s := range d.stages {
		next := &d.pushes[i+1]
		d.pushes[i] = func(token string) { s.push(token, *next) }
	}
	return d
}

// Push adds a token.
func (d *Decoder) Push(token string) { d.pushes[0](token) }

// Take gives the text that is certain by now, and has not been taken before.
func (d *Decoder) Take() string {
	s := string(d.out)
	d.out = d.out[:0]
	return s
}

// End gives the rest of the text. The Decoder must not be used after it.
func (d *Decoder) End() string {
	for i, s := range d.stages {
		s.end(d.pushes[i+1])
	}
	return d.Take()
}

var names = []string{
	"BPEDecoder", "ByteFallback", "ByteLevel", "CTC", "Fuse", "Metaspace", "Replace", "Strip", "WordPiece",
}

// Read reads the decoder of a tokenizer.json.
func Read(raw json.RawMessage) (*Chain, error) {
	parts, err := component.Flatten(raw, "decoders")
	if err != nil {
		return nil, err
	}
	c := &Chain{}
	if len(parts) == 0 && (len(raw) == 0 || string(raw) == "null") {
		c.stages = append(c.stages, func() stage { return &spaced{} })
	}
	for _, part := range parts {
		if err := c.read(part); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Chain) add(make func() stage) { c.stages = append(c.stages, make) }

// addWhole adds a stage that must see whole tokens.
func (c *Chain) addWhole(make func() stage) {
	if c.fused {
		c.add(func() stage { return &joined{} })
	}
	c.add(make)
}

func (c *Chain) read(part component.Component) error {
	fused := c.fused
	switch part.Type {
	case "ByteLevel":
		c.add(func() stage { return &byteLevelStage{} })
		c.fused = true
		var o struct {
			Prefix any `json:"add_prefix_space"`
			Trim   any `json:"trim_offsets"`
			Regex  any `json:"use_regex"`
		}
		return part.Options(&o)
	case "ByteFallback":
		c.addWhole(func() stage { return &byteFallback{} })
		return part.None()
	case "Fuse":
		c.fused = true
		return part.None()
	case "Replace":
		return c.readReplace(part)
	case "Strip":
		return c.readStrip(part)
	case "Metaspace":
		prefix, _, err := pretokenize.ReadMetaspace(part)
		c.add(func() stage { return &metaspace{skip: prefix != pretokenize.PrefixNever, fused: fused} })
		return err
	case "WordPiece":
		var o struct {
			Prefix  string `json:"prefix"`
			Cleanup bool   `json:"cleanup"`
		}
		c.addWhole(func() stage { return &wordPiece{prefix: o.Prefix, cleanup: o.Cleanup} })
		return part.Options(&o)
	case "BPEDecoder":
		var o struct {
			Suffix string `json:"suffix"`
		}
		c.addWhole(func() stage { return &suffixed{suffix: o.Suffix} })
		return part.Options(&o)
	case "CTC":
		var o struct {
			Pad       string `json:"pad_token"`
			Delimiter string `json:"word_delimiter_token"`
			Cleanup   bool   `json:"cleanup"`
		}
		c.addWhole(func() stage { return &ctc{pad: o.Pad, delimiter: o.Delimiter, cleanup: o.Cleanup} })
		return part.Options(&o)
	}
	return part.Unsupported(names...)
}

func (c *Chain) readReplace(part component.Component) error {
	var o struct {
		Pattern *component.Pattern `json:"pattern"`
		Content string             `json:"content"`
	}
	if err := part.Options(&o); err != nil {
		return err
	}
	if err := o.Pattern.Check(); err != nil {
		return fmt.Errorf("Replace: %w", err)
	}
	if o.Pattern.Regex != nil {
		compiled, err := regex.Compile(*o.Pattern.Regex)
		if err != nil {
			return fmt.Errorf("Replace: %w", err)
		}
		c.addWhole(func() stage {
			return mapped(func(token string) string { return replaceMatches(compiled, token, o.Content) })
		})
		return nil
	}
	fused := c.fused
	c.add(func() stage { return &replaced{old: *o.Pattern.String, with: o.Content, fused: fused} })
	return nil
}

func (c *Chain) readStrip(part component.Component) error {
	var o struct {
		Content string `json:"content"`
		Start   int    `json:"start"`
		Stop    int    `json:"stop"`
	}
	if err := part.Options(&o); err != nil {
		return err
	}
	if utf8.RuneCountInString(o.Content) != 1 || o.Start < 0 || o.Stop < 0 {
		return errors.New("Strip needs one character of content and start, stop of 0 or more")
	}
	if c.fused && o.Stop == 0 {
		c.add(func() stage { return &stripStart{content: o.Content, left: o.Start} })
		return nil
	}
	c.addWhole(func() stage {
		return mapped(func(token string) string { return strip(token, o.Content, o.Start, o.Stop) })
	})
	return nil
}
