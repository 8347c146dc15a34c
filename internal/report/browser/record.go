package browser

import (
	"math"
	"slices"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/fusion/benchmark"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/schemas"
)

// record is all that the page shows of a prompt but its tokens. Models are numbered as in index.Models, reward models as
// in index.Judges.
type record struct {
	ID        string         `json:"id"`
	External  string         `json:"external,omitempty"`
	Tags      []string       `json:"tags,omitempty"`
	Messages  [][2]string    `json:"messages"` // role, content
	Reference *string        `json:"reference,omitempty"`
	Answer    string         `json:"answer,omitempty"` // the key, where there is one
	Nats      []*float64     `json:"nats"`             // of each competitor, per byte of the reference
	Responses []response     `json:"responses"`
	Won       map[string]won `json:"won"` // by mode
}

// response is one answer.
type response struct {
	Model   int        `json:"model"`
	Sample  int32      `json:"sample"`
	Text    string     `json:"text"`
	Cut     bool       `json:"cut,omitempty"`     // at the token limit
	Dropped string     `json:"dropped,omitempty"` // why it was no candidate
	Right   *bool      `json:"right,omitempty"`
	Scores  []*float64 `json:"scores"` // of each reward model
	Best    []int      `json:"best"`   // reward models whose favourite it is
	Votes   *float64   `json:"votes,omitempty"`
	Value   *float64   `json:"value,omitempty"` // the method's measure
}

// won is a winner.
type won struct {
	Model  int      `json:"model"`
	Sample int32    `json:"sample"`
	Margin *float64 `json:"margin,omitempty"`
	Of     int      `json:"of"` // candidates
	Value  *float64 `json:"value,omitempty"`
}

// What the index says of a prompt, as bits.
const (
	modesDisagree = 1 << iota
	judgesDisagree
	hasKey
	winnerRight
	someRight
	someWrong
	hasTokens
	judgesKnown // two reward models or more have a favourite
)

// newRecord gathers what a part knows of a prompt; flags are the bits above.
func newRecord(c *config.Config, models []string, p *part, x schemas.Prompt) (r record, flags int) {
	r = record{ID: x.ID, External: x.ExternalID, Tags: x.Tags, Reference: x.Reference, Won: map[string]won{}, Responses: []response{}}
	for _, m := range x.Messages {
		r.Messages = append(r.Messages, [2]string{m.Role, m.Content})
	}
	for _, name := range c.Competitors() {
		r.Nats = append(r.Nats, known(p.nats[name], x.ID))
	}
	for _, mode := range schemas.Modes {
		s := p.selections[mode][x.ID]
		if model := slices.Index(models, s.Source); model >= 0 {
			w := won{Model: model, Sample: s.Sample, Margin: shorter(s.Margin), Of: len(s.Candidates)}
			for _, candidate := range s.Candidates {
				if candidate.Key(x.ID) == s.Key() {
					w.Value = shorter(&candidate.Value)
				}
			}
			r.Won[mode] = w
		}
	}
	flags |= r.answers(c, models, p, x)
	if a, b := p.selections[schemas.Modes[0]][x.ID], p.selections[schemas.Modes[1]][x.ID]; a.ID != "" && b.ID != "" && b.Source != schemas.MixedSource && a.Source != b.Source {
		flags |= modesDisagree
	}
	return r, flags
}

// answers adds the responses.
func (r *record) answers(c *config.Config, models []string, p *part, x schemas.Prompt) (flags int) {
	item, keyed := benchmark.FinalAnswer(x)
	if keyed {
		r.Answer, flags = item.Answer, hasKey
	}
	filters := advantage.Filters(c.Advantage.Inference.Filters)
	best := p.selections[schemas.ModeInference][x.ID]
	seen := map[[2]string]bool{}
	var candidates []advantage.Response
	var places []int
	for _, g := range p.generations[x.ID] {
		a := response{Model: slices.Index(models, g.Source), Sample: g.Sample, Text: g.Text, Cut: g.FinishReason == schemas.FinishLength, Best: []int{}}
		a.Dropped = filters.Drop(g.Text, g.FinishReason)
		if same := [2]string{g.Source, g.Text}; a.Dropped == "" {
			if seen[same] {
				a.Dropped = "repeats an earlier answer"
			}
			seen[same] = true
		}
		if g.Source == c.Target.Model && !c.Target.Compete {
			a.Dropped = "the target does not compete"
		}
		candidate := advantage.Response{Source: g.Source, Sample: g.Sample}
		for _, judge := range c.Reward.Models {
			score := known(p.scores[judge], g.Key())
			a.Scores = append(a.Scores, score)
			if score == nil {
				score = new(float64)
				*score = math.NaN()
			}
			candidate.Scores = append(candidate.Scores, *score)
		}
		for _, s := range best.Candidates {
			if s.Key(x.ID) == g.Key() {
				a.Votes, a.Value = shorter(&s.Votes), shorter(&s.Value)
			}
		}
		if keyed {
			right := item.Correct(g.Text)
			a.Right = &right
			flags |= answered(right, best.ID != "" && best.Key() == g.Key())
		}
		if a.Dropped == "" {
			candidates, places = append(candidates, candidate), append(places, len(r.Responses))
		}
		r.Responses = append(r.Responses, a)
	}
	return flags | r.favourites(len(c.Reward.Models), candidates, places)
}

// answered are the bits of a right or wrong answer.
func answered(right, wins bool) int {
	switch {
	case right && wins:
		return someRight | winnerRight
	case right:
		return someRight
	}
	return someWrong
}

// favourites notes which response each reward model holds best among the candidates, whose places in r are given. The
// reward models disagree if no response is the favourite of all that have one.
func (r *record) favourites(judges int, candidates []advantage.Response, places []int) (flags int) {
	opinions, most := 0, 0
	for m := range judges {
		favourites := advantage.Favourites(candidates, m)
		if len(favourites) > 0 {
			opinions++
		}
		for _, i := range favourites {
			a := &r.Responses[places[i]]
			a.Best = append(a.Best, m)
			most = max(most, len(a.Best))
		}
	}
	if opinions > 1 {
		flags = judgesKnown
		if most < opinions {
			flags |= judgesDisagree
		}
	}
	return flags
}

// known is a map's number, shortened, or nil.
func known[K comparable](m map[K]float64, key K) *float64 {
	if x, ok := m[key]; ok {
		return shorter(&x)
	}
	return nil
}

// shorter rounds a number to the four decimals that are shown.
func shorter(x *float64) *float64 {
	if x == nil || math.IsNaN(*x) || math.IsInf(*x, 0) {
		return nil
	}
	y := math.Round(*x*1e4) / 1e4
	return &y
}
