package advantage

import (
	"strings"

	"github.com/profuser/profuser/schemas"
)

// Filters say which responses cannot win. A filtered response takes no part in votes, ranks or means.
type Filters struct {
	// Unfinished drops responses that were cut at the length limit.
	Unfinished bool
	// Empty drops responses of white space only.
	Empty bool
	// MaxRepeat is the largest share of a response's words that may lie in repeated 4-grams; 0 or 1 allows all.
	MaxRepeat float64
	// Refusals are phrases that mark a refusal, compared without regard to case.
	Refusals []string
}

// Codes of filtered responses.
const (
	CodeUnfinished = "unfinished"
	CodeEmpty      = "empty"
	CodeRepeated   = "repeated"
	CodeRefusal    = "refusal"
)

// Drop gives the code of the first filter that the response fails, "" if none.
func (f Filters) Drop(text, finish string) string {
	if f.Empty && strings.TrimSpace(text) == "" {
		return CodeEmpty
	}
	if f.Unfinished && finish == schemas.FinishLength {
		return CodeUnfinished
	}
	lower := strings.ToLower(text)
	for _, r := range f.Refusals {
		if r != "" && strings.Contains(lower, strings.ToLower(r)) {
			return CodeRefusal
		}
	}
	if f.MaxRepeat > 0 && f.MaxRepeat < 1 && Repeated(text) > f.MaxRepeat {
		return CodeRepeated
	}
	return ""
}

// Repeated is the share of 4-grams of words that stand earlier in the text; 0 for fewer than five words.
//
// Source: spec/advantage.md (repeated n-gram loops); the share of duplicates as in Gopher's repetition filters
// (arXiv 2112.11446, table A1), with words for tokens.
func Repeated(text string) float64 {
	words := strings.Fields(text)
	if len(words) < 5 {
		return 0
	}
	seen := map[[4]string]bool{}
	again := 0
	for i := 0; i+4 <= len(words); i++ {
		gram := [4]string(words[i : i+4])
		if seen[gram] {
			again++
		}
		seen[gram] = true
	}
	return float64(again) / float64(len(words)-3)
}
