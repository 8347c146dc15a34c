package source

import (
	"errors"

	"github.com/profuser/profuser/schemas"
)

// TurnsEach makes one prompt of every user turn; TurnsLast, the default, one of the last with all before it.
const (
	TurnsLast = "last"
	TurnsEach = "each"
)

// entry is one prompt to be, or a fault in its place.
type entry struct {
	prompt schemas.Prompt
	// turn numbers the prompts of one row from 0.
	turn  int
	fault *fault
}

// entries returns the prompts of one line: one with TurnsLast, one for each user turn with TurnsEach. A line with a
// fault gives one entry with it.
func entries(line []byte, columns Columns, turns string) []entry {
	r, bad := parseRow(line, columns)
	if bad != nil {
		return []entry{{fault: bad}}
	}
	messages := r.messages
	if n := len(messages); n > 0 && messages[n-1].Role == schemas.RoleAssistant {
		if r.reference != nil {
			return []entry{{fault: &fault{CodeReference, columns.Reference, "given twice: as a column and as a trailing assistant turn"}}}
		}
		r.reference = &messages[n-1].Content
		messages = messages[:n-1]
	}
	if turns != TurnsEach {
		return []entry{newEntry(r, messages, r.reference, 0)}
	}
	var all []entry
	for i, m := range messages {
		if m.Role != schemas.RoleUser && i < len(messages)-1 {
			continue
		}
		reference := r.reference
		if i < len(messages)-1 {
			reference = nil
			if next := messages[i+1]; next.Role == schemas.RoleAssistant {
				reference = &next.Content
			}
		}
		all = append(all, newEntry(r, messages[:i+1:i+1], reference, len(all)))
	}
	if all == nil {
		all = append(all, newEntry(r, messages, r.reference, 0))
	}
	return all
}

func newEntry(r row, messages []schemas.Message, reference *string, turn int) entry {
	if err := schemas.ValidateMessages(messages); err != nil {
		return entry{fault: faultOf(CodeMessages, err)}
	}
	if reference != nil && blank(*reference) {
		return entry{fault: &fault{CodeReference, "reference", "empty: want a text, or null for a prompt without reference"}}
	}
	p := schemas.Prompt{
		ID: schemas.PromptID(messages), ExternalID: r.external, Messages: messages, Reference: reference,
		SystemHash: schemas.SystemHash(messages), Tags: r.tags, Meta: r.meta,
	}
	if err := p.Validate(); err != nil {
		return entry{fault: faultOf(CodeRow, err)}
	}
	return entry{prompt: p, turn: turn}
}

// faultOf takes the column out of a schema fault.
func faultOf(code string, err error) *fault {
	var f *schemas.Fault
	if errors.As(err, &f) {
		return &fault{code, f.Column, "is " + f.Value + ", want " + f.Want}
	}
	return &fault{code, "", err.Error()}
}
