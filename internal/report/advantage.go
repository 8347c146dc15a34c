package report

import (
	"fmt"
	"math"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/schemas"
)

// modeColours are the two modes' series, training mode first.
var modeColours = draw.Numbered(trainingColour, "training mode", "inference mode")

// responses are the answers to a prompt with what is known of their worth, of the models that compete or of all, those
// that a filter drops left out.
func (l *loaded) responses(p schemas.Prompt, competing bool) []advantage.Response {
	var out []advantage.Response
	item, hasKey := benchmark.FinalAnswer(p)
	filters := advantage.Filters(l.config.Advantage.Inference.Filters)
	for _, name := range l.config.Competitors() {
		if competing && name == l.config.Target.Model && !l.config.Target.Compete {
			continue
		}
		for _, g := range l.generations[name][p.ID] {
			if filters.Drop(g.Text, g.FinishReason) != "" {
				continue
			}
			r := advantage.Response{Source: name, Sample: g.Sample, Text: g.Text, Finish: g.FinishReason}
			for _, judge := range l.config.Reward.Models {
				score, ok := l.rewards[judge][g.Key()]
				if !ok {
					score = math.NaN()
				}
				r.Scores = append(r.Scores, score)
			}
			if t, ok := l.targetReadings[g.Key()]; ok {
				r.TargetNats = &t.NatsPerByte
			}
			if hasKey {
				right := item.Correct(g.Text)
				r.Right = &right
			}
			out = append(out, r)
		}
	}
	return out
}

// table counts selections, and the target's win rates whether it competes or not.
func (l *loaded) table() *advantage.Table {
	t := advantage.NewTable(l.config.Target.Model)
	for _, s := range l.selections {
		t.Add(s)
	}
	for _, p := range l.prompts {
		var readings []advantage.Reading
		for _, name := range l.config.Competitors() {
			if r, ok := l.readings[name][p.ID]; ok {
				readings = append(readings, advantage.Reading{Source: name, Nats: r.Nats, Bytes: r.Bytes, Tokens: r.Tokens})
			}
		}
		t.Readings(readings)
		t.Responses(l.responses(p, false), advantage.Filters{})
	}
	return t
}

// winRates draws the target's win rate against each source in both modes (figure 1, left).
func (l *loaded) winRates(t *advantage.Table) draw.Figure {
	var groups []draw.Group
	for _, source := range l.config.Sources {
		g := draw.Group{Label: source}
		for _, mode := range modeOrder {
			v := math.NaN()
			if r := t.Against[mode][source]; r != nil {
				v = r.Share()
			}
			g.Values = append(g.Values, v)
		}
		groups = append(groups, g)
	}
	return draw.Bars{Title: "Figure 1 of the paper, left: win rate of " + l.config.Target.Model + " against each source, by mode", Of: "source", Groups: groups, Series: modeColours, Top: 1, Format: "%.2f", Mark: 0.5}.
		Draw().Named("figure-1-left", winRateNote(t.Agree.Share()))
}

// shares draws the share of prompts that each competitor wins in both modes.
func (l *loaded) shares(t *advantage.Table) draw.Figure {
	var groups []draw.Group
	for _, name := range l.config.Competitors() {
		g := draw.Group{Label: name}
		for _, mode := range modeOrder {
			total := 0
			for _, n := range t.Won[mode] {
				total += n
			}
			g.Values = append(g.Values, float64(t.Won[mode][name])/float64(max(1, total)))
		}
		groups = append(groups, g)
	}
	return draw.Bars{Title: "Prompts won: share of each competitor", Of: "model", Groups: groups, Series: modeColours, Top: 1, Format: "%.2f"}.
		Draw().Named("prompts-won", "Training mode: the lowest nats per byte of the reference wins. Inference mode: "+advantageRule(l.config.Advantage.Inference.Method))
}

// opinion is somebody who prefers responses: a reward model, a method, the other mode.
type opinion struct {
	name string
	// favourites are places among a prompt's responses; none without an opinion.
	favourites func(p schemas.Prompt, responses []advantage.Response) []int
}

// places are those of the responses that f takes.
func places(responses []advantage.Response, f func(r advantage.Response) bool) []int {
	var out []int
	for i, r := range responses {
		if f(r) {
			out = append(out, i)
		}
	}
	return out
}

