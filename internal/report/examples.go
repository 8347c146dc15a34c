package report

import (
	"cmp"
	"fmt"
	"math"

	"github.com/profuser/profuser/internal/report/tokens"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

// example is one prompt with everything that was made of it.
type example struct {
	Tag, Prompt, Reference string
	Responses              []responseRow
	Modes                  []modeRow
}

// responseRow is one source's answer, scores and reading.
type responseRow struct {
	Source, Text, Finish string
	Scores               []string
	Votes, NatsPerByte   string
	WinsInference        bool
	WinsTraining         bool
}

// modeRow is one mode's winner with the aligned tokens.
type modeRow struct {
	Mode, Source, Margin string
	Rulers               []tokens.Ruler
}

// winners gives the selections by prompt and mode.
func (l *loaded) winners() map[string]map[string]schemas.Selection {
	out := map[string]map[string]schemas.Selection{}
	for _, s := range l.selections {
		if out[s.ID] == nil {
			out[s.ID] = map[string]schemas.Selection{}
		}
		out[s.ID][s.Mode] = s
	}
	return out
}

// examples picks ten prompts, the skills in turn, those first on which the modes disagree.
func (l *loaded) examples() []example {
	winners := l.winners()
	var out []example
	for _, p := range l.pick(winners, 10) {
		x := example{Prompt: lastUser(p), Tag: "prompt"}
		if len(p.Tags) > 0 {
			x.Tag = p.Tags[0]
		}
		if p.Reference != nil {
			x.Reference = *p.Reference
		}
		for _, name := range l.config.Competitors() {
			answers := l.generations[name][p.ID]
			if len(answers) == 0 {
				answers = []schemas.Generation{{ID: p.ID, Source: name}} // its reading is shown all the same
			}
			for _, g := range answers {
				x.Responses = append(x.Responses, l.response(g, winners[p.ID]))
			}
		}
		for _, mode := range schemas.Modes {
			if row, ok := l.mode(p.ID, mode, winners[p.ID][mode]); ok {
				x.Modes = append(x.Modes, row)
			}
		}
		out = append(out, x)
	}
	return out
}

// pick takes n prompts: one of each tag in turn; among a tag's, first those where the modes disagree.
func (l *loaded) pick(winners map[string]map[string]schemas.Selection, n int) []schemas.Prompt {
	var tags []string
	byTag := map[string][2][]schemas.Prompt{}
	for _, p := range l.prompts {
		tag := ""
		if len(p.Tags) > 0 {
			tag = p.Tags[0]
		}
		if _, ok := byTag[tag]; !ok {
			tags = append(tags, tag)
		}
		group, k := byTag[tag], 1
		if w := winners[p.ID]; len(w) == 2 && w[schemas.ModeInference].Source != w[schemas.ModeTraining].Source {
			k = 0
		}
		group[k] = append(group[k], p)
		byTag[tag] = group
	}
	var out []schemas.Prompt
	for round := 0; len(out) < min(n, len(l.prompts)); round++ {
		for _, tag := range tags {
			both := append(append([]schemas.Prompt{}, byTag[tag][0]...), byTag[tag][1]...)
			if round < len(both) && len(out) < n {
				out = append(out, both[round])
			}
		}
	}
	return out
}

// response gathers what is known of one source's answer.
func (l *loaded) response(g schemas.Generation, w map[string]schemas.Selection) responseRow {
	id, name := g.ID, g.Source
	best := w[schemas.ModeInference]
	r := responseRow{Source: l.named(name, g.Sample), Text: g.Text, Finish: g.FinishReason, WinsInference: best.Key() == g.Key(), WinsTraining: w[schemas.ModeTraining].Source == name}
	for _, judge := range l.config.Reward.Models {
		text := "–"
		if s, ok := l.rewards[judge][g.Key()]; ok {
			text = fmt.Sprintf("%.2f", s)
		}
		r.Scores = append(r.Scores, text)
	}
	for _, c := range w[schemas.ModeInference].Candidates {
		if c.Key(id) == g.Key() {
			r.Votes = fmt.Sprintf("%.4g", c.Votes)
		}
	}
	if t, ok := l.readings[name][id]; ok {
		r.NatsPerByte = fmt.Sprintf("%.4f", t.NatsPerByte)
	}
	return r
}

// mode draws the winner's tokens and what became of them; no tokens where a tokenizer is absent.
func (l *loaded) mode(id, mode string, s schemas.Selection) (modeRow, bool) {
	for _, x := range l.fusion[mode] {
		if x.ID != id || !x.Selected {
			continue
		}
		row := modeRow{Mode: mode, Source: l.competitor(mode, x.Source, x.Sample), Margin: "only candidate"}
		if s.Margin != nil {
			row.Margin = fmt.Sprintf("margin %.4g", math.Round(*s.Margin*1e4)/1e4)
		}
		d := l.answer(x.Key()).TokenDistributions
		if mode == schemas.ModeTraining {
			d = l.readings[x.Source][id].TokenDistributions
		}
		if source, target := l.formats[x.Source], l.formats[l.config.Target.Model]; source != nil && target != nil {
			row.Rulers = tokens.Pair(x, d, source, target)
		}
		return row, true
	}
	return modeRow{}, false
}

// loadFormats loads the tokenizers of the competitors; one that cannot be loaded is noted, its tokens are not drawn.
func (l *loaded) loadFormats() {
	l.formats = map[string]*chat.Format{}
	for _, name := range l.config.Competitors() {
		m, _ := l.config.Model(name)
		f, err := chat.Load(cmp.Or(m.Path, m.Tokenizer), chat.Options{ChatTemplate: m.ChatTemplate, EndOfTurn: m.EndOfTurn, BOS: m.BOS})
		if err != nil {
			l.noTokens = append(l.noTokens, fmt.Sprintf("Tokens of %s are not drawn: %v.", name, err))
			continue
		}
		l.formats[name] = f
	}
}

func lastUser(p schemas.Prompt) string { return p.Messages[len(p.Messages)-1].Content }
