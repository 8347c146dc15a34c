package normalize

import (
	"unicode"
	"unicode/utf8"

	"github.com/profuser/profuser/models/tokenizer/component"
	"golang.org/x/text/unicode/norm"
)

// readBert makes the step of BERT: clean text, spaces around Chinese characters, accents off, lower case.
//
// Source: Devlin et al. 2018, the BasicTokenizer of the published code, as described in its comments.
func readBert(c component.Component) (step, error) {
	o := struct {
		Clean        bool  `json:"clean_text"`
		Chinese      bool  `json:"handle_chinese_chars"`
		StripAccents *bool `json:"strip_accents"`
		Lowercase    bool  `json:"lowercase"`
	}{Clean: true, Chinese: true, Lowercase: true}
	if err := c.Options(&o); err != nil {
		return nil, err
	}
	var steps []step
	if o.Clean {
		steps = append(steps, mapping(clean))
	}
	if o.Chinese {
		steps = append(steps, mapping(spaceChinese))
	}
	if o.StripAccents == nil && o.Lowercase || o.StripAccents != nil && *o.StripAccents {
		steps = append(steps, form(norm.NFD), stripMarks(oldNonSpacing))
	}
	if o.Lowercase {
		steps = append(steps, lowercase)
	}
	chain := &Chain{}
	for _, s := range steps {
		chain.add(s)
	}
	ascii := asciiBert(o.Clean, o.Lowercase)
	return func(s string, track bool) (string, []int32) {
		if !track && isASCII(s) {
			return ascii(s), nil
		}
		return chain.Apply(s, false, track)
	}, nil
}

// asciiBert is the whole step for text of ASCII alone.
func asciiBert(cleans, lowers bool) func(s string) string {
	var table [utf8.RuneSelf]byte // 0: removed
	for b := range table {
		table[b] = byte(b)
		if became, changes := clean(rune(b)); changes && cleans {
			table[b] = 0
			if became != "" {
				table[b] = became[0]
			}
		}
		if small, changes := lower(rune(b)); changes && lowers {
			table[b] = small[0]
		}
	}
	return func(s string) string {
		out := make([]byte, 0, len(s))
		for i := range len(s) {
			if b := table[s[i]]; b != 0 || !cleans {
				out = append(out, b)
			}
		}
		return string(out)
	}
}

// clean removes control characters and U+FFFD, and makes plain spaces of white space.
func clean(r rune) (string, bool) {
	switch {
	case r == '\t', r == '\n', r == '\r':
		return " ", true
	case r < utf8.RuneSelf:
		return "", r < ' ' || r == 0x7F
	case r == utf8.RuneError, unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co) && !unicode.Is(newFormat, r):
		return "", true
	case isSpace(r):
		return " ", true
	}
	return "", false
}

// spaceChinese puts spaces around CJK ideographs.
func spaceChinese(r rune) (string, bool) {
	if r < 0x3400 || !unicode.Is(ideographs, r) {
		return "", false
	}
	return " " + string(r) + " ", true
}
