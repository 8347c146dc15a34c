package world

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

var (
	things     = []string{"ball", "lamp", "drum", "vase", "clock", "doll", "book", "cake"}
	containers = []string{"chest", "bag", "drawer", "case", "basket", "trunk"}
)

// pattern is a sentence with one pronoun that may mean its first (%x) or its second (%y) noun; the cue %w decides.
type pattern struct {
	persons      bool
	text, ask    string
	first, other []string
}

var patterns = []pattern{
	{false, "The %x does not fit in the %y because it is too %w.", "What is too %w?", []string{"big", "wide", "long"}, []string{"narrow", "small", "low"}},
	{false, "The %x broke the %y because it was %w.", "What was %w?", []string{"heavy", "hard", "sharp"}, []string{"weak", "old"}},
	{true, "%x gave money to %y because %p was %w.", "Who was %w?", []string{"rich", "kind"}, []string{"poor", "hungry"}},
	{true, "%x could not catch %y because %p was %w.", "Who was %w?", []string{"slow", "tired"}, []string{"quick", "strong"}},
	{true, "%x asked %y for help because %p was %w.", "Who was %w?", []string{"lost", "hurt"}, []string{"wise", "near"}},
}

// pronounItem asks what a pronoun means.
func pronounItem(r *rand.Rand) Item {
	p := pick(r, patterns)
	cues, firstMeant := p.other, r.IntN(2) == 0
	if firstMeant {
		cues = p.first
	}
	cue := pick(r, cues)
	x, y, pronoun, article := pick(r, things), pick(r, containers), "it", "the "
	if p.persons {
		group, word := women, "she"
		if r.IntN(2) == 0 {
			group, word = men, "he"
		}
		x = pick(r, group)
		y, pronoun, article = other(r, group, x), word, ""
	}
	meant, wrong := y, x
	if firstMeant {
		meant, wrong = x, y
	}
	words := strings.NewReplacer("%x", x, "%y", y, "%p", pronoun, "%w", cue)
	own := func(s string) string { return "It is " + article + s + "." }
	is := strings.Fields(p.ask)[1]
	cueText := strings.TrimSuffix(strings.SplitN(words.Replace(p.ask), " ", 3)[2], "?")
	full := func(s string) string {
		return fmt.Sprintf("The word %s can mean %s%s or %s%s. The one that %s %s must be %s%s. So the answer is %s%s.",
			pronoun, article, x, article, y, is, cueText, article, s, article, s)
	}
	i := Item{
		Skill: Pronouns, Units: []string{"cue " + p.text + cue}, Prompt: words.Replace(p.text + " " + p.ask), Own: own(meant), Reference: full(meant),
		WrongOwn: own(wrong), WrongReference: full(wrong), Answer: meant, Candidates: []string{x, y},
	}
	i.Wording = i.Prompt
	return i
}
