package normalize

import (
	"encoding/json"
	"errors"

	"github.com/profuser/profuser/models/tokenizer/component"
	"golang.org/x/text/unicode/norm"
)

// step rewrites a string that is not empty. The table of positions is nil when nothing moved, or track is
// false.
type step func(s string, track bool) (string, []int32)

// Chain is the normaliser of a tokenizer: steps in order. The zero value and nil change nothing.
type Chain struct {
	steps []chained
}

type chained struct {
	step
	mid step // in the middle of a text: nothing is put in front
}

// names are the types that Read knows.
var names = []string{
	"BertNormalizer", "Lowercase", "NFC", "NFD", "NFKC", "NFKD", "Nmt", "Precompiled", "Prepend", "Replace",
	"Strip", "StripAccents",
}

// Read reads the normalizer of a tokenizer.json.
func Read(raw json.RawMessage) (*Chain, error) {
	parts, err := component.Flatten(raw, "normalizers")
	if err != nil {
		return nil, err
	}
	c := &Chain{}
	for _, part := range parts {
		s, err := read(part)
		if err != nil {
			return nil, err
		}
		if part.Type == "Prepend" {
			c.steps = append(c.steps, chained{step: s})
		} else {
			c.add(s)
		}
	}
	return c, nil
}

// add appends a step; nil is none.
func (c *Chain) add(s step) {
	if s != nil {
		c.steps = append(c.steps, chained{s, s})
	}
}

// simple are the components without options.
var simple = map[string]step{
	"NFC": form(norm.NFC), "NFD": form(norm.NFD), "NFKC": form(norm.NFKC), "NFKD": form(norm.NFKD),
	"Lowercase": lowercase, "Nmt": nmt, "StripAccents": stripMarks(oldMark),
}

func read(c component.Component) (step, error) {
	if s, ok := simple[c.Type]; ok {
		return s, c.None()
	}
	switch c.Type {
	case "BertNormalizer":
		return readBert(c)
	case "Precompiled":
		var o struct {
			Map string `json:"precompiled_charsmap"`
		}
		if err := c.Options(&o); err != nil {
			return nil, err
		}
		return precompiled(o.Map)
	case "Prepend":
		var o struct {
			Prepend string `json:"prepend"`
		}
		return func(s string, track bool) (string, []int32) {
			return withPrefix(o.Prepend, s, track)
		}, c.Options(&o)
	case "Replace":
		var o struct {
			Pattern *component.Pattern `json:"pattern"`
			Content string             `json:"content"`
		}
		if err := c.Options(&o); err != nil {
			return nil, err
		}
		return readReplace(o.Pattern, o.Content)
	case "Strip":
		var o struct {
			Left  *bool `json:"strip_left"`
			Right *bool `json:"strip_right"`
		}
		if err := c.Options(&o); err != nil {
			return nil, err
		}
		if o.Left == nil || o.Right == nil {
			return nil, errors.New("Strip needs strip_left and strip_right")
		}
		return strip(*o.Left, *o.Right), nil
	}
	return nil, c.Unsupported(names...)
}

// Apply normalises one stretch of text between added tokens. In the middle of a text (mid) no prefix is
// put in front. The table of positions is nil when nothing moved, or track is false.
func (c *Chain) Apply(s string, mid, track bool) (string, []int32) {
	if c == nil {
		return s, nil
	}
	var positions []int32
	for _, both := range c.steps {
		step := both.step
		if mid {
			step = both.mid
		}
		if s == "" || step == nil {
			continue
		}
		var at []int32
		s, at = step(s, track)
		positions = Chained(at, positions)
	}
	return s, positions
}

// Empty says whether the chain changes nothing.
func (c *Chain) Empty() bool { return c == nil || len(c.steps) == 0 }

// withPrefix puts a prefix in front of a string.
func withPrefix(prefix, s string, track bool) (string, []int32) {
	if prefix == "" || !track {
		return prefix + s, nil
	}
	w := Writer{Track: true}
	w.Add(prefix, 0, 0)
	w.Add(s, 0, len(s))
	return w.Finish(len(s))
}
