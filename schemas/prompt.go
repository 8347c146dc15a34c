package schemas

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"
)

// Message is one turn of a conversation.
type Message struct {
	// Role is system (first only), user or assistant.
	Role string `parquet:"role" json:"role"`
	// Content is the turn's text, UTF-8.
	Content string `parquet:"content" json:"content"`
}

// Prompt is one conversation up to and including the last user turn, with its reference.
type Prompt struct {
	// ID is PromptID(Messages): 32 hex digits.
	ID string `parquet:"id"`
	// ExternalID is the input row's own id, or "".
	ExternalID string `parquet:"external_id"`
	// Messages ends with a user turn.
	Messages []Message `parquet:"messages,list"`
	// Reference is the ground-truth answer; nil when the prompt has none (inference mode only).
	Reference *string `parquet:"reference,optional"`
	// SystemHash is the id of the system message alone, "" without one; for grouping.
	SystemHash string `parquet:"system_hash"`
	// Tags are the input row's labels, such as its skill.
	Tags []string `parquet:"tags,list"`
	// Meta is the rest of the input row as JSON, passed through.
	Meta string `parquet:"meta"`
}

// Validate checks roles and their order, the ids that follow from the messages, UTF-8, and that a reference is absent
// or not empty. The first fault is a *Fault.
func (p *Prompt) Validate() error {
	c := &check{record: "prompt", id: p.ID}
	c.messages(p.Messages)
	c.that(p.ID == PromptID(p.Messages), "id", p.ID, "the id of its messages, "+PromptID(p.Messages))
	c.that(p.SystemHash == SystemHash(p.Messages), "system_hash", p.SystemHash, fmt.Sprintf("%q, the id of the system message", SystemHash(p.Messages)))
	c.text("external_id", p.ExternalID)
	if p.Reference != nil {
		c.that(*p.Reference != "", "reference", *p.Reference, "null or a text that is not empty")
		c.text("reference", *p.Reference)
	}
	for i, tag := range p.Tags {
		c.at(tag != "" && utf8.ValidString(tag), "tags", i, tag, "valid UTF-8, not empty")
	}
	c.that(p.Meta == "" || json.Valid([]byte(p.Meta)), "meta", p.Meta, "empty or JSON")
	return c.err()
}

// ValidateMessages checks what a prompt's messages must be: a system message first if at all, then user and assistant
// in turn, a user turn last, every content UTF-8 and not empty. The first fault is a *Fault.
func ValidateMessages(messages []Message) error {
	c := &check{record: "prompt"}
	c.messages(messages)
	return c.err()
}

func (c *check) messages(messages []Message) {
	if !c.that(len(messages) > 0, "messages", words("empty"), "at least one user turn") {
		return
	}
	turns, offset := messages, 0
	if messages[0].Role == RoleSystem {
		turns, offset = messages[1:], 1
	}
	for i, m := range turns {
		want := RoleUser
		if i%2 == 1 {
			want = RoleAssistant
		}
		column := fmt.Sprintf("messages[%d].role", i+offset)
		if !c.that(m.Role == want, column, m.Role, want+" (system only first, then user and assistant in turn)") {
			return
		}
	}
	for i, m := range messages {
		column := fmt.Sprintf("messages[%d].content", i)
		c.that(m.Content != "", column, m.Content, "a text that is not empty")
		c.text(column, m.Content)
	}
	last := messages[len(messages)-1].Role
	c.that(last == RoleUser, fmt.Sprintf("messages[%d].role", len(messages)-1), last, "user: a prompt ends with a user turn")
}
