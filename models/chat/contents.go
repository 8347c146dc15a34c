package chat

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/models/jinja"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// Rendering is a conversation as a template writes it.
type Rendering struct {
	// Text is what the template writes.
	Text string
	// Contents are the ranges of bytes of Text where messages' contents stand, in order. White space at the ends of
	// a content that the template strips is not among them.
	Contents []tokenizer.Span
	// Response is the range of the last content, if it is the assistant's and is written once and unchanged, but for
	// white space at its ends; else nil.
	Response *tokenizer.Span

	messages []schemas.Message // as rendered: the system text may be moved
	lost     []int             // messages whose contents the template rewrites; those it leaves out are not among them
}

// Locate renders a conversation and finds where the contents stand. For that it renders again with marks,
// private-use characters, around the contents: a place counts only if the rendering without the marks is the same.
func (t *Template) Locate(messages []schemas.Message, generationPrompt bool) (Rendering, error) {
	text, messages, err := t.compose(messages, generationPrompt)
	if err != nil {
		return Rendering{}, err
	}
	m := marker{template: t, messages: messages, generationPrompt: generationPrompt, text: text}
	if err := m.chooseCharacters(); err != nil {
		return Rendering{}, err
	}
	places := slices.Repeat([]edges{{}}, len(messages))
	found, ok := m.find(places)
	if !ok {
		for i := range places {
			places[i] = m.choose(i)
		}
		if found, ok = m.find(places); !ok {
			return Rendering{}, errors.New("the chat template writes one message otherwise because of another's text, contents cannot be located")
		}
	}
	r := Rendering{Text: text, messages: messages}
	for i, spans := range found {
		r.Contents = append(r.Contents, spans...)
		if places[i].none {
			r.lost = append(r.lost, i)
		}
	}
	slices.SortFunc(r.Contents, func(a, b tokenizer.Span) int { return a.Start - b.Start })
	if last := len(messages) - 1; last >= 0 && messages[last].Role == "assistant" && len(found[last]) == 1 {
		r.Response = &found[last][0]
	}
	return r, nil
}

// marker finds contents by marks.
type marker struct {
	template         *Template
	messages         []schemas.Message
	generationPrompt bool
	text             string // the rendering without marks
	first            rune   // of the marks: two for each message, where it begins and ends
}

// edges says where the marks of one content are.
type edges struct {
	left, right bool // inside the white space at that end, because the template strips it
	none        bool // no marks
}

// The marks are taken from a private-use plane.
const (
	firstMark = 0x100000
	lastMark  = 0x10FFFD
)

// chooseCharacters looks for characters that occur nowhere.
func (m *marker) chooseCharacters() error {
	width := rune(2 * len(m.messages))
	used := func(r rune) bool { return r >= m.first && r < m.first+width }
	for m.first = firstMark; m.first+width <= lastMark; m.first += width {
		taken := strings.ContainsFunc(m.text, used) || strings.ContainsFunc(m.template.source, used) ||
			slices.ContainsFunc(m.messages, func(message schemas.Message) bool { return strings.ContainsFunc(message.Content, used) })
		if !taken {
			return nil
		}
		if width == 0 || m.first > firstMark+64*width {
			break
		}
	}
	return errors.New("the conversation has too many messages or private-use characters to locate its contents")
}

// choose gives the places of marks with which the template writes the same text for one content.
func (m *marker) choose(i int) edges {
	places := slices.Repeat([]edges{{none: true}}, len(m.messages))
	for _, e := range []edges{{}, {left: true, right: true}, {left: true}, {right: true}} {
		places[i] = e
		if _, ok := m.find(places); ok {
			return e
		}
	}
	return edges{none: true}
}

// find renders with marks and gives the spans of every content; ok is false if the text is not the same.
func (m *marker) find(places []edges) (found [][]tokenizer.Span, ok bool) {
	marked := slices.Clone(m.messages)
	for i := range marked {
		marked[i].Content = m.mark(i, places[i])
	}
	text, _, err := m.template.render(marked, m.generationPrompt)
	if err != nil {
		return nil, false
	}
	found = make([][]tokenizer.Span, len(marked))
	open := slices.Repeat([]int{-1}, len(marked))
	var clean strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		mark := int(r - m.first)
		if mark < 0 || mark >= 2*len(marked) {
			clean.WriteString(text[:size])
			text = text[size:]
			continue
		}
		text = text[size:]
		i, opens := mark/2, mark%2 == 0
		if opens != (open[i] < 0) {
			return nil, false
		}
		if opens {
			open[i] = clean.Len()
			continue
		}
		found[i] = append(found[i], tokenizer.Span{Start: open[i], End: clean.Len()})
		open[i] = -1
	}
	ok = clean.String() == m.text && !slices.ContainsFunc(open, func(at int) bool { return at >= 0 })
	return found, ok
}

// mark puts marks around a content.
func (m *marker) mark(i int, e edges) string {
	content := m.messages[i].Content
	if e.none {
		return content
	}
	start, end := 0, len(content)
	if e.left {
		start = end - len(strings.TrimLeftFunc(content, jinja.IsSpace))
	}
	if e.right {
		end = max(start, len(strings.TrimRightFunc(content, jinja.IsSpace)))
	}
	first := m.first + 2*rune(i)
	return content[:start] + string(first) + content[start:end] + string(first+1) + content[end:]
}
