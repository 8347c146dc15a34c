package chat

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// Encoded is a conversation with an answer, in tokens.
type Encoded struct {
	// PromptIDs are the tokens that end at or before the text's start.
	PromptIDs []int32
	// TextIDs are the text's tokens, then end-of-turn if the text is closed. Template bytes between the
	// text and end-of-turn are left out, as in generation.
	TextIDs []int32
	// Starts is the byte of the text where each of TextIDs begins: negative for a token that begins in the
	// template or has a dummy prefix; len(text) for end-of-turn.
	Starts []int32
}

// frame is a conversation with one more assistant turn: what stands before and after that turn's text.
type frame struct {
	before, after string
	contents      []tokenizer.Span // of the other turns, in before+after
}

// spans are the contents when the turn's text has so many bytes.
func (f *frame) spans(size int) []tokenizer.Span {
	spans := slices.Clone(f.contents)
	for i := range spans {
		if spans[i].Start >= len(f.before) {
			spans[i].Start, spans[i].End = spans[i].Start+size, spans[i].End+size
		}
	}
	return spans
}

// around renders a conversation with one more assistant turn.
func (f *Format) around(messages []schemas.Message) (frame, error) {
	placeholder := "ProFuserAnswer"
	for containsText(messages, placeholder) || strings.Contains(f.template.source, placeholder) {
		placeholder += "X"
	}
	turns := append(slices.Clone(messages), schemas.Message{Role: "assistant", Content: placeholder})
	r, err := f.locate(turns, false)
	if err != nil {
		return frame{}, err
	}
	before, after, found := strings.Cut(r.Text, placeholder)
	if !found || strings.Contains(after, placeholder) {
		return frame{}, fmt.Errorf("the chat template writes the last answer %d times, it must write it once", strings.Count(r.Text, placeholder))
	}
	around := frame{before: before, after: after}
	for _, span := range r.Contents {
		switch {
		case span.End <= len(before):
			around.contents = append(around.contents, span)
		case span.Start >= len(before)+len(placeholder):
			around.contents = append(around.contents, tokenizer.Span{Start: span.Start - len(placeholder), End: span.End - len(placeholder)})
		}
	}
	return around, nil
}

func containsText(messages []schemas.Message, text string) bool {
	return slices.ContainsFunc(messages, func(m schemas.Message) bool { return strings.Contains(m.Content, text) })
}

// locate renders a conversation; its contents are located only if one of them has a control string, for without any
// the ids do not depend on where they stand.
func (f *Format) locate(messages []schemas.Message, generationPrompt bool) (Rendering, error) {
	if !slices.ContainsFunc(messages, func(m schemas.Message) bool { return f.orders(m.Content) }) {
		text, err := f.template.Render(messages, generationPrompt)
		return Rendering{Text: text}, err
	}
	r, err := f.template.Locate(messages, generationPrompt)
	if err != nil {
		return Rendering{}, err
	}
	for _, i := range r.lost {
		for _, id := range f.tokenizer.Encode(r.messages[i].Content) {
			if f.tokenizer.Special(id) {
				return Rendering{}, fmt.Errorf("the chat template rewrites the text of message %d (%s), so its %q cannot be told from the template's own; take it out of the text",
					i+1, r.messages[i].Role, f.tokenizer.Token(id))
			}
		}
	}
	return r, nil
}

// orders says whether a content has strings that would be control tokens if somebody else had written them.
func (f *Format) orders(content string) bool {
	quoted, _ := f.tokenizer.EncodeOutside(content, []tokenizer.Span{{Start: 0, End: len(content)}})
	return !slices.Equal(quoted, f.tokenizer.Encode(content))
}

// Prompt gives the tokens after which the model answers. Special strings in the messages are ordinary text.
func (f *Format) Prompt(messages []schemas.Message) ([]int32, error) {
	r, err := f.locate(messages, true)
	if err != nil {
		return nil, err
	}
	ids, _ := f.tokenizer.EncodeOutside(r.Text, r.Contents)
	skip, add := f.beginning(ids)
	return append(slices.Clone(add), ids[skip:]...), nil
}

// Conversation gives the tokens of the whole rendering with text as the answer: what a reward model reads. Special
// strings in the messages and in the text are ordinary text.
func (f *Format) Conversation(messages []schemas.Message, text string) ([]int32, error) {
	around, err := f.around(messages)
	if err != nil {
		return nil, err
	}
	place := tokenizer.Span{Start: len(around.before), End: len(around.before) + len(text)}
	ids, _ := f.tokenizer.EncodeQuoted(around.before+text+around.after, place, around.spans(len(text))...)
	skip, add := f.beginning(ids)
	return append(slices.Clone(add), ids[skip:]...), nil
}

// Tokens gives the ids of a rendering of Locate, and the bytes of its text that each covers; an id of the beginning of
// text that the template does not write covers none.
func (f *Format) Tokens(r Rendering) ([]int32, []tokenizer.Span) {
	ids, spans := f.tokenizer.EncodeOutside(r.Text, r.Contents)
	skip, add := f.beginning(ids)
	return append(slices.Clone(add), ids[skip:]...), append(make([]tokenizer.Span, len(add)), spans[skip:]...)
}

