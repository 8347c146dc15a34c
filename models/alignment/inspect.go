package alignment

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/profuser/profuser/fusion/vocabulary"
)

const (
	listed      = 10 // entries of each kind that Inspect lists
	mostTargets = 8  // target tokens of an entry that are shown
	mostRunes   = 24 // characters of a token that are shown
)

// Inspect writes what a vocabulary map holds: how many of the source's tokens it covers and at what cost, the entries that
// fit worst, and entries at even distances through the vocabulary. Equal maps are written equally.
func Inspect(out io.Writer, m *vocabulary.Map, source, target *Side) error {
	var b strings.Builder
	tokens, targets, none := 0, map[int]int{}, 0
	costs := map[float32]int{}
	var ids []int32
	for id := range int32(m.Size()) {
		if source.Token(id) == "" {
			continue
		}
		tokens++
		n := len(m.Targets(id))
		if n == 0 {
			none++
			continue
		}
		ids = append(ids, id)
		targets[n]++
		costs[m.Costs[id]]++
	}
	fmt.Fprintf(&b, "method    %s\n", m.Method)
	fmt.Fprintf(&b, "source    %d tokens, %s\n", tokens, source.Fingerprint())
	fmt.Fprintf(&b, "target    %d tokens, %s\n", count(target), target.Fingerprint())
	fmt.Fprintf(&b, "covered   %s\n", share(tokens-none, tokens))
	fmt.Fprintf(&b, "unmapped  %s\n", share(none, tokens))
	if m.Method == vocabulary.MethodSpelling {
		writeShares(&b, "by the number of target tokens", targets, tokens, func(n int) string { return strconv.Itoa(n) })
	} else {
		writeShares(&b, "by cost", costs, tokens, formatCost)
	}
	worst := slices.Clone(ids)
	slices.SortStableFunc(worst, func(x, y int32) int { return cmp.Compare(m.Costs[y], m.Costs[x]) })
	b.WriteString("\nworst\n")
	writeEntries(&b, m, source, target, worst[:min(listed, len(worst))])
	var samples []int32
	for k := range min(listed, len(ids)) {
		samples = append(samples, ids[(2*k+1)*len(ids)/(2*min(listed, len(ids)))])
	}
	b.WriteString("\nsamples\n")
	writeEntries(&b, m, source, target, samples)
	_, err := io.WriteString(out, b.String())
	return err
}

func count(s *Side) int {
	n := 0
	for id := range int32(s.Size()) {
		if s.Token(id) != "" {
			n++
		}
	}
	return n
}

func share(n, of int) string {
	return fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(max(1, of)))
}

func formatCost(cost float32) string { return strconv.FormatFloat(float64(cost), 'g', 4, 32) }

// writeShares lists how many tokens have each value: the lowest nine, and the rest together.
func writeShares[T cmp.Ordered](b *strings.Builder, title string, counts map[T]int, of int, format func(T) string) {
	const most = 9
	values := make([]T, 0, len(counts))
	for v := range counts {
		values = append(values, v)
	}
	slices.Sort(values)
	fmt.Fprintf(b, "\n%s\n", title)
	rest := 0
	for k, v := range values {
		if k >= most && len(values) > most+1 {
			rest += counts[v]
			continue
		}
		fmt.Fprintf(b, "  %-8s %s\n", format(v), share(counts[v], of))
	}
	if rest > 0 {
		fmt.Fprintf(b, "  %-8s %s\n", "more", share(rest, of))
	}
}

// writeEntries lists source tokens with their target tokens, as the vocabularies write them.
func writeEntries(b *strings.Builder, m *vocabulary.Map, source, target *Side, ids []int32) {
	for _, id := range ids {
		var to []string
		for k, t := range m.Targets(id) {
			if k == mostTargets {
				to = append(to, "…")
				break
			}
			to = append(to, quoted(target.Token(t)))
		}
		fmt.Fprintf(b, "  %6d %-24s %6s  %s\n", id, quoted(source.Token(id)), formatCost(m.Costs[id]), strings.Join(to, " "))
	}
}

// quoted is a token's string as it is shown: its beginning, if it is long.
func quoted(token string) string {
	if r := []rune(token); len(r) > mostRunes {
		return strconv.Quote(string(r[:mostRunes])) + "…"
	}
	return strconv.Quote(token)
}
