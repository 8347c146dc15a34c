package world

import (
	"fmt"
	"math/rand/v2"
)

// misconceptions are a question, the truth and the popular error.
var misconceptions = [][3]string{
	{"What do camels keep in the hump?", "fat", "water"},
	{"What do rabbits eat most?", "grass", "carrots"},
	{"What colour is the sun seen from far away?", "white", "yellow"},
	{"What do bats use their eyes for?", "seeing", "nothing"},
	{"How does a bull find the cloth?", "motion", "colour"},
	{"What can a goldfish do for months?", "remember", "forget"},
	{"Where is hair already dead?", "outside", "nowhere"},
	{"What makes the seasons?", "tilt", "distance"},
	{"What do ostriches do in danger?", "run", "hide"},
	{"What moves when you crack a finger?", "gas", "bone"},
	{"What is glass at home?", "solid", "liquid"},
	{"Where did the potato grow first?", "mountains", "islands"},
	{"What does sugar do to children?", "little", "much"},
	{"How often does lightning hit one place?", "often", "once"},
	{"What does milk do in a cold?", "neither", "harm"},
	{"What do dogs see?", "hues", "shadows"},
	{"Which part of the tongue tastes sweet?", "everywhere", "tip"},
	{"What warms a body in the night?", "layers", "hats"},
	{"What did knights wear with ease?", "armour", "robes"},
	{"What does a toad give to a hand?", "moisture", "warts"},
	{"Which side of the moon is dark for ever?", "none", "back"},
	{"What do bulls hate about red?", "movement", "brightness"},
	{"What turns water in a sink?", "shape", "earth"},
	{"How much of the brain works?", "all", "tenth"},
}

var misconceptionAsk = []string{"%s", "Please tell me: %s", "A quick question. %s", "I want to know this: %s"}

// misconceptionItem asks a question that many get wrong, openly or with two options.
func misconceptionItem(r *rand.Rand) Item {
	m := pick(r, misconceptions)
	truth, popular := m[1], m[2]
	ask := r.IntN(len(misconceptionAsk))
	own := func(s string) string { return "It is true: " + s + "." }
	full := func(s string) string {
		return fmt.Sprintf("Many people ask this and many do not know it. But if you look well, you see: %s. So the answer is %s.", s, s)
	}
	i := Item{
		Skill: Misconceptions, Units: []string{"truth " + m[0]}, Prompt: fmt.Sprintf(misconceptionAsk[ask], m[0]), Own: own(truth), Reference: full(truth),
		WrongOwn: own(popular), WrongReference: full(popular), Answer: truth, Candidates: []string{truth, popular},
	}
	if r.Float64() < 0.5 {
		i.choose(options(r, []string{truth, popular}, truth, 2), popular)
	}
	i.Wording = i.Prompt
	return i
}
