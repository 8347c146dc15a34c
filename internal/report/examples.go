package report

import (
	"fmt"
	"math"

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
	Rulers               []ruler
}

// examples picks ten prompts, the skills in turn, those first on which the modes disagree.
func (l *loaded) examples() ([]example, error) {
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
			x.Responses = append(x.Responses, l.response(p.ID, name, winners[p.ID]))
		}
		for _, mode := range []string{schemas.ModeInference, schemas.ModeTraining} {
			row, ok, err := l.mode(p.ID, mode, winners[p.ID][mode], formats)
			if err != nil {
				return nil, err
			}
			if ok {
				x.Modes = append(x.Modes, row)
			}
		}
		out = append(out, x)
	}
	return out, nil
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
func (l *loaded) response(id, name string, w map[string]schemas.Selection) responseRow {
	g := l.generations[name][id]
	r := responseRow{Source: name, Text: g.Text, Finish: g.FinishReason, WinsInference: w[schemas.ModeInference].Source == name, WinsTraining: w[schemas.ModeTraining].Source == name}
	for _, judge := range l.config.Reward.Models {
		text := "–"
		if s, ok := l.rewards[judge][[2]string{id, name}]; ok {
			text = fmt.Sprintf("%.2f", s)
		}
		r.Scores = append(r.Scores, text)
	}
	for _, c := range w[schemas.ModeInference].Candidates {
		if c.Source == name {
			r.Votes = fmt.Sprintf("%.4g", c.Votes)
		}
	}
	if t, ok := l.readings[name][id]; ok {
		r.NatsPerByte = fmt.Sprintf("%.4f", t.NatsPerByte)
	}
	return r
}

// mode draws the winner's tokens and what became of them.
func (l *loaded) mode(id, mode string, s schemas.Selection, formats map[string]*chat.Format) (modeRow, bool, error) {
	for _, x := range l.fusion[mode] {
		if x.ID != id || !x.Selected {
			continue
		}
		row := modeRow{Mode: mode, Source: x.Source, Margin: "only candidate"}
		if s.Margin != nil {
			row.Margin = fmt.Sprintf("margin %.4g", math.Round(*s.Margin*1e4)/1e4)
		}
		d := l.generations[x.Source][id].TokenDistributions
		if mode == schemas.ModeTraining {
			d = l.readings[x.Source][id].TokenDistributions
		}
		var err error
		row.Rulers, err = rulers(x, d, formats[x.Source], formats[l.config.Target.Model])
		return row, err == nil, err
	}
	return modeRow{}, false, nil
}

// formats loads the tokenizers of the competitors.
func (l *loaded) formats() (map[string]*chat.Format, error) {
	out := map[string]*chat.Format{}
	for _, name := range l.config.Competitors() {
		m, _ := l.config.Model(name)
		f, err := chat.Load(m.Path, chat.Options{ChatTemplate: m.ChatTemplate, EndOfTurn: m.EndOfTurn, BOS: m.BOS})
		if err != nil {
			return nil, fmt.Errorf("model %s: %w", name, err)
		}
		out[name] = f
	}
	return out, nil
}

func lastUser(p schemas.Prompt) string { return p.Messages[len(p.Messages)-1].Content }
