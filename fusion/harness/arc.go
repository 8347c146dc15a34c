package harness

import (
	"fmt"
	"slices"
)

// readARC reads an item of ARC: question, choices.text and choices.label, answerKey.
func readARC(r Row) (Document, error) {
	question, err := r.anyText("question")
	if err != nil {
		return Document{}, err
	}
	texts, err := r.texts("choices.text", 2)
	if err != nil {
		return Document{}, err
	}
	labels, err := r.texts("choices.label", 2)
	if err != nil {
		return Document{}, err
	}
	if len(labels) != len(texts) {
		return Document{}, fmt.Errorf("field choices.label: has %d values, choices.text %d", len(labels), len(texts))
	}
	key, err := r.text("answerKey")
	if err != nil {
		return Document{}, err
	}
	gold := slices.Index(labels, key)
	if gold < 0 {
		return Document{}, fmt.Errorf("field answerKey: is %q, want one of the labels %q", key, labels)
	}
	return Document{Questions: []string{"Question: " + question + "\nAnswer:"}, Answers: texts, Gold: gold}, nil
}
