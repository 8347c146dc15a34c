package align_test

import (
	"strings"
	"testing"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
)

// longText gives the source's and the target's tokens of real texts until the target has size tokens.
func longText(source, target *model, texts []string, size int) (rows, cols []int32) {
	var text strings.Builder
	for _, t := range texts {
		text.WriteString(t + "\n\n")
		if cols = target.Encode(text.String()); len(cols) > size {
			break
		}
	}
	cols = cols[:size]
	var content []byte
	for _, id := range cols {
		content = append(content, target.Bytes(id)...)
	}
	return source.Encode(strings.TrimPrefix(string(content), " ")), cols
}

func BenchmarkWarp2048MPTToVicuna(b *testing.B) {
	w := load(b)
	source, target := vocabulary.NewStrings(w.mpt), vocabulary.NewStrings(w.vicuna)
	warper := align.NewWarper(source, target)
	rows, cols := longText(w.mpt, w.vicuna, w.texts, 2048)
	b.Logf("%d source tokens", len(rows))
	for b.Loop() {
		warper.Warp(rows, cols)
	}
}
