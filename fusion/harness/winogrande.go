package harness

import (
	"fmt"
	"strings"
)

// readWinoGrande reads an item of WinoGrande: sentence with a _, option1, option2, answer (1 or 2).
func readWinoGrande(r Row) (Document, error) {
	sentence, err := r.text("sentence")
	if err != nil {
		return Document{}, err
	}
	before, after, ok := strings.Cut(sentence, "_")
	if !ok {
		return Document{}, fmt.Errorf("field sentence: is %q, want a text with a _ where the options go", sentence)
	}
	d := Document{}
	for _, option := range []string{"option1", "option2"} {
		text, err := r.text(option)
		if err != nil {
			return Document{}, err
		}
		d.Questions, d.Answers = append(d.Questions, before+text), append(d.Answers, strip(after))
	}
	answer, err := r.number("answer", 3)
	if err != nil || answer == 0 {
		return Document{}, fmt.Errorf("field answer: is %.60v, want 1 or 2; the test split's answers are not published", r["answer"])
	}
	d.Gold = answer - 1
	return d, nil
}