// Locate is Template's; it fails besides for a special string that cannot be told from the template's own.
func (f *Format) Locate(messages []schemas.Message, generationPrompt bool) (Rendering, error) {
	if _, err := f.locate(messages, generationPrompt); err != nil {
		return Rendering{}, err
	}
	return f.template.Locate(messages, generationPrompt)
}

// beginning applies the rule for the beginning of text: how many ids to leave out, and what to put there.
func (f *Format) beginning(ids []int32) (skip int, add []int32) {
	if n := len(f.neverBOS); n > 0 && startsWith(ids, f.neverBOS) {
		return n, nil
	}
	if startsWith(ids, f.bos) {
		return 0, nil
	}
	return 0, f.bos
}

func startsWith(ids, prefix []int32) bool {
	return len(ids) >= len(prefix) && slices.Equal(ids[:len(prefix)], prefix)
}

// Encode gives the tokens of the conversation with text as the answer, and where in the text each of its
// tokens begins. The prompt's tokens are those of the whole, so a token may reach from the template into
// the text, but no token reaches across the end of the generation prompt: a generation could not have it. Where a
// template writes earlier turns otherwise once there is an answer (Mistral drops the system text), they stay as the model
// that answers sees them.
// Special strings in the messages and the text are ordinary text.
func (f *Format) Encode(messages []schemas.Message, text string, closed bool) (Encoded, error) {
	around, err := f.around(messages)
	if err != nil {
		return Encoded{}, err
	}
	prompt, err := f.locate(messages, true)
	if err != nil {
		return Encoded{}, err
	}
	if !strings.HasPrefix(around.before, prompt.Text) {
		around = frame{before: prompt.Text + f.glue, contents: prompt.Contents}
	}
	before := around.before
	ids, spans := f.encodeAnswer(around, text, prompt.Text)
	skip, add := f.beginning(ids)
	ids, spans = ids[skip:], spans[skip:]
	first := 0
	for first < len(spans) && spans[first].End <= len(before) {
		first++
	}
	e := Encoded{
		PromptIDs: append(slices.Clone(add), ids[:first]...),
		TextIDs:   slices.Clone(ids[first:]),
		Starts:    make([]int32, 0, len(ids)-first+1),
	}
	for i, span := range spans[first:] {
		start := span.Start - len(before)
		if i == 0 {
			start = f.firstStart(e.TextIDs[0], span, len(before))
		}
		e.Starts = append(e.Starts, int32(start))
	}
	if closed {
		e.TextIDs = append(e.TextIDs, f.endOfTurn)
		e.Starts = append(e.Starts, int32(len(text)))
	}
	return e, nil
}

// encodeAnswer tokenises before+text. What follows the text is left out: it begins with a special token or is
// no part of a generation, so the text's tokens do not depend on it.
func (f *Format) encodeAnswer(around frame, text, prompt string) ([]int32, []tokenizer.Span) {
	before, cut := around.before, len(prompt)
	contents := slices.DeleteFunc(slices.Clone(around.contents), func(s tokenizer.Span) bool { return s.Start >= len(before) })
	place := tokenizer.Span{Start: len(before), End: len(before) + len(text)}
	ids, spans := f.tokenizer.EncodeQuoted(before+text, place, contents...)
	reaches := func(s tokenizer.Span) bool { return s.Start < cut && cut < s.End }
	if !strings.HasPrefix(before, prompt) || !slices.ContainsFunc(spans, reaches) {
		return ids, spans
	}
	ids, spans = f.tokenizer.EncodeOutside(prompt, contents)
	restIDs, restSpans := f.tokenizer.EncodeMidSpans(before[cut:] + text)
	for i, span := range restSpans {
		ids = append(ids, restIDs[i])
		spans = append(spans, tokenizer.Span{Start: cut + span.Start, End: cut + span.End})
	}
	return ids, spans
}

// firstStart is where the text's first token begins: its end less its bytes, when it reaches into the
// template or has a dummy prefix.
func (f *Format) firstStart(id int32, span tokenizer.Span, place int) int {
	content := f.tokenizer.Bytes(id)
	size := span.End - span.Start
	dummy := len(content) == size+1 && content[0] == ' '
	if span.Start < place || dummy {
		return span.End - place - len(content)
	}
	return span.Start - place
}

// Answer turns generated ids, which follow Prompt, into text: the bytes of the ids before the first stop
// id, without template bytes or the dummy prefix at their start. Starts has one entry for each id up to
// and including the stop id, as in Encoded; closed says that there was one. The text of ids that were
// cut off inside a character is not valid UTF-8.
func (f *Format) Answer(ids []int32) (text string, starts []int32, closed bool) {
	var content []byte
	for _, id := range ids {
		starts = append(starts, int32(len(content)))
		if slices.Contains(f.stops, id) {
			closed = true
			break
		}
		content = append(content, f.tokenizer.Bytes(id)...)
	}
	for _, lead := range f.leads {
		if rest, found := bytes.CutPrefix(content, lead); found {
			for i := range starts {
				starts[i] -= int32(len(lead))
			}
			return string(rest), starts, closed
		}
	}
	return string(content), starts, closed
}
