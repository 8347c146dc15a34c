package imported

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"

	"github.com/profuser/profuser/schemas"
)

// row is one line of a file. Numbers and texts that are absent are nil or "".
type row struct {
	// ID is the prompt's id, or the external id that its input row had.
	ID any `json:"id"`
	// Messages are the prompt's, instead of an id: a list of {role, content} or one user turn's text. A trailing assistant
	// turn is the response.
	Messages json.RawMessage `json:"messages"`
	// Source wrote the response that is scored.
	Source string `json:"source"`
	// Sample numbers the response; without it a prompt's rows are numbered as they come.
	Sample *int32 `json:"sample"`
	// Text is the response.
	Text *string `json:"text"`
	// FinishReason is stop, which is the default, or length.
	FinishReason string `json:"finish_reason"`
	// Temperature, TopP and Seed say how it was drawn.
	Temperature float64  `json:"temperature"`
	TopP        *float64 `json:"top_p"`
	Seed        int64    `json:"seed"`
	// PromptTokens and the lists are the columns of generations/ with the same names; all lists or none.
	PromptTokens  int32     `json:"prompt_tokens"`
	TokenIDs      []int32   `json:"token_ids"`
	TokenLogProbs []float32 `json:"token_logprobs"`
	TextRank      []int32   `json:"text_rank"`
	Counts        []int32   `json:"counts"`
	IDs           []int32   `json:"ids"`
	LogProbs      []float32 `json:"logprobs"`
	StartBytes    []int32   `json:"start_bytes"`
	// Score is a reward model's.
	Score *float64 `json:"score"`
}

var promptID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// parse takes a line apart; key names its prompt.
func parse(line []byte) (r row, key string, err error) {
	if err := json.Unmarshal(line, &r); err != nil {
		return r, "", fmt.Errorf("want a JSON object: %w", err)
	}
	messages, err := r.conversation()
	if err != nil {
		return r, "", err
	}
	switch id := r.ID.(type) {
	case string:
		if promptID.MatchString(id) {
			return r, id, nil
		} else if id != "" {
			return r, external(id), nil
		}
	case float64:
		if id == math.Trunc(id) {
			return r, external(fmt.Sprintf("%.0f", id)), nil
		}
	case nil:
	default:
		return r, "", fmt.Errorf("id: is %v, want a text or a whole number", r.ID)
	}
	if messages == nil {
		return r, "", errors.New("neither id nor messages: want one that names the prompt")
	}
	return r, schemas.PromptID(messages), nil
}

// external is the key of prompts by the id that their input row had.
func external(id string) string { return "external\x1f" + id }

// conversation reads the messages; a trailing assistant turn becomes the text.
func (r *row) conversation() ([]schemas.Message, error) {
	if len(r.Messages) == 0 || string(r.Messages) == "null" {
		return nil, nil
	}
	var text string
	if json.Unmarshal(r.Messages, &text) == nil {
		return []schemas.Message{{Role: schemas.RoleUser, Content: text}}, nil
	}
	var messages []schemas.Message
	if err := json.Unmarshal(r.Messages, &messages); err != nil {
		return nil, fmt.Errorf("messages: want a list of {role, content} or a text: %w", err)
	}
	if n := len(messages); n > 0 && messages[n-1].Role == schemas.RoleAssistant {
		if r.Text != nil {
			return nil, errors.New("text: given twice, as a field and as a trailing assistant turn")
		}
		r.Text = &messages[n-1].Content
		messages = messages[:n-1]
	}
	return messages, nil
}

// generation is a response as a row of generations/, without distributions unless the line has them.
func (r *row) generation(id, source string, sample int32) (*schemas.Generation, error) {
	if r.Text == nil {
		return nil, errors.New("text: is missing, want the response")
	}
	g := &schemas.Generation{
		ID: id, Source: source, Sample: sample, Text: *r.Text, FinishReason: r.FinishReason, PromptTokens: r.PromptTokens,
		Temperature: r.Temperature, TopP: 1, Seed: r.Seed,
		TokenDistributions: schemas.TokenDistributions{
			TokenIDs: r.TokenIDs, TokenLogProbs: r.TokenLogProbs, TextRank: r.TextRank, Counts: r.Counts, IDs: r.IDs, LogProbs: r.LogProbs, StartBytes: r.StartBytes,
		},
	}
	if g.FinishReason == "" {
		g.FinishReason = schemas.FinishStop
	}
	if r.TopP != nil {
		g.TopP = *r.TopP
	}
	return g, g.Validate()
}
