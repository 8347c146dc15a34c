package pretokenize

import (
	"errors"
	"fmt"
	"strings"

	"github.com/profuser/profuser/models/tokenizer/component"
	"github.com/profuser/profuser/models/tokenizer/normalize"
)

// Prefix says where Metaspace puts the dummy prefix.
type Prefix int

const (
	// PrefixNever puts none.
	PrefixNever Prefix = iota
	// PrefixFirst puts one at the very start of the text only.
	PrefixFirst
	// PrefixAlways puts one before every stretch between added tokens, and every piece.
	PrefixAlways
)

// ReadMetaspace reads the options of a Metaspace: its prepend_scheme, or the add_prefix_space of older
// files, and whether it cuts at markers.
func ReadMetaspace(part component.Component) (prefix Prefix, split bool, err error) {
	var o struct {
		Replacement    string  `json:"replacement"`
		Scheme         *string `json:"prepend_scheme"`
		AddPrefixSpace *bool   `json:"add_prefix_space"`
		StrRep         *string `json:"str_rep"` // of old files: the replacement again
		Split          *bool   `json:"split"`
	}
	if err := part.Options(&o); err != nil {
		return 0, false, err
	}
	if o.Replacement != component.Marker {
		return 0, false, fmt.Errorf("Metaspace replacement %q is not supported, only %q is", o.Replacement, component.Marker)
	}
	scheme := "always"
	if o.Scheme != nil {
		scheme = *o.Scheme
	} else if o.AddPrefixSpace != nil && !*o.AddPrefixSpace {
		scheme = "never"
	}
	prefix, ok := map[string]Prefix{"always": PrefixAlways, "first": PrefixFirst, "never": PrefixNever}[scheme]
	if !ok {
		return 0, false, fmt.Errorf("Metaspace prepend_scheme %q is not one of always, first, never", scheme)
	}
	return prefix, o.Split == nil || *o.Split, nil
}

func (c *Chain) readMetaspace(part component.Component) error {
	prefix, split, err := ReadMetaspace(part)
	if err != nil {
		return err
	}
	if c.ByteLevel || c.Marks {
		return errors.New("Metaspace after ByteLevel or Metaspace: this combination is not supported")
	}
	c.Marks, c.CutsAtMarkers, c.First = true, split, prefix == PrefixFirst
	c.steps = append(c.steps, metaspace{prefix, split})
	return nil
}

// metaspace makes markers of spaces, puts one in front, and cuts before each if asked to.
type metaspace struct {
	prefix Prefix
	split  bool
}

func (m metaspace) cut(r *Run, k int, s string, o *normalize.Positions, base int) {
	first := r.First && o.Text(base) < r.FirstSize
	prefix := !r.Mid && (m.prefix == PrefixAlways || m.prefix == PrefixFirst && first) &&
		s[0] != ' ' && !strings.HasPrefix(s, component.Marker)
	s, at := Mark(s, prefix, r.Track)
	if at != nil {
		o, base = normalize.At(at, normalize.From(base, o)), 0
	} else if !r.Track {
		base = 0
	}
	if !m.split {
		r.pass(k+1, s, o, base)
		return
	}
	start := 0
	for i := 1; i < len(s); i++ {
		next := strings.Index(s[i:], component.Marker)
		if next < 0 {
			break
		}
		i += next
		r.pass(k+1, s[start:i], o, base+start)
		start = i
		i += len(component.Marker) - 1
	}
	r.pass(k+1, s[start:], o, base+start)
}

// Mark makes markers of spaces and puts one in front if asked to. The table of positions is nil when
// nothing changed or track is false.
func Mark(s string, prefix, track bool) (string, []int32) {
	spaces := strings.Count(s, " ")
	if spaces == 0 && !prefix {
		return s, nil
	}
	size := len(s) + spaces*(len(component.Marker)-1)
	if prefix {
		size += len(component.Marker)
	}
	out := make([]byte, 0, size)
	var at []int32
	if track {
		at = make([]int32, 0, size+1)
	}
	mark := func(place, after int) {
		out = append(out, component.Marker...)
		if track {
			at = append(at, int32(place), int32(after), int32(after))
		}
	}
	if prefix {
		mark(0, 0)
	}
	for i := 0; i < len(s); {
		next := strings.IndexByte(s[i:], ' ')
		if next < 0 {
			next = len(s) - i
		}
		out = append(out, s[i:i+next]...)
		if track {
			for k := range next {
				at = append(at, int32(i+k))
			}
		}
		if i += next; i < len(s) {
			mark(i, i+1)
			i++
		}
	}
	if track {
		at = append(at, int32(len(s)))
	}
	return string(out), at
}
