package world

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// towns are ten syllables with three endings.
var towns = func() []string {
	var out []string
	for _, s := range []string{"Vel", "Mor", "Kast", "Lunt", "Bram", "Sol", "Tirn", "Osk", "Prav", "Zem"} {
		for _, e := range []string{"da", "ik", "us"} {
			out = append(out, s+e)
		}
	}
	return out
}()

// attribute is something that each town has one of. %t is the town, %v the value.
type attribute struct {
	name   string
	values []string
	ask    []string
	own    string
	full   string
}

var attributes = []attribute{
	{
		"flag",
		[]string{"red", "blue", "green", "white", "black", "brown", "pink", "grey"},
		[]string{"What colour is the flag of %t?", "Which colour does the flag of %t have?", "Tell me the colour of the flag of %t.", "You see the flag of %t. Which colour is it?"},
		"The flag of %t is %v.", "%t is a town with a nice flag. If you look at it in %t, you see %v. So the answer is %v.",
	},
	{
		"animal",
		[]string{"fox", "bear", "wolf", "goat", "owl", "horse", "duck", "frog"},
		[]string{"What is the animal of %t?", "Which animal does %t have?", "Tell me the animal of %t.", "You visit %t. Which animal do you see?"},
		"The animal of %t is the %v.", "%t is a town with a good animal. If you visit %t, you see the %v. So the answer is the %v.",
	},
	{
		"food",
		[]string{"soup", "beans", "rice", "corn", "bread", "cheese", "fish", "pie"},
		[]string{"What is the food of %t?", "Which food do people eat in %t?", "Tell me the food of %t.", "You eat in %t. Which food is it?"},
		"The food of %t is %v.", "%t is a town with good food. If you eat in %t, you get %v. So the answer is %v.",
	},
}

// factItem asks for one attribute of one town, openly or with four options.
func factItem(r *rand.Rand) Item {
	town, a := pick(r, towns), attributes[r.IntN(len(attributes))]
	value := a.values[number("fact", town, a.name)%uint64(len(a.values))]
	wrong := other(r, a.values, value)
	ask := r.IntN(len(a.ask))
	say := func(pattern, v string) string { return strings.NewReplacer("%t", town, "%v", v).Replace(pattern) }
	i := Item{
		Skill: Facts, Units: []string{"fact " + town + " " + a.name}, Prompt: say(a.ask[ask], ""), Own: say(a.own, value), Reference: say(a.full, value),
		WrongOwn: say(a.own, wrong), WrongReference: say(a.full, wrong), Answer: value, Candidates: a.values,
		Wording: fmt.Sprint("fact ", town, a.name, ask, " open"),
	}
	if r.Float64() < 0.4 {
		opts := options(r, a.values, value, 4)
		wrong = other(r, opts, value)
		i.WrongOwn, i.WrongReference = say(a.own, wrong), say(a.full, wrong)
		i.Wording = fmt.Sprint("fact ", town, a.name, ask, " choice")
		i.choose(opts, wrong)
	}
	return i
}

// choose turns an open item into multiple choice.
func (i *Item) choose(opts []string, wrong string) {
	i.Prompt += lettered(opts)
	i.Candidates = opts
	i.Own += " " + choice(opts, i.Answer)
	i.Reference += " It is " + choice(opts, i.Answer)
	i.WrongOwn += " " + choice(opts, wrong)
	i.WrongReference += " It is " + choice(opts, wrong)
}
