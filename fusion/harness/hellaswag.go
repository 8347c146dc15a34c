package harness

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// readHellaSwag reads an item of HellaSwag: activity_label, ctx_a, ctx_b, endings, label.
func readHellaSwag(r Row) (Document, error) {
	activity, err := r.anyText("activity_label")
	if err != nil {
		return Document{}, err
	}
	a, err := r.anyText("ctx_a")
	if err != nil {
		return Document{}, err
	}
	b, err := r.anyText("ctx_b")
	if err != nil {
		return Document{}, err
	}
	endings, err := r.texts("endings", 2)
	if err != nil {
		return Document{}, err
	}
	gold, err := r.number("label", len(endings))
	if err != nil {
		return Document{}, err
	}
	d := Document{Questions: []string{clean(activity + ": " + a + " " + capitalised(b))}, Gold: gold}
	for _, e := range endings {
		d.Answers = append(d.Answers, clean(e))
	}
	return d, nil
}

// brackets are what WikiHow's pages left in the texts.
var brackets = regexp.MustCompile(`\[.*?\]`)

// clean takes WikiHow's marks out of a text.
func clean(text string) string {
	text = strings.ReplaceAll(strip(text), " [title]", ". ")
	return strings.ReplaceAll(brackets.ReplaceAllString(text, ""), "  ", " ")
}

// capitalised is Python's str.capitalize but for letters whose upper or lower case is several letters.
func capitalised(s string) string {
	first, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToTitle(first)) + strings.ToLower(s[n:])
}
