package mersenne

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestUint32: what CPython 3.11's random.Random(seed).getrandbits(32) gives.
func TestUint32(t *testing.T) {
	r := New(1234)
	var got []uint32
	for range 5 {
		got = append(got, r.Uint32())
	}
	if d := cmp.Diff([]uint32{4150886329, 3342196574, 1892932127, 501869158, 32175636}, got); d != "" {
		t.Errorf("seed 1234 (-Python +got):\n%s", d)
	}
	for range 695 {
		r.Uint32()
	}
	if got := r.Uint32(); got != 566242753 {
		t.Errorf("number 701 is %d, Python's 566242753", got)
	}
	for seed, want := range map[uint32]uint32{0: 3626764237, 1<<32 - 1: 2728839433} {
		if got := New(seed).Uint32(); got != want {
			t.Errorf("seed %d: %d, Python's %d", seed, got, want)
		}
	}
}

// TestSample: CPython 3.11's random.Random(1234).sample(range(n), k), one after another, on both sides of the size from
// which a set is taken instead of a pool.
func TestSample(t *testing.T) {
	r := New(1234)
	for _, c := range []struct {
		n, k int
		want []int
	}{
		{5, 5, []int{3, 0, 4, 2, 1}},
		{21, 5, []int{2, 3, 11, 7, 0}},
		{22, 5, []int{0, 11, 20, 19, 15}},
		{100, 6, []int{78, 59, 19, 11, 23, 91}},
		{85, 6, []int{14, 1, 64, 62, 31, 8}},
		{86, 6, []int{85, 69, 59, 8, 76, 11}},
		{1000, 25, []int{527, 592, 47, 276, 844, 569, 64, 660, 309, 492, 870, 363, 272, 255, 671, 955, 204, 464, 897, 542, 681, 19, 964, 520, 72}},
		{3, 0, []int{}},
		{1, 1, []int{0}},
		{7473, 5, []int{2732, 1177, 5816, 3873, 5385}},
		{1119, 25, []int{772, 342, 110, 156, 1016, 335, 154, 440, 295, 55, 709, 227, 1084, 289, 625, 930, 81, 852, 566, 82, 363, 556, 316, 614, 951}},
	} {
		got, err := r.Sample(c.n, c.k)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%d of %d (-Python +got):\n%s", c.k, c.n, d)
		}
	}
	for _, c := range [][2]int{{3, 4}, {3, -1}, {1 << 33, 1}} {
		if _, err := New(1).Sample(c[0], c[1]); err == nil {
			t.Errorf("%d of %d were drawn", c[1], c[0])
		}
	}
}
