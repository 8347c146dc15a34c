package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
)

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
