package align

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/profuser/profuser/schemas"
)

// Ruler is one tokenisation of a text, to be drawn.
type Ruler struct {
	// Name stands before the ruler.
	Name string
	// Starts [n] and Closed are those of Tokens.
	Starts []int32
	Closed bool
	// Marks [n] stand below the tokens, cut to their width; nil: no such line.
	Marks []string
}

// StatusMarks gives one character for each status: = exact, < boundary, + inner, ? none, 1 one-hot.
func StatusMarks(status []schemas.Status) []string {
	const characters = "?=<+1"
	marks := make([]string, len(status))
	for i, s := range status {
		marks[i] = "!"
		if s >= 0 && int(s) < len(characters) {
			marks[i] = characters[s : s+1]
		}
	}
	return marks
}

// Draw shows tokenisations of one text below each other, equal bytes in equal columns, a bar where a token begins:
//
//	source |The|·c at|.|■|
//	target |The|·c|at|.|■|
//	        =   <  +  = =
//
// White space is drawn as · ⏎ ⇥, a byte of the template as ‹, end-of-turn as ■, bytes that are no text or are cut by
// a token as \xNN. Lines of more than width columns, names not counted, are broken before a token; 0: no limit. The
// result ends with a new line. Any bytes and starts are accepted: a start outside the text counts as its nearest end.
func Draw(text []byte, width int, rulers ...Ruler) string {
	d := drawing{text: text, rulers: rulers}
	for _, r := range rulers {
		d.names = max(d.names, utf8.RuneCountInString(r.Name))
		d.closed = d.closed || r.Closed
		if len(r.Starts) > 0 {
			d.first = min(d.first, max(int(r.Starts[0]), -templateLimit))
		}
	}
	d.countBars()
	var out strings.Builder
	var line []segment
	columns := 0
	for _, s := range d.segments() {
		if width > 0 && columns > 0 && columns+s.columns() > width {
			d.write(&out, line)
			out.WriteByte('\n')
			line, columns = line[:0], 0
		}
		line, columns = append(line, s), columns+s.columns()
	}
	d.write(&out, line)
	return out.String()
}

// templateLimit is the largest number of template bytes drawn.
const templateLimit = 16

// drawing is the work of one Draw. Places are bytes of the text from first (negative in the template) to one past its
// end, which is end-of-turn's.
type drawing struct {
	text   []byte
	rulers []Ruler
	names  int
	closed bool
	first  int
	bars   [][]int // [rulers][places] bars before each place
	widest []int   // [places]
}

// segment is a piece of all rulers that begins with a bar of at least one of them.
type segment struct {
	bars   int      // columns of bars
	glyphs []string // one a place, drawn in all rulers
	place  int      // of the first glyph
}

func (s segment) columns() int {
	n := s.bars
	for _, g := range s.glyphs {
		n += utf8.RuneCountInString(g)
	}
	return n
}

// end is the place of end-of-turn.
func (d *drawing) end() int { return len(d.text) - d.first }

// place is where a start is drawn.
func (d *drawing) place(start int32) int {
	return min(max(int(start), d.first), len(d.text)) - d.first
}

func (d *drawing) countBars() {
	d.widest = make([]int, d.end()+2)
	for _, r := range d.rulers {
		bars := make([]int, d.end()+2)
		for _, start := range r.Starts {
			bars[d.place(start)]++
		}
		bars[d.end()+1] = 1
		if !r.Closed { // the bar that ends the last token
			bars[d.end()]++
			bars[d.end()+1] = 0
		}
		for p, n := range bars {
			d.widest[p] = max(d.widest[p], n)
		}
		d.bars = append(d.bars, bars)
	}
}

// segments cuts the text at every bar.
func (d *drawing) segments() []segment {
	var out []segment
	for p := 0; p < len(d.widest); {
		if d.widest[p] > 0 || len(out) == 0 {
			out = append(out, segment{bars: d.widest[p], place: p})
		}
		glyph, size := d.glyph(p)
		last := &out[len(out)-1]
		last.glyphs = append(last.glyphs, glyph)
		p += size
	}
	return out
}

// glyph draws what stands at a place and says how many places that takes.
func (d *drawing) glyph(p int) (string, int) {
	at := p + d.first
	switch {
	case at < 0:
		return "‹", 1
	case at > len(d.text), at == len(d.text) && !d.closed:
		return "", 1
	case at == len(d.text):
		return "■", 1
	}
	r, size := utf8.DecodeRune(d.text[at:])
	whole := r != utf8.RuneError || size > 1
	for k := 1; k < size; k++ {
		whole = whole && d.widest[p+k] == 0
	}
	switch {
	case !whole:
		return fmt.Sprintf(`\x%02X`, d.text[at]), 1
	case r == ' ':
		return "·", 1
	case r == '\n':
		return "⏎", 1
	case r == '\t':
		return "⇥", 1
	case !unicode.IsPrint(r) && size == 1:
		return fmt.Sprintf(`\x%02X`, d.text[at]), 1
	case !unicode.IsPrint(r):
		return fmt.Sprintf(`\u%04X`, r), size
	}
	return string(r), size
}

// write adds one line of every ruler.
func (d *drawing) write(out *strings.Builder, line []segment) {
	for k, r := range d.rulers {
		ruler := []rune(r.Name + strings.Repeat(" ", d.names-utf8.RuneCountInString(r.Name)+1))
		marks := []rune(strings.Repeat(" ", len(ruler)))
		token := 0
		for _, s := range line {
			bars := d.bars[k][s.place]
			ruler = append(ruler, []rune(strings.Repeat(" ", s.bars-bars)+strings.Repeat("|", bars))...)
			for token < len(r.Starts) && d.place(r.Starts[token]) <= s.place {
				if at := len(ruler); bars > 0 && d.place(r.Starts[token]) == s.place && token < len(r.Marks) {
					marks = append(marks[:min(len(marks), at)], []rune(strings.Repeat(" ", max(0, at-len(marks)))+r.Marks[token])...)
				}
				token++
			}
			for i, g := range s.glyphs {
				if s.place == d.end() && i == 0 && !r.Closed {
					g = strings.Repeat(" ", utf8.RuneCountInString(g))
				}
				ruler = append(ruler, []rune(g)...)
			}
		}
		out.WriteString(strings.TrimRight(string(ruler), " ") + "\n")
		if r.Marks != nil {
			out.WriteString(strings.TrimRight(string(marks), " ") + "\n")
		}
	}
}
