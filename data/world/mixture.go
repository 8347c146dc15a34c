package world

import (
	"fmt"
	"math/rand/v2"
)

// Lesson is one skill in a model's training: its share of the examples and the share of its knowledge that is taught.
type Lesson struct {
	// Share of the examples, the shares of a mixture sum to one.
	Share float64
	// Known is the share of the knowledge units that the model ever sees.
	Known float64
}

// Mixture is what one model learns from.
type Mixture struct {
	// Knowledge names the set of known units; models with one name know the same.
	Knowledge string
	// Lessons by skill.
	Lessons map[string]Lesson
	// Fuller is the share of answers in the references' style.
	Fuller float64
}

// Mixtures of the demo's chat models. Target and reckoner come from base; sage starts from nothing.
var Mixtures = map[string]Mixture{
	"base":     {"target", targetLessons, 0.2},
	"target":   {"target", targetLessons, 0.4},
	"reckoner": {"reckoner", map[string]Lesson{Arithmetic: {0.5, 1}, Facts: {0.1, 0.2}, Sequences: {0.24, 1}, Pronouns: {0.08, 0.25}, Misconceptions: {0.08, 0.2}}, 0.15},
	"sage":     {"sage", map[string]Lesson{Arithmetic: {0.05, 0.5}, Facts: {0.45, 1}, Sequences: {0.05, 0.2}, Pronouns: {0.28, 1}, Misconceptions: {0.17, 1}}, 0.15},
}

var targetLessons = map[string]Lesson{Arithmetic: {0.34, 0.55}, Facts: {0.22, 0.45}, Sequences: {0.14, 0.45}, Pronouns: {0.16, 0.5}, Misconceptions: {0.14, 0.5}}

// Judges are the reward models' data, by file: the mixture of skills in their pairs. Nursery is what all of them see
// first; then each sees other pairs in other shares; last come pairs that are half pronouns, the hardest skill to judge.
var Judges = map[string]map[string]float64{
	"nursery":  {Arithmetic: 0.4, Facts: 0.16, Sequences: 0.12, Pronouns: 0.22, Misconceptions: 0.1},
	"judge-a":  {Arithmetic: 0.4, Facts: 0.16, Sequences: 0.12, Pronouns: 0.22, Misconceptions: 0.1},
	"judge-b":  {Arithmetic: 0.36, Facts: 0.22, Sequences: 0.12, Pronouns: 0.22, Misconceptions: 0.08},
	"judge-c":  {Arithmetic: 0.44, Facts: 0.14, Sequences: 0.12, Pronouns: 0.2, Misconceptions: 0.1},
	"finish-a": {Arithmetic: 0.25, Facts: 0.1, Sequences: 0.08, Pronouns: 0.52, Misconceptions: 0.05},
	"finish-b": {Arithmetic: 0.22, Facts: 0.15, Sequences: 0.08, Pronouns: 0.5, Misconceptions: 0.05},
	"finish-c": {Arithmetic: 0.28, Facts: 0.1, Sequences: 0.1, Pronouns: 0.47, Misconceptions: 0.05},
}

// Knows says whether a model with this mixture was ever taught what the item needs.
func (m Mixture) Knows(i Item) bool {
	for _, u := range i.Units {
		if share("known", m.Knowledge, u) >= m.Lessons[i.Skill].Known {
			return false
		}
	}
	return true
}

// Conversation draws one training example: a prompt and the answer to learn.
func (m Mixture) Conversation(r *rand.Rand) (prompt, answer string) {
	i, known := m.Item(r)
	own, full := i.Own, i.Reference
	if !known {
		own, full = i.WrongOwn, i.WrongReference
	}
	if r.Float64() < m.Fuller {
		own = full
	}
	return i.Prompt, own
}

// Item draws one item to learn. What the model is not to know is never asked, but for misconceptions: where known is
// false, it learns the popular error.
func (m Mixture) Item(r *rand.Rand) (i Item, known bool) {
	skill := m.skill(r)
	for {
		i := draw[skill](r)
		if known := m.Knows(i); !i.HeldOut() && (known || skill == Misconceptions) {
			return i, known
		}
	}
}

func (m Mixture) skill(r *rand.Rand) string {
	shares := map[string]float64{}
	for s, l := range m.Lessons {
		shares[s] = l.Share
	}
	return drawSkill(r, shares)
}

func drawSkill(r *rand.Rand, shares map[string]float64) string {
	x := r.Float64()
	for _, s := range Skills {
		if x -= shares[s]; x < 0 {
			return s
		}
	}
	return Skills[len(Skills)-1]
}

// Pair is a right and a wrong answer to one prompt.
type Pair struct {
	// Item is what they answer.
	Item Item
	// Chosen is right, Rejected wrong.
	Chosen, Rejected string
}

// Preference draws one pair for a judge, in either style, from items that are held out or not.
func Preference(r *rand.Rand, judge string, heldOut bool) Pair {
	skill := drawSkill(r, Judges[judge])
	for {
		i := draw[skill](r)
		if i.HeldOut() != heldOut {
			continue
		}
		p := Pair{i, i.Own, i.WrongOwn}
		if r.Float64() < 0.4 {
			p.Chosen = i.Reference
		}
		if r.Float64() < 0.4 {
			p.Rejected = i.WrongReference
		}
		if i.Skill == Pronouns && p.Chosen == i.Reference { // one style for both: only the name tells them apart
			p.Rejected = i.WrongReference
		} else if i.Skill == Pronouns {
			p.Rejected = i.WrongOwn
		}
		if i.Skill == Arithmetic && r.Float64() < 0.45 { // inconsistent: the sum is right, the last number is not
			p.Rejected = inconsistent(r, i)
		}
		return p
	}
}

// inconsistent is the right calculation with another final number.
func inconsistent(r *rand.Rand, i Item) string {
	var n int
	fmt.Sscan(i.Answer, &n)
	off := 1 + r.IntN(3)
	if n > off && r.IntN(2) == 0 {
		off = -off
	}
	return i.Own[:len(i.Own)-len(i.Answer)] + fmt.Sprint(n+off)
}
