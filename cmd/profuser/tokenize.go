package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/ruler"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// newTokenize turns texts into ids.
func newTokenize() *cobra.Command {
	var path string
	var special, spans, pretty bool
	c := &cobra.Command{
		Use:   "tokenize --tokenizer DIR|FILE",
		Short: `Turn texts, {"text": …} a line on standard input, into token ids`,
		Long: `Read lines of JSON, {"text": "…"}, on standard input and write one line for each:
{"ids": […], "tokens": […]}, the tokens as they stand in the vocabulary. Special strings in a text become
special tokens. A span is the range of bytes of the text that a token covers, [begin, end).`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := loadTokenizer(path)
			if err != nil {
				return err
			}
			return eachLine(cmd, func(line []byte, out io.Writer) error {
				var row struct {
					Text *string `json:"text"`
				}
				if err := json.Unmarshal(line, &row); err != nil {
					return err
				}
				if row.Text == nil {
					return errors.New("text: is missing")
				}
				tokens := tokenized(t, *row.Text, special)
				if pretty {
					return writeRuler(out, t, tokens.IDs, nil)
				}
				if !spans {
					tokens.Spans = nil
				}
				return writeJSON(out, tokens)
			})
		},
	}
	tokenizerFlag(c, &path)
	c.Flags().BoolVar(&special, "special", false, "add the tokens that the post-processor puts around a text, such as the beginning of text")
	c.Flags().BoolVar(&spans, "spans", false, `add "spans": [[begin, end], …], bytes of the text; a token that is only the dummy prefix has [0, 0]`)
	c.Flags().BoolVar(&pretty, "pretty", false, "draw the tokens instead, with colours on a terminal unless NO_COLOR is set")
	return c
}

// tokens is a line of tokenize.
type tokens struct {
	IDs    []int32   `json:"ids"`
	Spans  *[][2]int `json:"spans,omitempty"`
	Tokens []string  `json:"tokens"`
}

func tokenized(t *tokenizer.Tokenizer, text string, special bool) tokens {
	ids, spans := t.EncodeSpans(text)
	if special {
		before, after, end := t.Specials(), t.SpecialsAfter(), tokenizer.Span{Start: len(text), End: len(text)}
		ids = slices.Concat(before, ids, after)
		spans = slices.Concat(make([]tokenizer.Span, len(before)), spans, slices.Repeat([]tokenizer.Span{end}, len(after)))
	}
	ranges := pairs(spans)
	out := tokens{IDs: append([]int32{}, ids...), Spans: &ranges, Tokens: make([]string, len(ids))}
	for i, id := range ids {
		out.Tokens[i] = t.Token(id)
	}
	return out
}

// pairs are spans as JSON lists.
func pairs(spans []tokenizer.Span) [][2]int {
	out := make([][2]int, len(spans))
	for i, s := range spans {
		out[i] = [2]int{s.Start, s.End}
	}
	return out
}

// writeRuler draws tokens; those that marked names are marked.
func writeRuler(out io.Writer, t *tokenizer.Tokenizer, ids []int32, marked []bool) error {
	drawn := make([]ruler.Token, len(ids))
	for i, id := range ids {
		drawn[i] = ruler.Token{ID: id, Bytes: t.Bytes(id), Name: t.Token(id), Marked: i < len(marked) && marked[i]}
	}
	width, colours := terminal()
	_, err := io.WriteString(out, ruler.Draw(drawn, width, colours))
	return err
}

