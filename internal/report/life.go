package report

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/internal/report/tokens"
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
		for _, g := range l.generations[name][p.ID] {
			fmt.Fprintf(&b, "\ngenerations/%s/%s\n\n    text  %s\n    %d prompt tokens, %d answer tokens, finish_reason %s; each token with its three most probable entries:\n",
				name, strings.TrimPrefix(l.named(name, g.Sample), name), g.Text, g.PromptTokens, len(g.TokenIDs), g.FinishReason)
			tokensText(&b, l.formats[name], g.TokenDistributions, nil)
		}
	}
	l.measured(&b, p.ID, winners[p.ID])
	for _, mode := range schemas.Modes {
		for _, x := range l.fusion[mode] {
			if x.ID == p.ID && x.Selected {
				fmt.Fprintf(&b, "\nfusion/%s/  (%s's distributions in the target's tokens)\n\n    text  %s\n    %d prompt tokens, %d text tokens: %s\n",
					mode, x.Source, x.Text, len(x.PromptIDs), len(x.TextIDs), statusText(x.Status))
				tokensText(&b, l.formats[l.config.Target.Model], schemas.TokenDistributions{TokenIDs: x.TextIDs, Counts: x.Counts, IDs: x.IDs, LogProbs: x.LogProbs}, x.Status)
			}
		}
	}
	l.learnt(&b)
	return b.Bytes()
}

// learnt tells the first and the last loss of each stage of the training, which has seen this prompt among the others.
func (l *loaded) learnt(b *bytes.Buffer) {
	var ends []metric
	for _, m := range l.metrics {
		if m.Loss == nil {
			continue
		}
		if n := len(ends); n > 0 && n%2 == 0 && ends[n-1].Stage == m.Stage {
			ends[n-1] = m
		} else {
			ends = append(ends, m)
		}
	}
	if len(ends) == 0 {
		return
	}
	fmt.Fprint(b, "\ntrainer/metrics.jsonl  (the loss of a batch of prompts)\n\n")
	for _, m := range ends {
		fmt.Fprintf(b, "    step %-4d  stage %-9s  loss %.4f\n", m.Step, m.Stage, *m.Loss)
	}
}

// statusText counts a fusion example's positions by status, such as "18 exact, 1 boundary".
func statusText(status []int32) string {
	var out []string
	for k, name := range tokens.StatusNames {
		if n := len(slices.DeleteFunc(slices.Clone(status), func(s int32) bool { return int(s) != k })); n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, name))
		}
	}
	return strings.Join(out, ", ")
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
		right := func(g schemas.Generation) bool { return benchmark.Correct(g.Text, item.Answer, item.Candidates) }
		if err == nil && right(l.answer(won.Key())) && !slices.ContainsFunc(l.generations[l.config.Target.Model][p.ID], right) {
			return p
		}
	}
	return all[0]
}

// named is a source's name, with the number of its response where it has several to a prompt.
func (l *loaded) named(source string, sample int32) string {
	if l.config.Generate.Samples == 1 {
		return source
	}
	return fmt.Sprintf("%s #%d", source, sample)
}

// competitor is named in inference mode; in training mode a source reads the reference once.
func (l *loaded) competitor(mode, source string, sample int32) string {
	if mode == schemas.ModeTraining {
		return source
	}
	return l.named(source, sample)
}

// answer is one response, empty where it is not there.
func (l *loaded) answer(key schemas.ResponseKey) schemas.Generation {
	for _, g := range l.generations[key.Source][key.ID] {
		if g.Sample == key.Sample {
			return g
		}
	}
	return schemas.Generation{}
}

// measured writes scores, cross-entropies and winners of one prompt.
func (l *loaded) measured(b *bytes.Buffer, id string, winners map[string]schemas.Selection) {
	fmt.Fprint(b, "\nrewards/\n\n")
	for _, judge := range l.config.Reward.Models {
		fmt.Fprintf(b, "    %-10s", judge)
		for _, name := range l.config.Competitors() {
			for _, g := range l.generations[name][id] {
				if score, ok := l.rewards[judge][g.Key()]; ok {
					fmt.Fprintf(b, "  %s %.2f", l.named(name, g.Sample), score)
				}
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
	for _, mode := range schemas.Modes {
		s, ok := winners[mode]
		if !ok {
			continue
		}
		fmt.Fprintf(b, "    %-9s  %s wins", mode, l.competitor(mode, s.Source, s.Sample))
		for _, c := range s.Candidates {
			fmt.Fprintf(b, "; %s value %.4f", l.competitor(mode, c.Source, c.Sample), c.Value)
			if mode == schemas.ModeInference {
				fmt.Fprintf(b, ", votes %.4g", c.Votes)
			}
		}
		fmt.Fprintln(b)
	}
}

// tokensText lists tokens with their three most probable entries, nothing without a tokenizer: the first four, and of
// those with a status the first three that are not exact.
func tokensText(b *bytes.Buffer, f *chat.Format, d schemas.TokenDistributions, status []int32) {
	if f == nil {
		return
	}
	at, shown, inexact := 0, 0, 0
	for i, id := range d.TokenIDs {
		end := at + int(d.Counts[i])
		special := status != nil && status[i] != schemas.StatusExact && inexact < 3
		if i < 4 || special {
			shown++
			fmt.Fprintf(b, "    token %-3d %-10s", i, tokens.Visible(f.Tokenizer(), id, 0))
			if status != nil {
				fmt.Fprintf(b, "  %-8s", tokens.StatusNames[status[i]])
			}
			for k := at; k < min(at+3, end); k++ {
				fmt.Fprintf(b, "  %s %.3f", tokens.Visible(f.Tokenizer(), d.IDs[k], 0), math.Exp(float64(d.LogProbs[k])))
			}
			fmt.Fprintln(b)
		}
		if special {
			inexact++
		}
		at = end
	}
	if n := len(d.TokenIDs) - shown; n > 0 {
		fmt.Fprintf(b, "    and %d more tokens\n", n)
	}
}
