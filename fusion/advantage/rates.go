package advantage

import (
	"math"

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

// Table gathers what the report says of selections: shares of wins, win rates of the target, agreement of modes. Add
// selections in any order. NewTable makes one.
type Table struct {
	// Target is the model that the rates are of.
	Target string
	// Won counts the prompts that each source wins, by mode.
	Won map[string]map[string]int
	// Against holds the target's win rate by mode and source: in training mode the lower nats per byte wins, in
	// inference mode whom more reward models prefer.
	Against map[string]map[string]*Rate
	// Agree counts prompts with a winner in both modes, and as wins those with the same.
	Agree Rate

	winner map[string]string // by prompt, of the mode that came first
}

// NewTable makes an empty table.
func NewTable(target string) *Table {
	return &Table{Target: target, Won: map[string]map[string]int{}, Against: map[string]map[string]*Rate{}, winner: map[string]string{}}
}

// Add counts one selection. Only prompts where both the target and the source are candidates enter a win rate.
//
// Source: the ProFuser paper, figure 1 left (Vicuna beats Llama-2-7B-Chat on 68 % of the prompts by Min-CE, on 45 % by
// reward).
func (t *Table) Add(s schemas.Selection) {
	if t.Won[s.Mode] == nil {
		t.Won[s.Mode], t.Against[s.Mode] = map[string]int{}, map[string]*Rate{}
	}
	t.Won[s.Mode][s.Source]++
	if other, ok := t.winner[s.ID]; !ok {
		t.winner[s.ID] = s.Source
	} else if t.Agree.N++; other == s.Source {
		t.Agree.Wins++
	}
	var target *schemas.Candidate
	for i := range s.Candidates {
		if s.Candidates[i].Source == t.Target {
			target = &s.Candidates[i]
		}
	}
	if target == nil {
		return
	}
	for _, c := range s.Candidates {
		if c.Source == t.Target {
			continue
		}
		rate := t.Against[s.Mode][c.Source]
		if rate == nil {
			rate = &Rate{}
			t.Against[s.Mode][c.Source] = rate
		}
		if s.Mode == schemas.ModeTraining {
			rate.add(c.Value, target.Value)
		} else {
			rate.add(target.Votes, c.Votes)
		}
	}
}

// Agreement is the share of prompts on which two reward models prefer the same response, given each one's scores of the
// responses in one order. Prompts with a missing score do not count, nor those that only one of them has; a shared first
// place counts as agreement.
//
// Source: spec/advantage.md, "What must come out of it".
func Agreement(a, b [][]float64) Rate {
	var r Rate
	for i := range min(len(a), len(b)) {
		x, y := best(a[i]), best(b[i])
		if x == nil || y == nil || len(x) != len(y) {
			continue
		}
		r.N++
		for k := range x {
			if x[k] && y[k] {
				r.Wins++
				break
			}
		}
	}
	return r
}

// best marks the highest scores; nil when one is missing or there are none.
func best(scores []float64) []bool {
	top := math.Inf(-1)
	for _, s := range scores {
		if math.IsNaN(s) {
			return nil
		}
		top = math.Max(top, s)
	}
	if len(scores) == 0 {
		return nil
	}
	out := make([]bool, len(scores))
	for i, s := range scores {
		out[i] = s == top
	}
	return out
}
