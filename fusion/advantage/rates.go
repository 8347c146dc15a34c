package advantage

import (
	"math"
	"slices"

	"github.com/profuser/profuser/schemas"
)

// Rate counts how often one side wins; ties count half.
type Rate struct {
	// Wins of the first side, ties counted half.
	Wins float64
	// N is the number of comparisons.
	N int
}

// Share is Wins / N, NaN without comparisons.
func (r Rate) Share() float64 {
	if r.N == 0 {
		return math.NaN()
	}
	return r.Wins / float64(r.N)
}

func (r *Rate) add(a, b float64) {
	r.N++
	switch {
	case a > b:
		r.Wins++
	case a == b:
		r.Wins += 0.5
	}
}

// Table gathers what the report says of prompts: shares of wins and agreement of modes, from selections (Add), and the
// target's win rates, from what was measured (Readings, Responses), whether it competes or not. Add in any order.
// NewTable makes one.
type Table struct {
	// Target is the model that the rates are of.
	Target string
	// Won counts the prompts that each source wins, by mode.
	Won map[string]map[string]int
	// Against holds the target's win rate by mode and source: in training mode the lower nats per byte wins, in
	// inference mode whom more reward models prefer.
	Against map[string]map[string]*Rate
	// Agree counts prompts with a winner in both modes, and as wins those with the same. Mixtures have no winner.
	Agree Rate

	winner map[string]string // by prompt, of the mode that came first
}

// NewTable makes an empty table.
func NewTable(target string) *Table {
	return &Table{Target: target, Won: map[string]map[string]int{}, Against: map[string]map[string]*Rate{}, winner: map[string]string{}}
}

// Add counts one selection.
func (t *Table) Add(s schemas.Selection) {
	if t.Won[s.Mode] == nil {
		t.Won[s.Mode] = map[string]int{}
	}
	t.Won[s.Mode][s.Source]++
	if s.Source == schemas.MixedSource {
		return
	}
	if other, ok := t.winner[s.ID]; !ok {
		t.winner[s.ID] = s.Source
	} else if t.Agree.N++; other == s.Source {
		t.Agree.Wins++
	}
}

// Readings counts one prompt in the target's win rates of training mode, against each source that has a reading: the
// lower nats per byte wins, ties count half.
//
// Source: the ProFuser paper, figure 1 left (Vicuna beats Llama-2-7B-Chat on 68 % of the prompts by Min-CE).
func (t *Table) Readings(readings []Reading) {
	at := slices.IndexFunc(readings, func(r Reading) bool { return r.Source == t.Target })
	if at < 0 {
		return
	}
	for i, r := range readings {
		if i != at {
			t.rate(schemas.ModeTraining, r.Source).add(r.Nats/float64(r.Bytes), readings[at].Nats/float64(readings[at].Bytes))
		}
	}
}

// Responses counts one prompt in the target's win rates of inference mode, against each source of which a filter leaves a
// response: whom more reward models prefer wins, ties count half. A model without a score of one of the two abstains;
// where all do, the pair does not count. Of several samples each of the target's meets each of the source's, and the
// prompt counts the mean over the pairs: the chance that one answer of the target is preferred to one of the source,
// which more samples only measure better (the best of n would measure another thing).
//
// Source: the ProFuser paper, figure 1 left (45 % against Llama-2-7B-Chat by reward).
func (t *Table) Responses(responses []Response, f Filters) {
	var own []Response
	bySource := map[string][]Response{}
	for _, r := range responses {
		switch {
		case f.Drop(r.Text, r.Finish) != "":
		case r.Source == t.Target:
			own = append(own, r)
		default:
			bySource[r.Source] = append(bySource[r.Source], r)
		}
	}
	for source, theirs := range bySource {
		pairs := Rate{}
		for _, a := range own {
			for _, b := range theirs {
				if forTarget, forSource, opinions := preferences(a, b); opinions > 0 {
					pairs.add(forTarget, forSource)
				}
			}
		}
		if pairs.N > 0 {
			rate := t.rate(schemas.ModeInference, source)
			rate.Wins += pairs.Share()
			rate.N++
		}
	}
}

// preferences counts the reward models that prefer each of two responses, and those that scored both.
func preferences(a, b Response) (forA, forB float64, opinions int) {
	for m, x := range a.Scores {
		y := b.Scores[m]
		switch {
		case math.IsNaN(x) || math.IsNaN(y):
			continue
		case x > y:
			forA++
		case y > x:
			forB++
		}
		opinions++
	}
	return forA, forB, opinions
}

func (t *Table) rate(mode, source string) *Rate {
	if t.Against[mode] == nil {
		t.Against[mode] = map[string]*Rate{}
	}
	if t.Against[mode][source] == nil {
		t.Against[mode][source] = &Rate{}
	}
	return t.Against[mode][source]
}

// Agreements counts how often several opinions (reward models, methods, modes) have the same favourite.
type Agreements struct {
	// Names of the opinions, n.
	Names []string
	// Rates [n][n]: prompts on which both have a favourite, and as wins those with a common one. Symmetric.
	Rates [][]Rate
}

// NewAgreements makes an empty table of opinions.
func NewAgreements(names ...string) *Agreements {
	a := &Agreements{Names: names, Rates: make([][]Rate, len(names))}
	for i := range names {
		a.Rates[i] = make([]Rate, len(names))
	}
	return a
}

// Add counts one prompt: favourites [n] are the sources that each opinion holds best, several where it holds them
// equal, none where it has no opinion. A shared first place agrees with each of its sources.
//
// Source: spec/advantage.md, "What must come out of it".
func (a *Agreements) Add(favourites [][]string) {
	for i, x := range favourites {
		for j, y := range favourites {
			if len(x) == 0 || len(y) == 0 {
				continue
			}
			a.Rates[i][j].N++
			if slices.ContainsFunc(x, func(s string) bool { return slices.Contains(y, s) }) {
				a.Rates[i][j].Wins++
			}
		}
	}
}

// Favourites are the places of the responses with the highest score of reward model m; none when it lacks a score of one.
func Favourites(responses []Response, m int) []int {
	var out []int
	top := math.Inf(-1)
	for i, r := range responses {
		x := r.Scores[m]
		switch {
		case math.IsNaN(x):
			return nil
		case x > top:
			top, out = x, []int{i}
		case x == top:
			out = append(out, i)
		}
	}
	return out
}
