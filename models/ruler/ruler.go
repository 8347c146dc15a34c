package ruler

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// Token is one token to be drawn.
type Token struct {
	// ID is drawn below the token.
	ID int32
	// Bytes are what it stands for, Name is its name: drawn if there are no bytes, as for special tokens.
	Bytes []byte
	Name  string
	// Marked tokens are underlined, without colours by a third line.
	Marked bool
}

// Colours are escape sequences of the SGR kind; the backgrounds are those of the 256-colour palette, dark enough for
// white letters.
const (
	reset     = "\x1b[0m"
	special   = "\x1b[7m"
	faint     = "\x1b[2m"
	underline = "\x1b[4m"
)

var backgrounds = []string{"\x1b[97;48;5;24m", "\x1b[97;48;5;94m", "\x1b[97;48;5;22m", "\x1b[97;48;5;53m", "\x1b[97;48;5;130m", "\x1b[97;48;5;60m"}

// Draw gives the rulers of tokens, broken before a token so that no line has more than width columns, if a single token
// is not wider; 0: no limit. Every line of tokens is followed by one of ids, and without colours by one of marks if
// there are any. The result ends with a new line unless there are no tokens.
func Draw(tokens []Token, width int, colours bool) string {
	var out strings.Builder
	for start := 0; start < len(tokens); {
		end, columns := start, 1
		for end < len(tokens) {
			cell := cellWidth(tokens[end]) + 1
			if width > 0 && end > start && columns+cell > width {
				break
			}
			columns += cell
			end++
		}
		if colours {
			drawColours(&out, tokens[start:end], start)
		} else {
			drawBars(&out, tokens[start:end])
		}
		start = end
	}
	return out.String()
}

// cellWidth is the number of columns of a token: its text or its id.
func cellWidth(t Token) int {
	return max(uniseg.StringWidth(glyphs(t)), len(strconv.Itoa(int(t.ID))), 1)
}

// pad fills a text up to a cell.
func pad(text string, width int) string {
	return text + strings.Repeat(" ", max(0, width-uniseg.StringWidth(text)))
}

func drawBars(out *strings.Builder, tokens []Token) {
	var top, ids, marks strings.Builder
	marked := false
	for _, t := range tokens {
		width := cellWidth(t)
		mark := " "
		if t.Marked {
			marked, mark = true, "^"
		}
		top.WriteString("|" + pad(glyphs(t), width))
		ids.WriteString(" " + pad(strconv.Itoa(int(t.ID)), width))
		marks.WriteString(" " + strings.Repeat(mark, width))
	}
	out.WriteString(top.String() + "|\n" + strings.TrimRight(ids.String(), " ") + "\n")
	if marked {
		out.WriteString(strings.TrimRight(marks.String(), " ") + "\n")
	}
}

func drawColours(out *strings.Builder, tokens []Token, first int) {
	var top, ids strings.Builder
	for i, t := range tokens {
		width := cellWidth(t)
		style := backgrounds[(first+i)%len(backgrounds)]
		if t.Bytes == nil {
			style = special
		}
		if t.Marked {
			style += underline
		}
		text := glyphs(t)
		top.WriteString(style + text + reset + pad("", width+1-uniseg.StringWidth(text)))
		ids.WriteString(pad(strconv.Itoa(int(t.ID)), width+1))
	}
	out.WriteString(top.String() + "\n" + faint + strings.TrimRight(ids.String(), " ") + reset + "\n")
}

// glyphs shows a token: white space as · ⏎ ⇥, what is no text or would move the cursor as \xNN or \uNNNN.
func glyphs(t Token) string {
	if t.Bytes == nil {
		return glyphs(Token{Bytes: append([]byte{}, t.Name...)})
	}
	var out strings.Builder
	for rest := t.Bytes; len(rest) > 0; {
		r, size := utf8.DecodeRune(rest)
		switch {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&out, `\x%02X`, rest[0])
		case r == ' ':
			out.WriteString("·")
		case r == '\n':
			out.WriteString("⏎")
		case r == '\t':
			out.WriteString("⇥")
		case r == '\u200d' || unicode.Is(unicode.Mn, r): // part of the character before it
			out.WriteRune(r)
		case !unicode.IsPrint(r) && r < 0x80:
			fmt.Fprintf(&out, `\x%02X`, r)
		case !unicode.IsPrint(r):
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
		rest = rest[size:]
	}
	return out.String()
}
