package source

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/profuser/profuser/schemas"
)

// Columns names the keys of an input row.
type Columns struct {
	// Messages holds a list of {role, content}, or a string, which is one user turn. A row without it may have
	// conversations, a list of {from, value} as ShareGPT writes them.
	Messages string
	// Reference holds the reference answer, a string or null.
	Reference string
	// ExternalID holds the row's own id, a string or a number.
	ExternalID string
	// Tags holds a string or a list of strings.
	Tags string
}

// conversationsColumn is ShareGPT's name of the messages.
const conversationsColumn = "conversations"

// Codes of rejects, besides schemas.CodeDuplicate.
const (
	// CodeJSON: the line is no JSON object, or a value has the wrong type.
	CodeJSON = "malformed_json"
	// CodeUTF8: the line holds bytes that are not UTF-8.
	CodeUTF8 = "not_utf8"
	// CodeMessages: the messages are no conversation that ends with a user turn.
	CodeMessages = "bad_messages"
	// CodeReference: the reference is empty, or given twice.
	CodeReference = "bad_reference"
	// CodeRow: another value is not what a prompt allows.
	CodeRow = "bad_row"
	// CodeConflict: an earlier row with the same external id has other messages.
	CodeConflict = "conflicting_id"
)

// fault is what is wrong with one row.
type fault struct {
	code, field, reason string
}

func (f *fault) Error() string {
	if f.field == "" {
		return f.reason
	}
	return f.field + ": " + f.reason
}

// row is one input row, taken apart.
type row struct {
	messages  []schemas.Message
	reference *string
	external  string
	tags      []string
	meta      string
}

// parseRow takes one line apart.
func parseRow(line []byte, columns Columns) (row, *fault) {
	var values map[string]json.RawMessage
	if err := json.Unmarshal(line, &values); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return row{}, &fault{CodeJSON, "", fmt.Sprintf("malformed JSON at byte %d: %v", syntax.Offset, err)}
		}
		return row{}, &fault{CodeJSON, "", "want a JSON object: " + err.Error()}
	}
	if values == nil {
		return row{}, &fault{CodeJSON, "", "want a JSON object, found null"}
	}
	for key, value := range values {
		if !utf8.Valid(value) {
			return row{}, &fault{CodeUTF8, key, fmt.Sprintf("bytes that are not UTF-8, the first at byte %d of the value", firstInvalid(value))}
		}
	}
	if !utf8.Valid(line) {
		return row{}, &fault{CodeUTF8, "", "a key with bytes that are not UTF-8"}
	}
	var r row
	var bad *fault
	if r.messages, bad = parseMessages(values, columns.Messages); bad != nil {
		return r, bad
	}
	if bad = parseText(values, columns.Reference, &r.reference); bad != nil {
		return r, bad
	}
	if r.external, bad = parseID(values, columns.ExternalID); bad != nil {
		return r, bad
	}
	if r.tags, bad = parseTags(values, columns.Tags); bad != nil {
		return r, bad
	}
	if len(values) > 0 {
		meta, err := json.Marshal(values)
		if err != nil {
			return r, &fault{CodeJSON, "", err.Error()}
		}
		r.meta = string(meta)
	}
	return r, nil
}

func firstInvalid(data []byte) int {
	i := 0
	for i < len(data) {
		r, size := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError && size == 1 {
			break
		}
		i += size
	}
	return i
}

// take removes a column from the values; null is the same as absent.
func take(values map[string]json.RawMessage, column string) (json.RawMessage, bool) {
	value, ok := values[column]
	delete(values, column)
	return value, ok && column != "" && !bytes.Equal(bytes.TrimSpace(value), []byte("null"))
}

// parseMessages reads the conversation in any of its three forms.
func parseMessages(values map[string]json.RawMessage, column string) ([]schemas.Message, *fault) {
	value, ok := take(values, column)
	if !ok {
		column = conversationsColumn
		if value, ok = take(values, column); !ok {
			return nil, &fault{CodeMessages, "messages", "missing: no column of messages and no conversations"}
		}
	}
	var question string
	if json.Unmarshal(value, &question) == nil {
		return []schemas.Message{{Role: schemas.RoleUser, Content: question}}, nil
	}
	var turns []struct {
		Role, Content, From, Value *string
	}
	if err := json.Unmarshal(value, &turns); err != nil {
		return nil, &fault{CodeJSON, column, "want a list of {role, content}: " + err.Error()}
	}
	messages := make([]schemas.Message, len(turns))
	for i, turn := range turns {
		role, content := turn.Role, turn.Content
		if role == nil && content == nil {
			role, content = turn.From, turn.Value
		}
		if role == nil || content == nil {
			return nil, &fault{CodeMessages, fmt.Sprintf("%s[%d]", column, i), "role or content is missing"}
		}
		messages[i] = schemas.Message{Role: roleOf(*role), Content: *content}
	}
	return messages, nil
}

// roleOf translates ShareGPT's roles; others stay, to be refused by name.
func roleOf(role string) string {
	switch role {
	case "human":
		return schemas.RoleUser
	case "gpt":
		return schemas.RoleAssistant
	}
	return role
}

func parseText(values map[string]json.RawMessage, column string, text **string) *fault {
	value, ok := take(values, column)
	if !ok {
		return nil
	}
	if err := json.Unmarshal(value, text); err != nil {
		return &fault{CodeJSON, column, "want a string or null: " + err.Error()}
	}
	return nil
}

func parseID(values map[string]json.RawMessage, column string) (string, *fault) {
	value, ok := take(values, column)
	if !ok {
		return "", nil
	}
	var text string
	if json.Unmarshal(value, &text) == nil {
		return text, nil
	}
	var number json.Number
	if err := json.Unmarshal(value, &number); err != nil {
		return "", &fault{CodeJSON, column, "want a string or a number: " + err.Error()}
	}
	return number.String(), nil
}

func parseTags(values map[string]json.RawMessage, column string) ([]string, *fault) {
	value, ok := take(values, column)
	if !ok {
		return nil, nil
	}
	var tag string
	if json.Unmarshal(value, &tag) == nil {
		return []string{tag}, nil
	}
	var tags []string
	if err := json.Unmarshal(value, &tags); err != nil {
		return nil, &fault{CodeJSON, column, "want a string or a list of strings: " + err.Error()}
	}
	return tags, nil
}

// blank is true for a text of white space only.
func blank(text string) bool { return strings.TrimSpace(text) == "" }
