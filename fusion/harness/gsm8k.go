package harness

import (
	"regexp"
	"strings"
)

// Invalid stands for an answer in which no number was found.
const Invalid = "[invalid]"

// MaxNewTokens is the longest answer that a model may write, in tokens, unless something else is said.
const MaxNewTokens = 256

// Stops are the texts that end a written answer, besides the tokenizer's own end of sequence.
var Stops = []string{"Question:", "</s>", "<|im_end|>"}

// readGSM8K reads an item of GSM8K: question, answer (a worked solution that ends in #### and a number).
func readGSM8K(r Row) (Document, error) {
	question, err := r.anyText("question")
	if err != nil {
		return Document{}, err
	}
	answer, err := r.text("answer")
	return Document{Questions: []string{"Question: " + question + "\nAnswer:"}, Answers: []string{answer}}, err
}

// CutAtStops ends a written text before the first of the stop texts; an empty one does not count.
func CutAtStops(text string, stops []string) string {
	for _, stop := range stops {
		if stop != "" {
			text, _, _ = strings.Cut(text, stop)
		}
	}
	return text
}

var (
	strictNumber   = regexp.MustCompile(`#### (-?[0-9.,]+)`)
	flexibleNumber = regexp.MustCompile(`(-?[$0-9.,]{2,})|(-?[0-9]+)`)
	beforeMark     = regexp.MustCompile(`(?s).*#### `)
	// finalStop is Python's \.$, which also stands before a last line feed.
	finalStop = regexp.MustCompile(`\.(\n?)\z`)
)

// StrictAnswer is the number after the first "#### " of a text, Invalid without.
func StrictAnswer(text string) string {
	if found := strictNumber.FindStringSubmatch(text); found != nil {
		return found[1]
	}
	return Invalid
}

// FlexibleAnswer is the last thing in a text that looks like a number, Invalid without.
func FlexibleAnswer(text string) string {
	found := flexibleNumber.FindAllString(text, -1)
	if len(found) == 0 {
		return Invalid
	}
	return found[len(found)-1]
}

// SameAnswer compares an answer with a worked solution.
//
// Effect: on both sides commas, dollar signs, everything up to the last "#### " and a final stop are deleted, then letters
// become small. Boundary: Invalid never equals a number.
// Source: lm_eval 0.4.13, tasks/gsm8k/gsm8k.yaml and exact_match_hf_evaluate. The same, for small letters of one rune.
func SameAnswer(answer, solution string) bool { return plain(answer) == plain(solution) }

func plain(s string) string {
	s = strings.NewReplacer(",", "", "$", "").Replace(s)
	return strings.ToLower(finalStop.ReplaceAllString(beforeMark.ReplaceAllString(s, ""), "$1"))
}
