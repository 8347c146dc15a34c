package report

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

// life tells what became of one prompt, a record after each step: the first example of the page.
func (l *loaded) life() ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# The life of one prompt")
	if len(l.selections) == 0 {
		fmt.Fprintln(&b, "\nNo fusion dataset yet.")
		return b.Bytes(), nil
	}
	formats, err := l.formats()
	if err != nil {
		return nil, err
	}
	winners := map[string]map[string]schemas.Selection{}
	for _, s := range l.selections {
		if winners[s.ID] == nil {
			winners[s.ID] = map[string]schemas.Selection{}
		}
		winners[s.ID][s.Mode] = s
	}
	p := l.pick(winners, 1)[0]
	fmt.Fprintf(&b, "\nprompts/\n\n    id         %s\n    tags       %s\n    user       %s\n", p.ID, strings.Join(p.Tags, ", "), lastUser(p))
	if p.Reference != nil {
		fmt.Fprintf(&b, "    reference  %s\n", *p.Reference)
	}
	for _, name := range l.config.Competitors() {
		g := l.generations[name][p.ID]
		fmt.Fprintf(&b, "\ngenerations/%s/\n\n    text  %s\n", name, g.Text)
		tokensText(&b, formats[name], g.TokenDistributions, 4)
	}
	fmt.Fprint(&b, "\nrewards/\n\n")
	for _, judge := range l.config.Reward.Models {
		fmt.Fprintf(&b, "    %-10s", judge)
		for _, name := range l.config.Competitors() {
			fmt.Fprintf(&b, "  %s %.2f", name, l.rewards[judge][[2]string{p.ID, name}])
		}
		fmt.Fprintln(&b)
	}
	fmt.Fprint(&b, "\ncrossentropy/\n\n")
	for _, name := range l.config.Competitors() {
		r := l.readings[name][p.ID]
		fmt.Fprintf(&b, "    %-10s  %.3f nats over %d bytes, %d tokens: %.4f nats per byte\n", name, r.Nats, r.Bytes, r.Tokens, r.NatsPerByte)
	}
	fmt.Fprint(&b, "\nselections/\n\n")
	for _, mode := range []string{schemas.ModeInference, schemas.ModeTraining} {
		s := winners[p.ID][mode]
		fmt.Fprintf(&b, "    %-9s  %s wins", mode, s.Source)
		for _, c := range s.Candidates {
			fmt.Fprintf(&b, "; %s value %.4f, votes %.4g", c.Source, c.Value, c.Votes)
		}
		fmt.Fprintln(&b)
	}
	target := formats[l.config.Target.Model]
	for _, mode := range []string{schemas.ModeInference, schemas.ModeTraining} {
		for _, x := range l.fusion[mode] {
			if x.ID == p.ID && x.Selected {
				fmt.Fprintf(&b, "\nfusion/%s/  (%s's distributions in the target's tokens)\n\n    text  %s\n", mode, x.Source, x.Text)
				tokensText(&b, target, schemas.TokenDistributions{TokenIDs: x.TextIDs, Counts: x.Counts, IDs: x.IDs, LogProbs: x.LogProbs}, 4)
			}
		}
	}
	return b.Bytes(), nil
}

// tokensText lists the first n tokens with their three most probable entries.
func tokensText(b *bytes.Buffer, f *chat.Format, d schemas.TokenDistributions, n int) {
	at := 0
	for i, id := range d.TokenIDs {
		count := int(d.Counts[i])
		if i < n {
			fmt.Fprintf(b, "    token %d  %-10s", i, visible(f, id))
			for k := at; k < at+min(3, count); k++ {
				fmt.Fprintf(b, "  %s %.3f", visible(f, d.IDs[k]), math.Exp(float64(d.LogProbs[k])))
			}
			fmt.Fprintln(b)
		}
		at += count
	}
	if len(d.TokenIDs) > n {
		fmt.Fprintf(b, "    and %d more tokens\n", len(d.TokenIDs)-n)
	}
}