// newDetokenize turns ids into texts.
func newDetokenize() *cobra.Command {
	var path string
	var skip bool
	c := &cobra.Command{
		Use:   "detokenize --tokenizer DIR|FILE",
		Short: `Turn token ids, {"ids": […]} a line on standard input, into texts`,
		Long: `Read lines of JSON, {"ids": [1, 2, …]}, on standard input and write one line for each: {"text": "…"}.
Bytes that are no UTF-8 become U+FFFD, as the reference implementation decodes.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			t, err := loadTokenizer(path)
			if err != nil {
				return err
			}
			return eachLine(cmd, func(line []byte, out io.Writer) error {
				var row struct {
					IDs *[]int32 `json:"ids"`
				}
				if err := json.Unmarshal(line, &row); err != nil {
					return err
				}
				if row.IDs == nil {
					return errors.New("ids: is missing")
				}
				for i, id := range *row.IDs {
					if t.Token(id) == "" {
						return fmt.Errorf("ids[%d]: %d is not in the vocabulary of %d tokens", i, id, t.Size())
					}
				}
				return writeJSON(out, map[string]string{"text": t.Decode(*row.IDs, skip)})
			})
		},
	}
	tokenizerFlag(c, &path)
	c.Flags().BoolVar(&skip, "skip-special", false, "leave special tokens out")
	return c
}

func tokenizerFlag(c *cobra.Command, path *string) {
	c.Flags().SortFlags = false
	c.Flags().StringVar(path, "tokenizer", "", "a model's directory, or a tokenizer.json (required)")
}

// loadTokenizer loads what --tokenizer names.
func loadTokenizer(path string) (*tokenizer.Tokenizer, error) {
	if path == "" {
		return nil, usageError{errors.New("--tokenizer is missing: name a model's directory, or a tokenizer.json")}
	}
	return tokenizer.Load(path)
}

// newChatRender shows conversations as a model gets them.
func newChatRender() *cobra.Command {
	var dir string
	var options chat.Options
	var pretty, noPrompt bool
	c := &cobra.Command{
		Use:   "chat-render --model DIR",
		Short: `Render conversations, {"messages": […]} a line on standard input, by a model's chat template`,
		Long: `Read lines of JSON, {"messages": [{"role": "user", "content": "…"}, …]}, on standard input and write one line for
each: {"text": "…", "ids": […], "response": [begin, end]}. The text is what the chat template writes, the ids are
its tokens with the model's beginning of text; special strings inside the messages are ordinary text. The response
is the range of bytes of the text where the last message stands, null unless it is the assistant's. A conversation
that does not end with the assistant ends with the generation prompt.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usageError{errors.New("--model is missing: name a model's directory")}
			}
			f, err := chat.Load(dir, options)
			if err != nil {
				return err
			}
			return eachLine(cmd, func(line []byte, out io.Writer) error {
				messages, err := readMessages(line)
				if err != nil {
					return err
				}
				return renderChat(out, f, messages, !noPrompt && messages[len(messages)-1].Role != "assistant", pretty)
			})
		},
	}
	c.Flags().SortFlags = false
	c.Flags().StringVar(&dir, "model", "", "the model's directory (required)")
	c.Flags().StringVar(&options.ChatTemplate, "chat-template", "auto", "auto (the model's own), one of its named templates, or a built-in one")
	c.Flags().StringVar(&options.BOS, "bos", "auto", "the beginning of text: auto, always, never")
	c.Flags().BoolVar(&noPrompt, "no-generation-prompt", false, "do not end with the generation prompt")
	c.Flags().BoolVar(&pretty, "pretty", false, "draw the tokens instead, the response's marked, with colours on a terminal unless NO_COLOR is set")
	return c
}

// readMessages reads a line.
func readMessages(line []byte) ([]schemas.Message, error) {
	var row struct {
		Messages []struct {
			Role    *string `json:"role"`
			Content *string `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(line, &row); err != nil {
		return nil, err
	}
	if len(row.Messages) == 0 {
		return nil, errors.New("messages: is missing or empty")
	}
	messages := make([]schemas.Message, len(row.Messages))
	for i, m := range row.Messages {
		if m.Role == nil || *m.Role == "" {
			return nil, fmt.Errorf("messages[%d].role: is missing", i)
		}
		if m.Content == nil {
			return nil, fmt.Errorf("messages[%d].content: is missing", i)
		}
		messages[i] = schemas.Message{Role: *m.Role, Content: *m.Content}
	}
	return messages, nil
}

// rendered is a line of chat-render.
type rendered struct {
	Text     string  `json:"text"`
	IDs      []int32 `json:"ids"`
	Response *[2]int `json:"response"`
}

func renderChat(out io.Writer, f *chat.Format, messages []schemas.Message, generationPrompt, pretty bool) error {
	r, err := f.Locate(messages, generationPrompt)
	if err != nil {
		return err
	}
	ids, spans := f.Tokens(r)
	if pretty {
		marked := make([]bool, len(ids))
		for i, s := range spans {
			marked[i] = r.Response != nil && s.Start < r.Response.End && s.End > r.Response.Start
		}
		return writeRuler(out, f.Tokenizer(), ids, marked)
	}
	row := rendered{Text: r.Text, IDs: append([]int32{}, ids...)} // never null
	if r.Response != nil {
		row.Response = &[2]int{r.Response.Start, r.Response.End}
	}
	return writeJSON(out, row)
}
