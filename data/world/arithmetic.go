package world

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

var (
	women   = []string{"Mia", "Nina", "Anna", "Lena", "Rosa", "Ida"}
	men     = []string{"Tom", "Ben", "Max", "Leo", "Paul", "Jan"}
	people  = append(append([]string{}, women...), men...)
	objects = []string{"apples", "eggs", "coins", "books", "cards", "nuts", "pens", "shells"}
)

// step is one operation of a problem.
type step struct {
	op   string
	a, b int
}

func (s step) result() int {
	switch s.op {
	case "+":
		return s.a + s.b
	case "-":
		return s.a - s.b
	}
	return s.a * s.b
}

func (s step) String() string { return fmt.Sprintf("%d %s %d", s.a, s.op, s.b) }

// problem is a kind of word problem: how to draw its steps, ask and tell it. %N and %M are two people, %o the object,
// %a, %b and %c the numbers.
type problem struct {
	kind  string
	steps func(r *rand.Rand) []step
	ask   []string
	tell  []string // the fuller style's clause before each step
}

// between draws from [low, high].
func between(r *rand.Rand, low, high int) int { return low + r.IntN(high-low+1) }

var problems = []problem{
	{
		"add", func(r *rand.Rand) []step { return []step{{"+", between(r, 2, 12), between(r, 2, 9)}} },
		[]string{"%N has %a %o. %M gives %b more. How many %o does %N have?", "%N finds %a %o and then %b more. How many %o does %N have?"},
		[]string{"%N starts with %a %o and gets %b more, so"},
	},
	{
		"sub", func(r *rand.Rand) []step { a := between(r, 6, 15); return []step{{"-", a, between(r, 2, min(7, a-1))}} },
		[]string{"%N has %a %o and gives %b to %M. How many %o does %N have?", "%N has %a %o. Then %b are lost. How many %o does %N have?"},
		[]string{"%N starts with %a %o and has %b less, so"},
	},
	{
		"mul", func(r *rand.Rand) []step { return []step{{"x", between(r, 2, 5), between(r, 2, 8)}} },
		[]string{"%N has %a boxes with %b %o each. How many %o does %N have?", "There are %a bags with %b %o each. How many %o are there for %N?"},
		[]string{"%N has %a times %b %o, so"},
	},
	{
		"add-sub", func(r *rand.Rand) []step {
			first := step{"+", between(r, 2, 12), between(r, 2, 9)}
			return []step{first, {"-", first.result(), between(r, 2, min(7, first.result()-1))}}
		},
		[]string{"%N has %a %o and gets %b more. Then %N gives %c to %M. How many %o does %N have?"},
		[]string{"%N starts with %a %o and gets %b more, so", "Then %c are given away, so"},
	},
	{
		"mul-add", func(r *rand.Rand) []step {
			first := step{"x", between(r, 2, 5), between(r, 2, 6)}
			return []step{first, {"+", first.result(), between(r, 2, 9)}}
		},
		[]string{"%N has %a boxes with %b %o each and finds %c more. How many %o does %N have?"},
		[]string{"%N has %a times %b %o, so", "Then %N gets %c more, so"},
	},
	{
		"sub-sub", func(r *rand.Rand) []step {
			first := step{"-", between(r, 9, 15), between(r, 2, 5)}
			return []step{first, {"-", first.result(), between(r, 2, min(5, first.result()-1))}}
		},
		[]string{"%N has %a %o. %N gives %b to %M and loses %c. How many %o does %N have?"},
		[]string{"%N starts with %a %o and has %b less, so", "Then %c are lost, so"},
	},
}

// arithmeticItem draws a word problem.
func arithmeticItem(r *rand.Rand) Item {
	p := pick(r, problems)
	steps := p.steps(r)
	n := pick(r, people)
	fill := []string{"%N", n, "%M", other(r, people, n), "%o", pick(r, objects), "%a", strconv.Itoa(steps[0].a), "%b", strconv.Itoa(steps[0].b)}
	if len(steps) > 1 {
		fill = append(fill, "%c", strconv.Itoa(steps[1].b))
	}
	words := strings.NewReplacer(fill...)
	wrong := miscalculate(r, steps)
	i := Item{Skill: Arithmetic, Prompt: words.Replace(pick(r, p.ask)), Operands: "seen"}
	key := p.kind
	for _, s := range steps {
		i.Units = append(i.Units, "step "+s.String())
		key += " " + s.String()
	}
	if share("operands", key) < 0.1 {
		i.Operands = "unseen"
	}
	i.Wording = i.Prompt
	i.Own, i.Reference = calculation(steps, results(steps), p, words)
	i.WrongOwn, i.WrongReference = calculation(steps, wrong, p, words)
	i.Answer = strconv.Itoa(steps[len(steps)-1].result())
	return i
}

func results(steps []step) []int {
	var out []int
	for _, s := range steps {
		out = append(out, s.result())
	}
	return out
}

// miscalculate gets one step wrong by a little and goes on from there.
func miscalculate(r *rand.Rand, steps []step) []int {
	out := results(steps)
	at := r.IntN(len(out))
	off := pick(r, []int{-3, -2, -1, 1, 2, 3})
	if out[at]+off < 1 {
		off = -off
	}
	for k := at; k < len(out); k++ {
		out[k] += off
	}
	if last := len(out) - 1; out[last] < 1 {
		out[last] = results(steps)[last] + 1
	}
	return out
}

// calculation writes steps with the given results in both styles.
func calculation(steps []step, values []int, p problem, words *strings.Replacer) (own, full string) {
	var short, long []string
	for k, s := range steps {
		if k > 0 {
			s.a = values[k-1]
		}
		sum := fmt.Sprintf("%s = %d.", s, values[k])
		short = append(short, sum)
		long = append(long, words.Replace(p.tell[k])+" "+sum)
	}
	end := values[len(values)-1]
	return fmt.Sprintf("%s #### %d", strings.Join(short, " "), end),
		fmt.Sprintf("%s The answer is %d. #### %d", strings.Join(long, " "), end, end)
}
