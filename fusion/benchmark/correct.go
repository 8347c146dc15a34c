package benchmark

import (
	"slices"
	"strings"
	"unicode"
)

// mark stands before the final answer of a worked solution.
const mark = "####"

// Correct says whether a text gives the right answer.
//
// Without candidates: what follows the last "####", trimmed of white space, equals answer, trimmed too. A text without
// "####" is wrong; more words after the answer make it wrong as well.
//
// With candidates: the candidate named last in the text, as whole words and in any case, is the text's choice; it must
// be the answer. Words are runs of letters, digits, marks and inner apostrophes; what stands between words does not
// count. Of candidates that end at the same word the longest is meant ("north gate" rather than "gate"); a text that
// names no candidate is wrong.
//
// Source: GSM8K's "#### n" (Cobbe et al. 2021, "Training Verifiers to Solve Math Word Problems") and exact match of
// the final choice. Different from GSM8K's own script: thousands separators are not removed, the keys have none.
func Correct(text, answer string, candidates []string) bool {
	if len(candidates) > 0 {
		choice := lastNamed(words(text), candidates)
		return choice >= 0 && sameWords(candidates[choice], answer)
	}
	at := strings.LastIndex(text, mark)
	return at >= 0 && strings.TrimSpace(text[at+len(mark):]) == strings.TrimSpace(answer)
}

// lastNamed gives the index of the candidate that ends last in the text's words, the longest if several end there; -1
// for none.
func lastNamed(text []string, candidates []string) int {
	choice, bestEnd, bestLength := -1, -1, 0
	for i, candidate := range candidates {
		phrase := words(candidate)
		if len(phrase) == 0 {
			continue
		}
		end := len(text)
		for end >= len(phrase) && !slices.Equal(text[end-len(phrase):end], phrase) {
			end--
		}
		if end < len(phrase) {
			continue
		}
		if end > bestEnd || end == bestEnd && len(phrase) > bestLength {
			choice, bestEnd, bestLength = i, end, len(phrase)
		}
	}
	return choice
}

func sameWords(a, b string) bool { return slices.Equal(words(a), words(b)) }

// words cuts a text into lower-case words.
func words(text string) []string {
	fields := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && r != '\'' && r != '’'
	})
	kept := fields[:0]
	for _, field := range fields {
		if field = strings.Trim(strings.ReplaceAll(field, "’", "'"), "'"); field != "" {
			kept = append(kept, field)
		}
	}
	return kept
}
