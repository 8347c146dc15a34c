package advantage

import (
	"slices"
	"strings"
	"unicode"

	"github.com/profuser/profuser/fusion/words"
	"github.com/profuser/profuser/schemas"
)

// Filters say which responses cannot win. A filtered response takes no part in votes, ranks or means. The zero value
// drops none.
type Filters struct {
	// Unfinished drops responses that were cut at the length limit.
	Unfinished bool
	// Empty drops responses of white space only.
	Empty bool
	// MaxRepeat is the largest share of a response's words that may lie in repeated 4-grams; 0 or 1 allows all.
	MaxRepeat float64
	// Refusals are phrases that mark a refusal, compared without regard to case.
	Refusals []string
	// Scripts are Unicode's names of the allowed scripts, such as Latin or Han; empty allows all.
	Scripts []string
	// MinScript is the smallest share of a response's letters that must be in Scripts, in (0, 1].
	MinScript float64
	// MinBytes and MaxBytes bound a response's length in bytes; 0 is no bound.
	MinBytes, MaxBytes int
}

// Codes of filtered responses.
const (
	CodeUnfinished = "unfinished"
	CodeEmpty      = "empty"
	CodeRepeated   = "repeated"
	CodeRefusal    = "refusal"
	CodeScript     = "script"
	CodeShort      = "short"
	CodeLong       = "long"
)

// Drop gives the code of the first filter that the response fails, "" if none.
func (f Filters) Drop(text, finish string) string {
	lower := ""
	if len(f.Refusals) > 0 {
		lower = strings.ToLower(text)
	}
	switch {
	case f.Empty && strings.TrimSpace(text) == "":
		return CodeEmpty
	case f.Unfinished && finish == schemas.FinishLength:
		return CodeUnfinished
	case len(text) < f.MinBytes:
		return CodeShort
	case f.MaxBytes > 0 && len(text) > f.MaxBytes:
		return CodeLong
	case slices.ContainsFunc(f.Refusals, func(r string) bool { return r != "" && strings.Contains(lower, strings.ToLower(r)) }):
		return CodeRefusal
	case len(f.Scripts) > 0 && InScripts(text, f.Scripts) < f.MinScript:
		return CodeScript
	case f.MaxRepeat > 0 && f.MaxRepeat < 1 && Repeated(text) > f.MaxRepeat:
		return CodeRepeated
	}
	return ""
}

// InScripts is the share of the text's letters that belong to one of the scripts; 1 for a text without letters. Names
// that Unicode does not have match nothing.
//
// Source: spec/advantage.md (share of letters in allowed scripts); letters are Unicode's category L.
func InScripts(text string, scripts []string) float64 {
	var tables []*unicode.RangeTable
	for _, name := range scripts {
		if t := unicode.Scripts[name]; t != nil {
			tables = append(tables, t)
		}
	}
	letters, in := 0, 0
	for _, r := range text {
		if !unicode.IsLetter(r) {
			continue
		}
		letters++
		if unicode.In(r, tables...) {
			in++
		}
	}
	if letters == 0 {
		return 1
	}
	return float64(in) / float64(letters)
}

// Repeated is the share of 4-grams of words that stand earlier in the text; 0 for fewer than five words. A word is a run
// without white space; of scripts that write none (Han, kana, Thai, …), a character.
//
// Source: spec/advantage.md (repeated n-gram loops); the share of duplicates as in Gopher's repetition filters
// (arXiv 2112.11446, table A1), with words for tokens.
func Repeated(text string) float64 {
	all := words.Split(text)
	if len(all) < 5 {
		return 0
	}
	seen := map[[4]string]bool{}
	again := 0
	for i := 0; i+4 <= len(all); i++ {
		gram := [4]string(all[i : i+4])
		if seen[gram] {
			again++
		}
		seen[gram] = true
	}
	return float64(again) / float64(len(all)-3)
}
