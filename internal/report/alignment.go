package report

import (
	"math"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/report/draw"
	"github.com/profuser/profuser/internal/report/tokens"
	"github.com/profuser/profuser/schemas"
)

// statusColours are the position statuses in the order of charts, with the classes that the rulers have too.
var statusColours = draw.Series{Names: []string{"exact", "boundary", "inner", "one-hot", "none"}, Classes: []string{"s1", "s2", "s3", "s4", "s0"}}

// statuses draws the shares of position statuses by mode and pair of source and target.
func (l *loaded) statuses() draw.Figure {
	var groups []draw.Group
	for _, mode := range schemas.Modes {
		for _, name := range append(l.config.Competitors(), schemas.MixedSource) {
			count := make([]float64, len(tokens.StatusNames))
			var n float64
			for _, x := range l.fusion[mode] {
				if x.Source != name {
					continue
				}
				for _, s := range x.Status {
					count[s]++
					n++
				}
			}
			if n == 0 {
				continue
			}
			for k := range count {
				count[k] /= n
			}
			count = []float64{count[schemas.StatusExact], count[schemas.StatusBoundary], count[schemas.StatusInner], count[schemas.StatusOneHot], count[schemas.StatusNone]}
			groups = append(groups, draw.Group{Label: name + ", " + mode, Values: count})
		}
	}
	return draw.Stacked{Title: "Positions: how the distributions of each source came to the tokens of " + l.config.Target.Model, Of: "source, mode", Groups: groups, Series: statusColours}.
		Draw("alignment-status", "Share of the target's tokens. exact: the source's and the target's token cover the same bytes; boundary: they start together; inner: the target's token starts inside a source's; none: the teacher's opinion is not known there, the position has no weight; one-hot: the text's token alone (comparison modes).")
}

// kept is what alignment has kept of a source's opinion of its texts.
type kept struct {
	// sourceNats and targetNats are -Σ log p of the texts by the source's tokens and by the aligned distributions.
	sourceNats, targetNats float64
	// mass sums what is stored, positions counts where something is stored, all counts all.
	mass           float64
	positions, all int
}

// add counts one example.
func (k *kept) add(x schemas.FusionExample) {
	k.sourceNats += x.NatsPerByte * float64(max(1, len(x.Text)))
	k.all += len(x.TextIDs)
	at := 0
	for i, n := range x.Counts {
		for j := at; j < at+int(n); j++ {
			k.mass += math.Exp(float64(x.LogProbs[j]))
			if x.IDs[j] == x.TextIDs[i] {
				k.targetNats -= float64(x.LogProbs[j])
			}
		}
		if n > 0 {
			k.positions++
		}
		at += int(n)
	}
}

// Alignment is what summary.json says of one pair of source and target in one mode.
type Alignment struct {
	// Mode and Source name the examples, all of the same target.
	Mode   string `json:"mode"`
	Source string `json:"source"`
	// Positions counts the target's tokens, Taught the share with a distribution.
	Positions int     `json:"positions"`
	Taught    float64 `json:"taught"`
	// LikelihoodKept is Σ log p of the texts by aligned distributions over that by the source; 1 is all.
	LikelihoodKept float64 `json:"likelihood_kept"`
	// MassStored is the mean mass of the stored entries where there are any.
	MassStored float64 `json:"mass_stored"`
}

// alignments measures every pair.
func (l *loaded) alignments() []Alignment {
	var out []Alignment
	for _, mode := range schemas.Modes {
		for _, name := range l.config.Competitors() {
			var k kept
			for _, x := range l.fusion[mode] {
				if x.Source == name {
					k.add(x)
				}
			}
			if k.all == 0 {
				continue
			}
			a := Alignment{Mode: mode, Source: name, Positions: k.all, Taught: float64(k.positions) / float64(k.all), MassStored: k.mass / float64(max(1, k.positions))}
			if k.sourceNats > 0 {
				a.LikelihoodKept = k.targetNats / k.sourceNats
			}
			out = append(out, a)
		}
	}
	return out
}

// likelihood draws what alignment has kept.
func likelihood(alignments []Alignment) draw.Figure {
	var groups []draw.Group
	top := 1.05
	for _, a := range alignments {
		groups = append(groups, draw.Group{Label: a.Source + ", " + a.Mode, Values: []float64{a.LikelihoodKept, a.MassStored}})
		top = max(top, a.LikelihoodKept)
	}
	return draw.Bars{Title: "Likelihood: what alignment keeps of it", Of: "source, mode", Groups: groups, Series: draw.Numbered(0, "likelihood", "mass stored"), Top: top, Format: "%.3f", Mark: 1}.
		Draw().Named("likelihood-kept", "likelihood: log-likelihood of the texts by the aligned distributions over that by the source's own; mass stored: mean probability of the stored entries at a position. Dashed: all.")
}

// Storage is what summary.json says of the distributions of a dataset.
type Storage struct {
	// Dataset is its name.
	Dataset string `json:"dataset"`
	// Positions and Entries are counted over its rows.
	Positions int `json:"positions"`
	Entries   int `json:"entries"`
	// BytesPerPosition and BytesPerEntry divide the size of its files by them, texts and all.
	BytesPerPosition float64 `json:"bytes_per_position"`
	BytesPerEntry    float64 `json:"bytes_per_entry"`
}

// stored notes the size of a dataset's distributions.
func (l *loaded) stored(name string, size int64, each func(yield func(d dist.Sparse) bool)) {
	s := Storage{Dataset: name}
	for d := range each {
		s.Positions += d.Len()
		s.Entries += len(d.IDs)
	}
	if s.Positions > 0 && s.Entries > 0 {
		s.BytesPerPosition, s.BytesPerEntry = float64(size)/float64(s.Positions), float64(size)/float64(s.Entries)
		l.summary.Storage = append(l.summary.Storage, s)
	}
}

// bytesPerPosition draws it.
func bytesPerPosition(all []Storage) draw.Figure {
	var groups []draw.Group
	top := 1.0
	for _, s := range all {
		groups = append(groups, draw.Group{Label: s.Dataset, Values: []float64{s.BytesPerPosition, s.BytesPerEntry}})
		top = max(top, s.BytesPerPosition)
	}
	return draw.Bars{Title: "Storage: bytes on disk for each position and each stored entry", Of: "dataset", Groups: groups, Series: draw.Numbered(0, "a position", "an entry"), Top: top, Format: "%.1f"}.
		Draw().Named("storage", "Size of the dataset's files, texts and all, over the positions and the entries of its distributions.")
}
