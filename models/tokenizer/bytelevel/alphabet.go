// Package bytelevel is the alphabet of byte-level vocabularies: every byte has a printable character.
//
// In: bytes, or a token of the vocabulary such as "Ġthe". Out: the token's characters, or the bytes.
// The bytes of printable Latin-1 stand for themselves; the others, in order, for U+0100 and up. A token
// with a character outside the alphabet, as special tokens and added runs of spaces have, has no bytes.
//
// Source: the vocabulary of GPT-2 (Radford et al. 2019), whose encoder defines the mapping.
package bytelevel

import "unicode/utf8"

// alphabet is the character of each byte.
var alphabet = func() (runes [256]rune) {
	next := rune(256)
	for b := range runes {
		if b >= '!' && b <= '~' || b >= 0xA1 && b <= 0xAC || b >= 0xAE {
			runes[b] = rune(b)
		} else {
			runes[b] = next
			next++
		}
	}
	return runes
}()

// maxRune is the highest character of the alphabet: 68 bytes are not printable.
const maxRune = 256 + 68

// values is the byte of each character + 1; 0: none.
var values = func() (table [maxRune]uint16) {
	for b, r := range alphabet {
		table[r] = uint16(b) + 1
	}
	return table
}()

// Symbol is the character of a byte.
func Symbol(b byte) rune { return alphabet[b] }

// AppendBytes appends the bytes of a token; ok is false, and nothing appended, if a character is not of
// the alphabet.
func AppendBytes(to []byte, token string) (content []byte, ok bool) {
	start := len(to)
	for _, r := range token {
		if r >= maxRune || values[r] == 0 {
			return to[:start], false
		}
		to = append(to, byte(values[r]-1))
	}
	return to, true
}

// Token is the token that stands for the bytes.
func Token(content string) string {
	out := make([]byte, 0, 2*len(content))
	for i := range len(content) {
		out = utf8.AppendRune(out, alphabet[content[i]])
	}
	return string(out)
}
