package edit

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// definition is the recurrence on a whole matrix.
func definition(a, b []int32) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		for j := range d[i] {
			switch {
			case i == 0:
				d[i][j] = j
			case j == 0:
				d[i][j] = i
			default:
				step := 1
				if a[i-1] == b[j-1] {
					step = 0
				}
				d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+step)
			}
		}
	}
	return d[len(a)][len(b)]
}

func TestDistanceIsTheDefinition(t *testing.T) {
	var alphabet Alphabet
	p := NewPattern(8)
	var work []int32 // used again, as callers do
	rapid.Check(t, func(t *rapid.T) {
		long := rapid.SampledFrom([]int{4, 12, 64, 65, 90}).Draw(t, "long")
		draw := func(name string) []int32 {
			s := rapid.StringOfN(rapid.SampledFrom([]rune("abé▁")), 0, long, -1).Draw(t, name)
			if rapid.Bool().Draw(t, name+" broken") {
				s += "\xff"
			}
			return alphabet.Append(nil, s)
		}
		a, b := draw("a"), draw("b")
		work = append(work[:0], a...)
		p.Set(work)
		want := definition(a, b)
		if got := p.Distance(b); got != want {
			t.Fatalf("distance %d, want %d", got, want)
		}
		if bound := AtLeast(Signature(a), Signature(b)); bound > want {
			t.Fatalf("the lower bound is %d, the distance %d", bound, want)
		}
	})
}

func TestDistanceOnCodePoints(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "日本", 2},
		{"kitten", "sitting", 3},
		{"▁the", "Ġthe", 1},
		{"naïve", "naive", 1},
		{"\xff", "\xfe", 1},
		{"\xff", "\xff", 0},
		{"\xff", "\uFFFD", 1},
		{strings.Repeat("-", 70), strings.Repeat("-", 64), 6},
	} {
		var alphabet Alphabet
		a, b := alphabet.Append(nil, c.a), alphabet.Append(nil, c.b)
		p := NewPattern(alphabet.Size())
		p.Set(a)
		if got := p.Distance(b); got != c.want {
			t.Errorf("%q and %q: distance %d, want %d", c.a, c.b, got, c.want)
		}
		p.Set(b)
		if got := p.Distance(a); got != c.want {
			t.Errorf("%q and %q: distance %d, want %d", c.b, c.a, got, c.want)
		}
	}
}
