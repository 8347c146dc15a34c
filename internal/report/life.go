package report

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

// life tells what became of one prompt, a record after each step.
func (l *loaded) life() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "# The life of one prompt")
	if len(l.selections) == 0 || len(l.prompts) == 0 {
		fmt.Fprintln(&b, "\nNo fusion dataset yet.")
		return b.Bytes()
	}
	winners := l.winners()
	p := l.telling(winners)
	fmt.Fprintf(&b, "\nprompts/\n\n    id         %s\n    tags       %s\n    user       %s\n", p.ID, strings.Join(p.Tags, ", "), lastUser(p))
	if p.Reference != nil {
		fmt.Fprintf(&b, "    reference  %s\n", *p.Reference)
	}
	for _, name := range l.config.Competitors() {
		g := l.generations[name][p.ID]
		fmt.Fprintf(&b, "\ngenerations/%s/\n\n    text  %s\n", name, g.Text)
		tokensText(&b, l.formats[name], g.TokenDistributions, 4)
	}
	l.measured(&b, p.ID, winners[p.ID])
	for _, mode := range []string{schemas.ModeInference, schemas.ModeTraining} {
		for _, x := range l.fusion[mode] {
			if x.ID == p.ID && x.Selected {
				fmt.Fprintf(&b, "\nfusion/%s/  (%s's distributions in the target's tokens)\n\n    text  %s\n", mode, x.Source, x.Text)
				tokensText(&b, l.formats[l.config.Target.Model], schemas.TokenDistributions{TokenIDs: x.TextIDs, Counts: x.Counts, IDs: x.IDs, LogProbs: x.LogProbs}, 4)
			}
		}
	}
	return b.Bytes()
}

// telling picks the prompt whose life is told: the first example of the page where a source wins with a right answer and
// the target's is wrong, as far as the rows say what is right; else the first example.
func (l *loaded) telling(winners map[string]map[string]schemas.Selection) schemas.Prompt {
	all := l.pick(winners, len(l.prompts))
	for _, p := range all {
		won, ok := winners[p.ID][schemas.ModeInference]
		if !ok || won.Source == l.config.Target.Model {
			continue
		}
		item, err := benchmark.FromPrompt(p)
		right := func(model string) bool {
			return benchmark.Correct(l.generations[model][p.ID].Text, item.Answer, item.Candidates)
		}
		if err == nil && right(won.Source) && !right(l.config.Target.Model) {
			return p
		}
	}
	return all[0]
}

// measured writes scores, cross-entropies and winners of one prompt.
func (l *loaded) measured(b *bytes.Buffer, id string, winners map[string]schemas.Selection) {
	fmt.Fprint(b, "\nrewards/\n\n")
	for _, judge := range l.config.Reward.Models {
		fmt.Fprintf(b, "    %-10s", judge)
		for _, name := range l.config.Competitors() {
			if score, ok := l.rewards[judge][[2]string{id, name}]; ok {
				fmt.Fprintf(b, "  %s %.2f", name, score)
			}
		}
		fmt.Fprintln(b)
	}
	fmt.Fprint(b, "\ncrossentropy/\n\n")
	for _, name := range l.config.Competitors() {
		if r, ok := l.readings[name][id]; ok {
			fmt.Fprintf(b, "    %-10s  %.3f nats over %d bytes, %d tokens: %.4f nats per byte\n", name, r.Nats, r.Bytes, r.Tokens, r.NatsPerByte)
		}
	}
	fmt.Fprint(b, "\nselections/\n\n")
	for _, mode := range []string{schemas.ModeInference, schemas.ModeTraining} {
		s, ok := winners[mode]
		if !ok {
			continue
		}
		fmt.Fprintf(b, "    %-9s  %s wins", mode, s.Source)
		for _, c := range s.Candidates {
			fmt.Fprintf(b, "; %s value %.4f", c.Source, c.Value)
			if mode == schemas.ModeInference {
				fmt.Fprintf(b, ", votes %.4g", c.Votes)
			}
		}
		fmt.Fprintln(b)
	}
}

// tokensText lists the first n tokens with their three most probable entries; nothing without a tokenizer.
func tokensText(b *bytes.Buffer, f *chat.Format, d schemas.TokenDistributions, n int) {
	if f == nil {
		return
	}
	at := 0
	for i, id := range d.TokenIDs {
		count := int(d.Counts[i])
		if i < n {
			fmt.Fprintf(b, "    token %d  %-10s", i, visible(f, id, 0))
			for k := at; k < at+min(3, count); k++ {
				fmt.Fprintf(b, "  %s %.3f", visible(f, d.IDs[k], 0), math.Exp(float64(d.LogProbs[k])))
			}
			fmt.Fprintln(b)
		}
		at += count
	}
	if len(d.TokenIDs) > n {
		fmt.Fprintf(b, "    and %d more tokens\n", len(d.TokenIDs)-n)
	}
}
