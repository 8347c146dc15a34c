package align

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// lexicon gives ids to strings in the order of their first use; </s> is special and has id 0.
type lexicon struct{ toy }

func (v *lexicon) Special(id int32) bool { return id == 0 }
func (v *lexicon) id(token string) int32 {
	if token == "</s>" {
		return 0
	}
	if len(v.toy) == 0 {
		v.toy = append(v.toy, nil)
	}
	if at := slices.IndexFunc(v.toy, func(b []byte) bool { return string(b) == token }); at > 0 {
		return int32(at)
	}
	v.toy = append(v.toy, []byte(token))
	return int32(len(v.toy) - 1)
}

func (v *lexicon) name(id int32) string {
	if id == 0 {
		return "</s>"
	}
	return strconv.Quote(string(v.toy[id]))
}

// quoted reads Go strings and bare words.
func quoted(t *testing.T, line string) (words []string) {
	for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
		word, rest, _ := strings.Cut(line, " ")
		if line[0] == '"' {
			prefix, err := strconv.QuotedPrefix(line)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			if word, err = strconv.Unquote(prefix); err != nil {
				t.Fatal(err)
			}
			rest = line[len(prefix):]
		}
		words, line = append(words, word), rest
	}
	return words
}

// scene is one golden case: see testdata/exact.txt.
type scene struct {
	text           []byte
	source, target lexicon
	s, t           Tokens
	d              dist.Sparse
	rank           []int32
}

// token adds a token that begins at byte `at` and gives the byte after it.
func (k *Tokens) token(v *lexicon, word string, at int) int {
	id := v.id(word)
	k.IDs, k.Starts, k.Closed = append(k.IDs, id), append(k.Starts, int32(at)), id == 0
	if id == 0 {
		return at
	}
	return at + len(v.toy[id])
}

func readScene(t *testing.T, input string) *scene {
	x := &scene{}
	x.source.id("</s>")
	sourceAt, targetAt := 0, 0
	for line := range strings.Lines(input) {
		words := quoted(t, line)
		key, words := words[0], words[1:]
		switch key {
		case "text":
			x.text = []byte(words[0])
		case "template": // how many bytes of it the two first tokens have
			for k, at := range []*int{&sourceAt, &targetAt} {
				n, err := strconv.Atoi(words[k])
				if err != nil {
					t.Fatal(err)
				}
				*at = -n
			}
		case "source", "outside": // the text's token and the alternatives, each with its probability
			rank := int32(0)
			if key == "outside" {
				rank = -1
			}
			sourceAt = x.s.token(&x.source, words[0], sourceAt)
			var ids []int32
			var logProbs []float32
			for k := 0; k < len(words); k += 2 {
				p, err := strconv.ParseFloat(words[k+1], 64)
				if err != nil {
					t.Fatal(err)
				}
				ids, logProbs = append(ids, x.source.id(words[k])), append(logProbs, float32(math.Log(p)))
			}
			x.d.Append(ids, logProbs)
			x.rank = append(x.rank, rank)
		case "target":
			for _, word := range words {
				targetAt = x.t.token(&x.target, word, targetAt)
			}
		case "vocabulary": // more of the target's tokens
			for _, word := range words {
				x.target.id(word)
			}
		default:
			t.Fatalf("unknown line %q", line)
		}
	}
	return x
}

func (x *scene) draw(t *testing.T) string {
	e := NewExact(&x.source, []int32{0}, "", &x.target, 0, "")
	got, err := e.Align(x.text, x.s, x.d, x.rank, x.t)
	if err != nil {
		return err.Error() + "\n"
	}
	if err := got.Dist.Validate(x.target.Size()); err != nil {
		t.Error(err)
	}
	var out strings.Builder
	out.WriteString(Draw(x.text, 60,
		Ruler{Name: "source", Starts: x.s.Starts, Closed: x.s.Closed},
		Ruler{Name: "target", Starts: x.t.Starts, Closed: x.t.Closed, Marks: StatusMarks(got.Status)}))
	names := map[schemas.Status]string{0: "none", 1: "exact", 2: "boundary", 3: "inner"}
	for i, id := range x.t.IDs {
		fmt.Fprintf(&out, "%-8s %-8s :", x.target.name(id), names[got.Status[i]])
		ids, logProbs := got.Dist.At(i)
		for k, id := range ids {
			fmt.Fprintf(&out, " %s %.4f", x.target.name(id), math.Exp(float64(logProbs[k])))
		}
		fmt.Fprintf(&out, " rest %.4f\n", got.Dist.Rest(i))
	}
	return out.String()
}

func TestGolden(t *testing.T) {
	datadriven.RunTest(t, "testdata/exact.txt", func(t *testing.T, d *datadriven.TestData) string {
		return readScene(t, d.Input).draw(t)
	})
}

func TestDraw(t *testing.T) {
	datadriven.RunTest(t, "testdata/rulers.txt", func(t *testing.T, d *datadriven.TestData) string {
		var width int
		d.MaybeScanArgs(t, "width", &width)
		var text []byte
		var rulers []Ruler
		for line := range strings.Lines(d.Input) {
			words := quoted(t, line)
			if words[0] == "text" {
				text = []byte(words[1])
				continue
			}
			r := Ruler{Name: words[0]}
			for _, word := range words[1:] {
				if start, err := strconv.Atoi(word); err == nil {
					r.Starts = append(r.Starts, int32(start))
					continue
				}
				if word == "end" {
					r.Starts, r.Closed = append(r.Starts, int32(len(text))), true
					continue
				}
				r.Marks = append(r.Marks, word)
			}
			rulers = append(rulers, r)
		}
		return Draw(text, width, rulers...)
	})
}
