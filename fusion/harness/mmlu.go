package harness

import (
	"fmt"
	"strings"
)

// letters are what a model chooses from in MMLU.
var letters = []string{"A", "B", "C", "D"}

// readMMLU reads an item of MMLU: question, choices, answer (0 to 3, or A to D), subject.
func readMMLU(r Row) (Document, error) {
	question, err := r.text("question")
	if err != nil {
		return Document{}, err
	}
	choices, err := r.texts("choices", len(letters))
	if err != nil {
		return Document{}, err
	}
	if len(choices) != len(letters) {
		return Document{}, fmt.Errorf("field choices: has %d values, want %d", len(choices), len(letters))
	}
	gold := -1
	if answer, ok := r["answer"].(string); ok && len(answer) == 1 {
		gold = strings.Index("ABCD", answer)
	}
	if gold < 0 {
		if gold, err = r.number("answer", len(letters)); err != nil {
			return Document{}, fmt.Errorf("%w, or a letter from A to D", err)
		}
	}
	subject, err := r.text("subject")
	if err != nil {
		return Document{}, fmt.Errorf("%w; --subject gives the subject of a file without", err)
	}
	var text strings.Builder
	text.WriteString(strip(question))
	for i, c := range choices {
		fmt.Fprintf(&text, "\n%s. %s", letters[i], c)
	}
	text.WriteString("\nAnswer:")
	return Document{
		Subject: subject, Description: "The following are multiple choice questions (with answers) about " + strings.ReplaceAll(subject, "_", " ") + ".\n\n",
		Questions: []string{text.String()}, Answers: letters, Gold: gold,
	}, nil
}

// tableMMLU reads MMLU's own CSV: question, four choices and a letter, without a header.
func tableMMLU(records [][]string) ([]Row, bool) {
	var rows []Row
	for _, r := range records {
		if len(r) != 6 || len(r[5]) != 1 || !strings.Contains("ABCD", r[5]) {
			return nil, false
		}
		rows = append(rows, Row{"question": r[0], "choices": []any{r[1], r[2], r[3], r[4]}, "answer": r[5]})
	}
	return rows, true
}
