package pretrain

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/batch"
)

// eachLine decodes every non-empty line of the files into a fresh T. Errors name file and line.
func eachLine[T any](files []string, use func(row T) error) error {
	for _, path := range files {
		if err := eachLineOf(path, use); err != nil {
			return err
		}
	}
	return nil
}

func eachLineOf[T any](path string, use func(row T) error) (err error) {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading training data: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	r := bufio.NewReaderSize(f, 1<<20)
	for line := 1; ; line++ {
		b, readErr := r.ReadBytes('\n')
		if b = bytes.TrimSpace(b); len(b) > 0 {
			var row T
			if err := json.Unmarshal(b, &row); err != nil {
				return fmt.Errorf("reading %s:%d: %w", path, line, err)
			}
			if err := use(row); err != nil {
				return fmt.Errorf("reading %s:%d: %w", path, line, err)
			}
		}
		if readErr == io.EOF {
			return nil
		} else if readErr != nil {
			return fmt.Errorf("reading %s: %w", path, readErr)
		}
	}
}

// conversation is a row of next-token training.
type conversation struct {
	Messages []schemas.Message `json:"messages"`
}

// readConversations encodes all conversations; texts longer than maxLength tokens in all are cut on the right, those
// whose prompt leaves nothing are dropped and counted.
func readConversations(files []string, format *chat.Format, maxLength int) (out []batch.Sequence, dropped int, err error) {
	err = eachLine(files, func(row conversation) error {
		n := len(row.Messages)
		if n < 2 || row.Messages[n-1].Role != "assistant" {
			return errors.New("field messages: the last of at least two messages must be the assistant's")
		}
		e, err := format.Encode(row.Messages[:n-1], row.Messages[n-1].Content, true)
		if err != nil {
			return err
		}
		s := batch.Sequence{IDs: append(append([]int32{}, e.PromptIDs...), e.TextIDs...), Prompt: len(e.PromptIDs)}
		if len(s.IDs) > maxLength {
			s.IDs = s.IDs[:maxLength]
		}
		if s.Prompt < 1 || s.Answers() < 1 {
			dropped++
			return nil
		}
		out = append(out, s)
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("reading training data: %v hold no conversation of at most %d tokens", files, maxLength)
	}
	return out, dropped, err
}
