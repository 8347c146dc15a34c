package benchmark

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/profuser/profuser/schemas"
)

// Item is one held-out prompt with its key.
type Item struct {
	// Prompt is what the model is asked.
	Prompt schemas.Prompt
	// Answer is the right answer, not empty: what must stand after "####", or one of Candidates.
	Answer string
	// Candidates are the answers to choose from; empty where the answer stands after "####".
	Candidates []string
}

// FromPrompt reads the key of a held-out prompt from its meta, {"answer": "...", "candidates": ["...", ...]};
// candidates may be absent or null, other keys are ignored. Errors name the prompt and the field: no meta, no answer,
// an answer that is not among the candidates, an empty candidate.
func FromPrompt(p schemas.Prompt) (Item, error) {
	var key struct {
		Answer     *string  `json:"answer"`
		Candidates []string `json:"candidates"`
	}
	if p.Meta == "" {
		return Item{}, fmt.Errorf("reading the key of prompt %s: meta is empty, want {\"answer\": …}", p.ID)
	}
	if err := json.Unmarshal([]byte(p.Meta), &key); err != nil {
		return Item{}, fmt.Errorf("reading the key of prompt %s: meta: %w", p.ID, err)
	}
	if key.Answer == nil || strings.TrimSpace(*key.Answer) == "" {
		return Item{}, fmt.Errorf("reading the key of prompt %s: meta has no answer, want a text that is not empty", p.ID)
	}
	item := Item{Prompt: p, Answer: *key.Answer, Candidates: key.Candidates}
	known := len(key.Candidates) == 0
	for i, candidate := range key.Candidates {
		if len(words(candidate)) == 0 {
			return Item{}, fmt.Errorf("reading the key of prompt %s: meta.candidates[%d] is %q, want words", p.ID, i, candidate)
		}
		known = known || sameWords(candidate, item.Answer)
	}
	if !known {
		return Item{}, fmt.Errorf("reading the key of prompt %s: meta.answer is %q, want one of the candidates %q", p.ID, item.Answer, key.Candidates)
	}
	return item, nil
}

// FinalAnswer finds the key of a prompt that is no held-out item: its meta's, as FromPrompt reads it, else what follows
// the last "####" of the reference (GSM8K's form). ok is false when there is neither.
func FinalAnswer(p schemas.Prompt) (item Item, ok bool) {
	if item, err := FromPrompt(p); err == nil {
		return item, true
	}
	if p.Reference == nil {
		return Item{}, false
	}
	at := strings.LastIndex(*p.Reference, mark)
	if at < 0 {
		return Item{}, false
	}
	answer := strings.TrimSpace((*p.Reference)[at+len(mark):])
	return Item{Prompt: p, Answer: answer}, answer != ""
}

// Correct says whether a text answers the item; see the function Correct.
func (i Item) Correct(text string) bool { return Correct(text, i.Answer, i.Candidates) }

// Skill gives the prompt's first tag, "" without tags.
func (i Item) Skill() string {
	if len(i.Prompt.Tags) == 0 {
		return ""
	}
	return i.Prompt.Tags[0]
}
