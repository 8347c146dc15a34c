package align_test

import (
	"strings"
	"testing"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/schemas"
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

// BenchmarkMinEditDistance2048 aligns 2,048 target tokens with the top 10 of each source token by FuseLLM's rule, the
// vocabulary map being there.
func BenchmarkMinEditDistance2048(b *testing.B) {
	w := load(b)
	rows, cols := longText(w.mpt, w.vicuna, w.texts, 2048)
	d, _ := w.mpt.read(rows)
	d, _ = best(d, rows, make([]int32, len(rows)), 10)
	m := vocabulary.MinEditDistance(vocabulary.NewStrings(w.mpt), vocabulary.NewStrings(w.vicuna))
	c, err := align.NewComparison(align.MethodMinEditDistance, align.FallbackCurrent, w.mpt, w.vicuna, m)
	if err != nil {
		b.Fatal(err)
	}
	source, target := align.Input{IDs: rows, Counts: d.Counts, Entries: d.IDs}, align.Input{IDs: cols}
	copied := 0
	for b.Loop() {
		out, err := c.Rows(source, target)
		if err != nil {
			b.Fatal(err)
		}
		copied = 0
		for _, status := range out.Status {
			if status == schemas.StatusExact {
				copied++
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/text")
	b.ReportMetric(100*float64(len(cols)-copied)/float64(len(cols)), "%one-hot")
}

// BenchmarkTransport2048 is that with a plan at every one-to-one position.
func BenchmarkTransport2048(b *testing.B) {
	w := load(b)
	rows, cols := longText(w.mpt, w.vicuna, w.texts, 2048)
	d, _ := w.mpt.read(rows)
	d, _ = best(d, rows, make([]int32, len(rows)), 12)
	own, _ := w.vicuna.read(cols)
	own, _ = best(own, cols, make([]int32, len(cols)), 12)
	m := vocabulary.MinEditDistance(vocabulary.NewStrings(w.mpt), vocabulary.NewStrings(w.vicuna))
	c, err := align.NewComparison(align.MethodTransport, align.FallbackNone, w.mpt, w.vicuna, m)
	if err != nil {
		b.Fatal(err)
	}
	widen := func(xs []float32) (out []float64) {
		for _, x := range xs {
			out = append(out, float64(x))
		}
		return out
	}
	source := align.Input{IDs: rows, Counts: d.Counts, Entries: d.IDs, Values: widen(d.LogProbs)}
	target := align.Input{IDs: cols, Counts: own.Counts, Entries: own.IDs, Values: widen(own.LogProbs)}
	for b.Loop() {
		if _, err := c.Rows(source, target); err != nil {
			b.Fatal(err)
		}
	}
}
