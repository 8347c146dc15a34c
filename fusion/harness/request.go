package harness

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/mersenne"
	"github.com/profuser/profuser/schemas"
)

// Ways of choosing examples.
const (
	// FirstN takes the first ones for every item.
	FirstN = "first_n"
	// Sampled draws for one item after another with random.Random(1234).sample, as the harness does.
	Sampled = "harness"
)

// sampleSeed is the harness's default of fewshot_random_seed.
const sampleSeed = 1234

// Examples chooses n examples for each item, in the items' order. Errors: fewer examples than are drawn from.
//
// A task that Excludes never shows an item itself: it draws one more than n, and what is left of them without the item,
// or, where the item came several times, n of the others. Source: lm_eval 0.4.13, api/samplers.py.
func (t Task) Examples(how string, items, pool []Document, n int) ([][]Document, error) {
	drawn := n
	if t.Excludes && how == Sampled && n > 0 {
		drawn++
	}
	if drawn > len(pool) {
		return nil, fmt.Errorf("%d examples are drawn, the few-shot file has %d: give more or a smaller --shots", drawn, len(pool))
	}
	random := mersenne.New(sampleSeed)
	sample := func(from []Document, n int) ([]Document, error) {
		places, err := random.Sample(len(from), n)
		var out []Document
		for _, place := range places {
			out = append(out, from[place])
		}
		return out, err
	}
	out := make([][]Document, len(items))
	for i, item := range items {
		others := func(from []Document) []Document {
			if !t.Excludes || item.Raw == "" {
				return from
			}
			return slices.DeleteFunc(slices.Clone(from), func(d Document) bool { return d.Raw == item.Raw })
		}
		var err error
		switch {
		case n == 0:
			continue
		case how == Sampled && !t.FirstOnly:
			if out[i], err = sample(pool, drawn); err == nil {
				if out[i] = others(out[i]); len(out[i]) < n {
					out[i], err = sample(others(pool), n)
				}
			}
		default:
			out[i] = others(pool)
		}
		if err != nil || len(out[i]) < n {
			return nil, errors.Join(err, fmt.Errorf("the few-shot file has fewer than %d examples besides the item itself", n))
		}
		out[i] = out[i][:n]
	}
	return out, nil
}

// Conversation is an item after its examples, as turns: the description as the system's, each example a question and
// its answer, and the question that goes with an answer's place. What is empty has no turn.
func Conversation(d Document, answer int, examples []Document) []schemas.Message {
	var turns []schemas.Message
	say := func(role, text string) { turns = append(turns, schemas.Message{Role: role, Content: text}) }
	if d.Description != "" {
		say(schemas.RoleSystem, d.Description)
	}
	for _, e := range examples {
		say(schemas.RoleUser, e.question(e.Gold))
		if e.Answers[e.Gold] != "" {
			say(schemas.RoleAssistant, e.Answers[e.Gold])
		}
	}
	say(schemas.RoleUser, d.question(answer))
	return turns
}

// question is the text before the answer at a place.
func (d Document) question(answer int) string {
	if len(d.Questions) == 1 {
		return d.Questions[0]
	}
	return d.Questions[answer]
}

// Text is a conversation as plain text: a space before each answer, a blank line after it.
func Text(turns []schemas.Message) string {
	var text strings.Builder
	for i, t := range turns {
		text.WriteString(t.Content)
		switch {
		case t.Role == schemas.RoleAssistant:
			text.WriteString("\n\n")
		case i+1 < len(turns) && turns[i+1].Role == schemas.RoleAssistant:
			text.WriteByte(' ')
		}
	}
	return text.String()
}

// Request is what a model is asked about one item.
type Request struct {
	// Contexts is the text before the answer: one for all continuations, or one for each.
	Contexts []string
	// Continuations are the texts to score; none where the model writes.
	Continuations []string
}

// Pair is the i-th context and continuation.
func (r Request) Pair(i int) (context, continuation string) {
	return r.Contexts[min(i, len(r.Contexts)-1)], r.Continuations[i]
}

// Request makes the texts. render, if not nil, is a chat template, which puts no space before the answer.
func (t Task) Request(d Document, examples []Document, render func([]schemas.Message) (string, error)) (Request, error) {
	delimiter := " "
	if render == nil {
		render = func(turns []schemas.Message) (string, error) { return Text(turns), nil }
	} else {
		delimiter = ""
	}
	var r Request
	for i := range d.Questions {
		text, err := render(Conversation(d, i, examples))
		if err != nil {
			return Request{}, err
		}
		r.Contexts = append(r.Contexts, text)
	}
	if t.Generates {
		return r, nil
	}
	for _, a := range d.Answers {
		r.Continuations = append(r.Continuations, delimiter+a)
	}
	return r, nil
}

// MoveSpace moves the white space at a context's end to the continuation: tokens take it along at their beginning.
func MoveSpace(context, continuation string) (string, string) {
	kept := stripRight(context)
	return kept, context[len(kept):] + continuation
}
