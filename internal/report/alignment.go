package report

import (
	"html/template"
	"math"
	"strings"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// statusColours are the position statuses in the order of charts, with the classes that the rulers have too.
var statusColours = legend{Names: []string{"exact", "boundary", "inner", "one-hot", "none"}, Classes: []string{"s1", "s2", "s3", "s4", "s0"}}

// statusNames are the schema's position statuses.
var statusNames = []string{"none", "exact", "boundary", "inner", "one-hot"}

// statuses draws the shares of position statuses by mode and pair of source and target.
func (l *loaded) statuses() template.HTML {
	var groups []bar
	for _, mode := range []string{schemas.ModeInference, schemas.ModeTraining} {
		for _, name := range append(l.config.Competitors(), schemas.MixedSource) {
			count := make([]float64, len(statusNames))
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
			groups = append(groups, bar{Label: clip(name, 12) + ", " + mode[:5] + ".", Values: count})
		}
	}
	return stacked("How the distributions of each source came to the positions of "+l.config.Target.Model+", share", groups, statusColours)
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
	for _, mode := range []string{schemas.ModeInference, schemas.ModeTraining} {
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
func likelihood(alignments []Alignment) template.HTML {
	var groups []bar
	top := 1.05
	for _, a := range alignments {
		groups = append(groups, bar{Label: clip(a.Source, 12) + ", " + a.Mode[:5] + ".", Values: []float64{a.LikelihoodKept, a.MassStored}})
		top = max(top, a.LikelihoodKept)
	}
	return bars("Kept of the source's log-likelihood of its texts, and probability mass stored at a position", groups, numbered(0, "log-likelihood kept", "mass stored"), top, "%.3f", 1)
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
func bytesPerPosition(all []Storage) template.HTML {
	var groups []bar
	top := 1.0
	for _, s := range all {
		groups = append(groups, bar{Label: shortName(s.Dataset), Values: []float64{s.BytesPerPosition, s.BytesPerEntry}})
		top = max(top, s.BytesPerPosition)
	}
	return bars("Bytes on disk, all in, for each position and for each stored entry", groups, numbered(0, "a position", "an entry"), top, "%.1f", 0)
}

// shortName is a dataset's name as a chart has room for it.
func shortName(name string) string {
	folder, of, _ := strings.Cut(name, "/")
	switch folder {
	case "generations":
		return clip(of, 9) + ", answers"
	case "crossentropy":
		return clip(of, 8) + ", readings"
	}
	return folder + ", " + clip(of, 9)
}
