package batch

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestPackByHand is the shift and the places, written out.
func TestPackByHand(t *testing.T) {
	got := Pack([]Sequence{
		{IDs: []int32{11, 12, 13, 14}, Prompt: 2}, // 13 and 14 are text: places 1 and 2 predict them
		{IDs: []int32{21, 22}, Prompt: 1},         // 22 is text
	}, 3, 4, 4)
	want := &Rows{
		B: 3, S: 4,
		Tokens: []int32{
			11, 12, 13, 0,
			21, 0, 0, 0,
			0, 0, 0, 0,
		},
		Index: []int32{1, 2, 4, 0},
		Gold:  []int32{13, 14, 22, 0},
		Real:  3,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPackTogetherByHand is three sequences in two rows, written out.
func TestPackTogetherByHand(t *testing.T) {
	got := PackTogether([][]Sequence{
		{{IDs: []int32{11, 12, 13}, Prompt: 2}, {IDs: []int32{21, 22}, Prompt: 1}},
		{{IDs: []int32{31, 32, 33, 34}, Prompt: 2}},
	}, 2, 4, 5)
	want := &Rows{
		B: 2, S: 4,
		Tokens:    []int32{11, 12, 21, 0, 31, 32, 33, 0},
		Positions: []int32{0, 1, 0, 0, 0, 1, 2, 0},
		Blocks:    []int32{1, 1, 2, 3, 1, 1, 1, 2},
		Index:     []int32{1, 2, 5, 6, 0},
		Gold:      []int32{13, 22, 33, 34, 0},
		Real:      4,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestPackings: every sequence is in exactly one row, no row overflows, no micro-batch is larger than allowed, and there
// is at most one row that is half empty.
func TestPackings(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 300), 1, 80).Draw(t, "lengths")
		positions := rapid.IntRange(1, 2000).Draw(t, "positions")
		var seen []int
		rows, places, length := 0, 0, 0
		for _, p := range Packings(lengths, positions) {
			if p.B < len(p.Members) || len(p.Members) > 1 && p.B*p.S > positions {
				t.Fatalf("%d rows of %d for %d packed ones, at most %d places", p.B, p.S, len(p.Members), positions)
			}
			for _, row := range p.Members {
				used := 0
				for _, i := range row {
					used += lengths[i]
				}
				if used > p.S {
					t.Fatalf("%d tokens in a row of %d", used, p.S)
				}
				seen = append(seen, row...)
				rows, places, length = rows+1, places+used, p.S
			}
		}
		slices.Sort(seen)
		for i := range lengths {
			if i >= len(seen) || seen[i] != i {
				t.Fatalf("members %v do not cover %d sequences once each", seen, len(lengths))
			}
		}
		if rows > 1 && 2*places <= (rows-1)*length { // two rows that are half empty would have been one
			t.Fatalf("%d tokens in %d rows of %d", places, rows, length)
		}
	})
}

func TestBucket(t *testing.T) {
	for _, c := range [][2]int{{1, 4}, {4, 4}, {5, 8}, {64, 64}, {65, 72}, {128, 128}, {129, 144}, {256, 256}, {257, 288}, {2000, 2048}} {
		if got := Bucket(c[0]); got != c[1] {
			t.Errorf("Bucket(%d) = %d, want %d", c[0], got, c[1])
		}
	}
}

// TestGroups: every sequence is in exactly one group, fits, and no group is larger than allowed.
func TestGroups(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 300), 1, 80).Draw(t, "lengths")
		positions, least := rapid.IntRange(1, 2000).Draw(t, "positions"), rapid.IntRange(1, 20).Draw(t, "least")
		var seen []int
		for _, g := range Groups(lengths, positions, least) {
			if g.B < len(g.Members) {
				t.Fatalf("%d rows for %d members", g.B, len(g.Members))
			}
			if len(g.Members) > 1 && g.B*g.S > positions {
				t.Fatalf("%d rows of %d are more than %d places", g.B, g.S, positions)
			}
			for _, i := range g.Members {
				if lengths[i] > g.S {
					t.Fatalf("length %d in rows of %d", lengths[i], g.S)
				}
			}
			seen = append(seen, g.Members...)
		}
		slices.Sort(seen)
		for i := range lengths {
			if i >= len(seen) || seen[i] != i {
				t.Fatalf("members %v do not cover %d sequences once each", seen, len(lengths))
			}
		}
	})
}

// TestStream: over some epochs every sequence is dealt equally often, but for those that wait, and the order is a
// function of the seed.
func TestStream(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.IntRange(1, 60), 1, 40).Draw(t, "lengths")
		tokens := rapid.IntRange(1, 200).Draw(t, "tokens")
		a, b := NewStream(lengths, tokens, 5), NewStream(lengths, tokens, 5)
		times := make([]int, len(lengths))
		for range 50 {
			members, s := a.Next()
			again, _ := b.Next()
			if !slices.Equal(members, again) {
				t.Fatal("the same seed gave another order")
			}
			if len(members) != a.RowsFor(s) {
				t.Fatalf("%d rows, want %d", len(members), a.RowsFor(s))
			}
			for _, i := range members {
				times[i]++
				if Bucket(lengths[i]) != s {
					t.Fatalf("length %d in a batch of %d", lengths[i], s)
				}
			}
		}
		for i, n := range times {
			// A bucket holds back fewer sequences than a batch has rows, each dealt once an epoch.
			if behind := a.Epoch() - n; behind < 0 || behind > 1+a.RowsFor(Bucket(lengths[i])) {
				t.Fatalf("sequence %d was dealt %d times in %d epochs", i, n, a.Epoch())
			}
		}
	})
}

func TestCount(t *testing.T) {
	for _, c := range [][3]int{{1, 1, 1}, {3, 1, 3}, {9, 1, 9}, {17, 1, 18}, {33, 1, 36}, {5, 32, 32}, {100, 32, 104}} {
		if got := Count(c[0], c[1]); got != c[2] {
			t.Errorf("Count(%d, %d) = %d, want %d", c[0], c[1], got, c[2])
		}
	}
}
