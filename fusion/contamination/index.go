package contamination

import (
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/profuser/profuser/fusion/words"
)

// Bounds of Index's words.
const (
	LeastWords = 5
	MostWords  = 50
)

// Index holds the runs of n words of benchmark texts. Add everything before the first Find; Find is for concurrent use. An
// entry takes 16 bytes, in a map of a million 38 bytes of memory.
//
// Two runs are the same if their 64-bit hashes are: among 10^7 runs of benchmarks and 10^10 of prompts that is wrong for
// 10^17 / 2^64, half of one percent of one prompt.
type Index struct {
	n     int
	files []File
	runs  map[uint64]uint16 // file
}

// File is what was read of one benchmark file.
type File struct {
	// Name is the file's.
	Name string
	// Texts counts its texts, Short those among them of fewer words than a run has, which nothing can match.
	Texts, Short int
	// Runs counts the different runs that no earlier file has.
	Runs int
}

// NewIndex makes an empty index of runs of n words, LeastWords to MostWords.
func NewIndex(n int) (*Index, error) {
	if n < LeastWords || n > MostWords {
		return nil, fmt.Errorf("runs of %d words, want %d to %d", n, LeastWords, MostWords)
	}
	return &Index{n: n, runs: map[uint64]uint16{}}, nil
}

// Begin names the file that the next texts are of.
func (x *Index) Begin(name string) { x.files = append(x.files, File{Name: name}) }

// Add enters one text of the file that began last.
//
// Source: GPT-3 (arXiv 2005.14165), appendix C, n = 13. It also leaves out runs that many documents have, cuts the runs
// out of documents instead of dropping these, and takes smaller n for benchmarks of short texts; here n is the user's.
func (x *Index) Add(text string) {
	file := &x.files[len(x.files)-1]
	file.Texts++
	all := words.Comparable(text)
	if len(all) < x.n {
		file.Short++
		return
	}
	x.each(all, func(_ int, hash uint64) bool {
		if _, ok := x.runs[hash]; !ok {
			x.runs[hash] = uint16(len(x.files) - 1)
			file.Runs++
		}
		return true
	})
}

// Files lists what was read.
func (x *Index) Files() []File { return x.files }

// Words is the length of a run.
func (x *Index) Words() int { return x.n }

// Find returns the file of the first run that a text shares, and the run's words; ok is false if it shares none, as texts
// of fewer than n words do.
func (x *Index) Find(text string) (file, run string, ok bool) {
	all := words.Comparable(text)
	x.each(all, func(at int, hash uint64) bool {
		number, found := x.runs[hash]
		if found {
			file, run, ok = x.files[number].Name, strings.Join(all[at:at+x.n], " "), true
		}
		return !found
	})
	return file, run, ok
}

// multiplier is odd, so that no bit of an earlier word is lost in 64 (Knuth's of MMIX).
const multiplier = 6364136223846793005

// each calls f with the place and hash of every run until f returns false. The hash is a polynomial over hashes of the
// words, so that the next run costs one step whatever n is; a last mix spreads it.
func (x *Index) each(all []string, f func(at int, hash uint64) bool) {
	if len(all) < x.n {
		return
	}
	leading := uint64(1) // multiplier^(n-1)
	for range x.n - 1 {
		leading *= multiplier
	}
	hashes := make([]uint64, len(all))
	var rolling uint64
	for i, w := range all {
		h := fnv.New64a()
		_, _ = h.Write([]byte(w)) // a hash never fails
		hashes[i] = mix(h.Sum64())
		if i >= x.n {
			rolling -= hashes[i-x.n] * leading
		}
		rolling = rolling*multiplier + hashes[i]
		if i >= x.n-1 && !f(i-x.n+1, mix(rolling)) {
			return
		}
	}
}

// mix is MurmurHash3's finalizer: every bit of the input moves half of the output's.
func mix(h uint64) uint64 {
	h ^= h >> 33
	h *= 0xff51afd7ed558ccd
	h ^= h >> 33
	h *= 0xc4ceb9fe1a85ec53
	return h ^ h>>33
}
