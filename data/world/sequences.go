package world

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// procedures are a goal and its four steps.
var procedures = [][]string{
	{"fix a wheel", "take off the wheel", "close the leak", "put on the wheel", "fill it with air"},
	{"bake bread", "mix the flour", "press the dough", "heat the oven", "bake the loaf"},
	{"wash a shirt", "fill the tub", "add the soap", "rub the cloth", "hang it up"},
	{"make tea", "boil the water", "warm the pot", "add the leaves", "pour the cup"},
	{"plant a tree", "dig a hole", "set the tree", "fill in the earth", "water the roots"},
	{"paint a wall", "clean the wall", "stir the paint", "use the brush", "let it dry"},
	{"send a letter", "write the page", "fold the page", "close the letter", "add the stamp"},
	{"light a fire", "gather the wood", "stack the wood", "strike the match", "feed the flame"},
	{"cook rice", "wash the rice", "measure the water", "cover the pot", "rest the rice"},
	{"catch a fish", "find the worm", "bait the hook", "throw the line", "pull the fish"},
	{"clean a room", "open the window", "shake the rug", "sweep the floor", "empty the bin"},
	{"build a kite", "cut the paper", "glue the sticks", "tie the string", "run with the wind"},
}

var sequenceAsk = []string{
	"To %p you %s. What do you do next?",
	"When you %p, what comes after this: %s?",
	"You want to %p and you %s. And then?",
}

// sequenceItem asks for the step that follows another, openly or with three options.
func sequenceItem(r *rand.Rand) Item {
	p := pick(r, procedures)
	at := 1 + r.IntN(3)
	now, next := p[at], p[at+1]
	steps := p[1:]
	wrong := other(r, steps, next)
	ask := r.IntN(len(sequenceAsk))
	own := func(s string) string { return "Next you " + s + "." }
	full := func(s string) string {
		return fmt.Sprintf("You %s because you want to %s. After that you %s. So the answer is %s.", now, p[0], s, s)
	}
	i := Item{
		Skill: Sequences, Units: []string{"step " + p[0] + " " + now}, Prompt: strings.NewReplacer("%p", p[0], "%s", now).Replace(sequenceAsk[ask]),
		Own: own(next), Reference: full(next), WrongOwn: own(wrong), WrongReference: full(wrong), Answer: next, Candidates: steps,
	}
	i.Wording = i.Prompt
	if r.Float64() < 0.5 {
		opts := options(r, steps, next, 3)
		wrong = other(r, opts, next)
		i.WrongOwn, i.WrongReference = own(wrong), full(wrong)
		i.choose(opts, wrong)
		i.Wording = i.Prompt
	}
	return i
}
