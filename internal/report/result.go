package report

import (
	"slices"

	"github.com/profuser/profuser/internal/report/draw"
)

// accuracy draws accuracy by skill for every model.
func (l *loaded) accuracy() draw.Figure {
	var names []string
	for _, m := range l.summary.Models {
		names = append(names, m.Name)
	}
	var groups []draw.Group
	for _, skill := range append([]string{"all"}, l.summary.skills()...) {
		g := draw.Group{Label: skill}
		for _, m := range l.summary.Models {
			v := m.BySkill[skill]
			if skill == "all" {
				v = m.Accuracy
			}
			g.Values = append(g.Values, v)
		}
		groups = append(groups, g)
	}
	return draw.Bars{Title: "Accuracy: share of right answers to the held-out items", Of: "skill", Groups: groups, Series: l.modelColours(names), Top: 1, Format: "%.2f"}.
		Draw().Named("accuracy", "Greedy answers, exact match of the final answer, by the items' first tag.")
}

// nats draws the held-out cross-entropy of every model.
func (l *loaded) nats() draw.Figure {
	top := 1e-9
	var names []string
	var g draw.Group
	for _, m := range l.summary.Models {
		names, g.Values = append(names, m.Name), append(g.Values, m.NatsPerByte)
		top = max(top, m.NatsPerByte)
	}
	g.Label = "references"
	return draw.Bars{Title: "Cross-entropy of the held-out references", Of: "text", Groups: []draw.Group{g}, Series: l.modelColours(names), Top: top, Format: "%.3f"}.
		Draw().Named("nats-per-byte", "Nats per byte, all items together; less is better.")
}

// modelColours gives each model the same colour in every chart: competitors in their order, then fused and reference.
func (l *loaded) modelColours(names []string) draw.Series {
	out := draw.Series{Names: names}
	for _, n := range names {
		k := slices.Index(l.config.Competitors(), n) % (draw.Colours() - 2)
		switch n {
		case fused:
			k = draw.Colours() - 2
		case reference:
			k = draw.Colours() - 1
		}
		out.Classes = append(out.Classes, draw.Class(k))
	}
	return out
}

// reference is the name of the ground-truth answers among the models.
const reference = "reference"
