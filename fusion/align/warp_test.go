package align

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/edit"
	"github.com/profuser/profuser/fusion/vocabulary"
)

// tokenStrings is a vocabulary of strings; its tokens stand for themselves, the marker for a space.
type tokenStrings struct {
	marker string
	tokens []string
}

func (v tokenStrings) Size() int             { return len(v.tokens) }
func (v tokenStrings) Token(id int32) string { return v.tokens[id] }
func (v tokenStrings) Bytes(id int32) []byte {
	return []byte(strings.ReplaceAll(v.tokens[id], v.marker, " "))
}

func drawStrings(t *rapid.T, name, marker string, most int) tokenStrings {
	v := tokenStrings{marker, []string{marker}} // so that the marker is known
	pieces := []rune("ab1Ċ" + marker + marker)
	v.tokens = append(v.tokens, rapid.SliceOfN(rapid.StringOfN(rapid.SampledFrom(pieces), 1, most, -1), 1, 12).Draw(t, name)...)
	return v
}

// wholeMatrix is the rule of a method, on every cell.
func wholeMatrix(method string, source, target *vocabulary.Strings, rows, cols []int32) Warped {
	if method == MethodStatistics {
		source, target = source.Plain(), target.Plain()
	}
	const inf = 1 << 30
	n, m := len(rows), len(cols)
	var alphabet edit.Alphabet
	d := make([][]int, n)
	at := func(i, j int) int {
		if i < 0 || j < 0 {
			return inf
		}
		return d[i][j]
	}
	for i := range d {
		d[i] = make([]int, m)
		for j := range d[i] {
			x, y := source.Bare(rows[i]), target.Bare(cols[j])
			if method == MethodStatistics && (x == "" || y == "") {
				x, y = source.As(target, rows[i]), target.Token(cols[j])
			}
			a, b := alphabet.Append(nil, x), alphabet.Append(nil, y)
			p := edit.NewPattern(alphabet.Size())
			p.Set(a)
			before := min(at(i-1, j), at(i, j-1), at(i-1, j-1))
			if i == 0 && j == 0 {
				before = 0
			}
			d[i][j] = p.Distance(b) + before
		}
	}
	lists := make([][]int32, m)
	i, j := n-1, m-1
	for i > 0 || j > 0 {
		lists[j] = append(lists[j], int32(i))
		diagonal, up, left := at(i-1, j-1), at(i-1, j), at(i, j-1)
		switch least := min(diagonal, up, left); {
		case least == diagonal:
			i, j = i-1, j-1
		case least == up && (method != MethodStatistics || least != left):
			i--
		default:
			j--
		}
	}
	lists[0] = append(lists[0], 0)
	var out Warped
	for _, l := range lists {
		out.First, out.Last = append(out.First, slices.Min(l)), append(out.Last, slices.Max(l))
	}
	return out
}

// TestWarpIsTheWholeMatrix: what is left out changes nothing, whether the two sides have anything in common or not.
func TestWarpIsTheWholeMatrix(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		long := rapid.SampledFrom([]int{1, 3, 3, 70}).Draw(t, "long")
		source := vocabulary.NewStrings(drawStrings(t, "source", "Ġ", long))
		target := vocabulary.NewStrings(drawStrings(t, "target", "▁", long))
		method := rapid.SampledFrom([]string{MethodExactMatch, MethodStatistics}).Draw(t, "method")
		w := NewWarper(method, source, target)
		for range 2 { // the work space is used again
			ids := func(name string, size int) []int32 {
				return rapid.SliceOfN(rapid.Int32Range(0, int32(size-1)), 1, 40).Draw(t, name)
			}
			rows, cols := ids("rows", source.Size()), ids("cols", target.Size())
			if rapid.Bool().Draw(t, "alike") { // the same strings, with some left out and some more
				cols = cols[:0]
				for _, id := range rows {
					same, ok := target.ID(source.As(target, id))
					if !ok {
						same = id % int32(target.Size())
					}
					for range rapid.SampledFrom([]int{0, 1, 1, 1, 1, 2}).Draw(t, "times") {
						cols = append(cols, same)
					}
				}
				if len(cols) == 0 {
					cols = []int32{0}
				}
			}
			if d := cmp.Diff(wholeMatrix(method, source, target, rows, cols), w.Warp(rows, cols)); d != "" {
				t.Fatalf("rows %v, columns %v (-whole matrix +Warp):\n%s", rows, cols, d)
			}
		}
	})
}

func TestWarpOfNothing(t *testing.T) {
	s := vocabulary.NewStrings(tokenStrings{"▁", []string{"a"}})
	w := NewWarper(MethodExactMatch, s, s)
	if d := cmp.Diff(Warped{[]int32{0, 0}, []int32{-1, -1}}, w.Warp(nil, []int32{0, 0})); d != "" {
		t.Error(d)
	}
	if got := w.Warp([]int32{0}, nil); len(got.First) != 0 {
		t.Error(got)
	}
}
