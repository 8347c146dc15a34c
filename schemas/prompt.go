package schemas

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