// opinions lists the reward models, then the methods that can be tried on what is there, training mode and the oracle.
func (l *loaded) opinions() []opinion {
	var out []opinion
	judges := l.config.Reward.Models
	for m, name := range judges {
		out = append(out, opinion{name, func(_ schemas.Prompt, r []advantage.Response) []int { return advantage.Favourites(r, m) }})
	}
	stats := l.statistics()
	for _, name := range []string{advantage.Vote, advantage.Borda, advantage.MeanZ, advantage.Perplexity, advantage.Length, advantage.Random} {
		if name == advantage.Perplexity && len(l.targetReadings) == 0 {
			continue
		}
		method := advantage.Inference{Method: name, Seed: l.config.Seed}
		out = append(out, opinion{name, func(p schemas.Prompt, r []advantage.Response) []int {
			s, err := method.Select(p.ID, r, stats)
			if err != nil {
				return nil
			}
			return places(r, func(x advantage.Response) bool { return x.Source == s.Source && x.Sample == s.Sample })
		}})
	}
	readers := map[string]string{}
	for _, s := range l.selections {
		if s.Mode == schemas.ModeTraining && s.Source != schemas.MixedSource {
			readers[s.ID] = s.Source
		}
	}
	out = append(out, opinion{"min_ce", func(p schemas.Prompt, r []advantage.Response) []int {
		return places(r, func(x advantage.Response) bool { return x.Source == readers[p.ID] })
	}})
	return append(out, opinion{advantage.Oracle, func(_ schemas.Prompt, r []advantage.Response) []int {
		return places(r, func(x advantage.Response) bool { return x.Right != nil && *x.Right })
	}})
}

// statistics are those of the scores that take part, as the step fuse freezes them.
func (l *loaded) statistics() []*advantage.Stats {
	stats := make([]*advantage.Stats, len(l.config.Reward.Models))
	for m := range stats {
		stats[m] = &advantage.Stats{}
	}
	for _, p := range l.prompts {
		for _, r := range advantage.Distinct(l.responses(p, true)) {
			for m, x := range r.Scores {
				stats[m].Add(x)
			}
		}
	}
	return stats
}

// agreements draws how often each two opinions have the same favourite.
func (l *loaded) agreements() (*advantage.Agreements, draw.Figure) {
	all := l.opinions()
	var names []string
	for _, o := range all {
		names = append(names, o.name)
	}
	a := advantage.NewAgreements(names...)
	for _, p := range l.prompts {
		responses := l.responses(p, true)
		if len(responses) < 2 {
			continue
		}
		favourites := make([][]string, len(all))
		for i, o := range all {
			for _, k := range o.favourites(p, responses) {
				favourites[i] = append(favourites[i], responses[k].Source)
			}
		}
		a.Add(favourites)
	}
	values := make([][]float64, len(names))
	for i, row := range a.Rates {
		for _, r := range row {
			values[i] = append(values[i], r.Share())
		}
	}
	return a, draw.Matrix{Title: "Agreement: prompts on which two opinions have the same favourite, %", Of: "opinion", Names: names, Values: values}.
		Draw().Named("agreement", "The favourite is the response that a reward model or a method would let win; min_ce is the own response of who wins in training mode; the oracle's favourites are all responses with the right final answer. Prompts on which one of the two has none do not count.")
}

// methodQuality draws how often the response that each method picks is right, on the prompts with a final answer
// (figure 3 of the paper): the methods, what taking always one source (its first answer) gives, and the oracle, which is
// the most that picking can reach.
func (l *loaded) methodQuality() (map[string]advantage.Rate, draw.Figure) {
	all := l.opinions()
	for _, name := range l.config.Competitors() {
		all = append(all, opinion{"only " + name, func(_ schemas.Prompt, r []advantage.Response) []int {
			return places(r, func(x advantage.Response) bool { return x.Source == name })
		}})
	}
	rates := map[string]advantage.Rate{}
	for _, p := range l.prompts {
		responses := l.responses(p, true)
		if len(responses) == 0 || responses[0].Right == nil {
			continue
		}
		for _, o := range all {
			rate := rates[o.name]
			rate.N++
			if f := o.favourites(p, responses); len(f) > 0 && *responses[f[0]].Right {
				rate.Wins++
			}
			rates[o.name] = rate
		}
	}
	if len(rates) == 0 {
		return nil, draw.Figure{}
	}
	var groups []draw.Group
	for _, o := range all {
		groups = append(groups, draw.Group{Label: o.name, Values: []float64{rates[o.name].Share()}})
	}
	return rates, draw.Bars{Title: "Figure 3 of the paper: quality of each advantage method", Of: "method", Groups: groups, Series: draw.Numbered(0, "right"), Top: 1, Format: "%.2f"}.
		Draw().Named("figure-3", fmt.Sprintf("Share of right final answers among the responses that a method picks, on %d prompts with a final answer. oracle: the most that picking can reach; random and each model alone (only …): what picking must beat. "+
		"Benchmark scores of models trained with each method, which need a training each, can be given with --methods.", rates[advantage.Oracle].N))
}

// advantageRule says how an inference-mode method lets one win.
func advantageRule(method string) string {
	if method == advantage.Vote || method == "" {
		return "each reward model votes for the response that it scores highest."
	}
	return "by the method " + method + "."
}
