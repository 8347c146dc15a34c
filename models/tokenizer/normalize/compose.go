package normalize

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// form is NFC, NFD, NFKC or NFKD without what golang.org/x/text does and the reference does not: the
// U+034F that it puts after 30 combining marks in a row, and compatibility characters newer than
// Unicode 9.
func form(f norm.Form) step {
	return func(s string, track bool) (string, []int32) {
		if isASCII(s) || f.IsNormalString(s) {
			return s, nil
		}
		w := Writer{Track: track}
		for start := 0; start < len(s); {
			end := nextComposition(f, s, start)
			part := s[start:end]
			w.Add(formPart(f, part), start, end)
			start = end
		}
		return w.Finish(len(s))
	}
}

// nextComposition is the end of the shortest part of s from start on that composes independently.
func nextComposition(f norm.Form, s string, start int) int {
	_, size := utf8.DecodeRuneInString(s[start:])
	for i := start + size; i < len(s); i += size {
		var r rune
		if r, size = utf8.DecodeRuneInString(s[i:]); r < utf8.RuneSelf {
			return i
		}
		if f.PropertiesString(s[i:]).BoundaryBefore() {
			return i
		}
	}
	return len(s)
}

func formPart(f norm.Form, s string) string {
	compatible := f == norm.NFKC || f == norm.NFKD
	if compatible && strings.ContainsFunc(s, isNewCompatible) {
		kept := f - (norm.NFKC - norm.NFC)
		return formPart(kept, mapOld(s, f))
	}
	normal := f.String(s)
	if strings.Count(normal, "\u034f") == strings.Count(s, "\u034f") {
		return normal
	}
	all := decompose(s, compatible)
	if f == norm.NFC || f == norm.NFKC {
		return recompose(all)
	}
	var out strings.Builder
	for _, c := range all {
		out.WriteRune(c.r)
	}
	return out.String()
}

// mapOld decomposes the characters of s that are not new.
func mapOld(s string, f norm.Form) string {
	var out strings.Builder
	for _, r := range s {
		if isNewCompatible(r) {
			out.WriteRune(r)
		} else {
			out.WriteString(f.String(string(r)))
		}
	}
	return out.String()
}

func isNewCompatible(r rune) bool { return r > 0x2FF && unicode.Is(newCompatible, r) }

// combining is a code point with its canonical combining class.
type combining struct {
	r     rune
	class uint8
}

// decompose is the canonical or the compatible decomposition in canonical order.
func decompose(s string, compatible bool) []combining {
	f := norm.NFD
	if compatible {
		f = norm.NFKD
	}
	var all []combining
	for _, r := range s {
		for _, d := range f.String(string(r)) {
			all = append(all, combining{d, norm.NFD.PropertiesString(string(d)).CCC()})
		}
	}
	for i := 0; i < len(all); {
		end := i
		for end < len(all) && all[end].class != 0 {
			end++
		}
		slices.SortStableFunc(all[i:end], func(a, b combining) int { return int(a.class) - int(b.class) })
		i = max(end, i+1)
	}
	return all
}

// recompose joins each mark with its starter where a composed character exists and nothing between
// them blocks it.
func recompose(all []combining) string {
	out := make([]rune, 0, len(all))
	starter, last := -1, -1
	for _, c := range all {
		if starter >= 0 && (last < int(c.class) || last == -1) {
			pair := []rune(norm.NFC.String(string([]rune{out[starter], c.r})))
			if len(pair) == 1 {
				out[starter] = pair[0]
				continue
			}
		}
		if c.class == 0 {
			starter, last = len(out), -1
		} else {
			last = int(c.class)
		}
		out = append(out, c.r)
	}
	return string(out)
}
