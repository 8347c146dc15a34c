package pretokenize

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// The patterns that have scanners, as the files spell them.
const (
	gpt2Pattern   = `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`
	qwen2Pattern  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	llama3Pattern = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	threeDigits   = `[0-9][0-9][0-9]`

	deepSeekNumbers = `\p{N}{1,3}`
	deepSeekCJK     = `[一-龥\u3040-ゟ゠-ヿ]+`
	deepSeekWords   = `[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_` + "`" + `{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Cl100k is the pattern of cl100k_base in tiktoken: it takes white space at the end of the text as one
	// piece. Its published spelling has a possessive {1,3}+, which in a tokenizer.json is something else.
	Cl100k = `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`
	// R50k is the pattern of gpt2, r50k_base and p50k_base in tiktoken.
	R50k = `'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s`
	// O200k is the pattern of o200k_base in tiktoken.
	O200k = `[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|` +
		`\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// Llama3, Qwen2 and GPT2 are the patterns of those families in tokenizer.json.
const (
	Llama3 = llama3Pattern
	Qwen2  = qwen2Pattern
	GPT2   = gpt2Pattern
)

// scanners by pattern, in canonical spelling.
var scanners = map[string]scanner{
	gpt2Pattern:   nextGPT2,
	llama3Pattern: func(s string, start int) int { return nextWord(s, start, 3) },
	qwen2Pattern:  func(s string, start int) int { return nextWord(s, start, 1) },
	threeDigits:   nextThreeDigits,
	R50k:          nextGPT2,
	Cl100k:        nextCl100k,

	deepSeekNumbers:        or(func(s string, i int) int { return run(s, i, number, 3) }),
	canonical(deepSeekCJK): or(cjk),
	deepSeekWords:          or(deepSeekWord),
	`[0-9]`:                or(func(s string, i int) int { return oneOf(s, i, isDigit) }),
	`\d`:                   or(func(s string, i int) int { return oneOf(s, i, unicode.IsDigit) }),
	`\p{N}`:                or(func(s string, i int) int { return oneOf(s, i, unicode.IsNumber) }),
}

// Pattern is the scanner of a pattern, nil if it has none.
func Pattern(regex string) func(s string, start int) int {
	if s, ok := scanners[canonical(regex)]; ok {
		return s
	}
	return nil
}

// nextCl100k scans Cl100k: as for Llama-3, but for white space at the end.
func nextCl100k(s string, start int) int {
	if c, size := classAt(s, start); c == space && run(s, start+size, space, -1) == len(s) {
		return len(s)
	}
	return nextWord(s, start, 3)
}

// canonical spells line breaks in a pattern as escapes, and characters of escapes as themselves.
func canonical(pattern string) string {
	return strings.NewReplacer("\r", `\r`, "\n", `\n`, `\u3040`, "\u3040").Replace(pattern)
}

// byteScanner is a scanner whose pattern sees bytes as their symbols do.
type byteScanner scanner

func (f byteScanner) next(s string, start int) (end int, keep bool) { return f(s, start), true }

// or makes a scanner of the matches of a pattern and the text between them: match is the end of the match at
// i, or i if there is none.
func or(match func(s string, i int) int) scanner {
	return func(s string, start int) int {
		if end := match(s, start); end > start {
			return end
		}
		for i := start; ; {
			_, size := utf8.DecodeRuneInString(s[i:])
			i += size
			if i >= len(s) || match(s, i) > i {
				return i
			}
		}
	}
}

func oneOf(s string, i int, in func(r rune) bool) int {
	if r, size := utf8.DecodeRuneInString(s[i:]); in(r) {
		return i + size
	}
	return i
}

func isDigit(r rune) bool { return r >= '0' && r <= '9' }

// nextThreeDigits cuts out threeDigits, bytes or characters.
func nextThreeDigits(s string, start int) int {
	is := func(i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
	three := func(i int) bool { return is(i) && is(i+1) && is(i+2) }
	if three(start) {
		return start + 3
	}
	for i := start + 1; i < len(s); i++ {
		if three(i) {
			return i
		}
	}
	return len(s)
}

// cjk scans [一-龥぀-ヿ]+ .
func cjk(s string, i int) int {
	return runOf(s, i, func(r rune) bool { return r >= 0x4E00 && r <= 0x9FA5 || r >= 0x3040 && r <= 0x30FF }, true)
}

// deepSeekWord is the match of deepSeekWords at i.
func deepSeekWord(s string, i int) int {
	if isPunctuation(rune(s[i])) && s[i] < utf8.RuneSelf {
		if end := runOf(s, i+1, isASCIILetter, true); end > i+1 {
			return end
		}
	}
	r, size := utf8.DecodeRuneInString(s[i:])
	if !isLetterOrMark(r) || unicode.IsMark(r) {
		if r != '\r' && r != '\n' && !isSign(r) {
			if end := runOf(s, i+size, isLetterOrMark, true); end > i+size {
				return end
			}
		}
	}
	if isLetterOrMark(r) {
		return runOf(s, i, isLetterOrMark, true)
	}
	signs := i
	if r == ' ' {
		signs++
	}
	if end := runOf(s, signs, isSign, true); end > signs {
		for end < len(s) && isLineBreak(s[end]) {
			end++
		}
		return end
	}
	if !isSpace(r) {
		return i
	}
	if end := lineBreaks(s, i); end > i {
		return end
	}
	return white(s, i)
}

func isASCIILetter(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' }

func isLetterOrMark(r rune) bool { return unicode.IsLetter(r) || unicode.IsMark(r) }

func isSign(r rune) bool { return unicode.IsPunct(r) || unicode.IsSymbol(r) }
