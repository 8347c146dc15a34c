package schemas

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Rejected is a record that a step could not process.
type Rejected struct {
	// ID is the prompt's id, "" when the record never got one.
	ID string `parquet:"id" json:"id"`
	// Source is the model concerned, "" if none.
	Source string `parquet:"source" json:"source"`
	// Step is the step's name.
	Step string `parquet:"step" json:"step"`
	// Code is a short stable reason such as too_long.
	Code string `parquet:"code" json:"code"`
	// Message names file, line, field and reason, at most 500 bytes.
	Message string `parquet:"message" json:"message"`
	// Attempts counts the tries made.
	Attempts int32 `parquet:"attempts" json:"attempts"`
}

// Codes of prompts that are left out without a fault of theirs, outside the budget of rejects.
const (
	// CodeDuplicate: the messages came before; the first prompt stays.
	CodeDuplicate = "duplicate"
	// CodeContaminated: the prompt shares a run of words with a benchmark item.
	CodeContaminated = "contaminated"
)

// OutsideBudget says whether a code does not count as a reject of max_rejects.
func OutsideBudget(code string) bool { return code == CodeDuplicate || code == CodeContaminated }

// MaxMessageBytes is the longest message of a Rejected.
const MaxMessageBytes = 500

// Validate checks that step and code are set, the code's letters, the message's length and the attempts. The first
// fault is a *Fault.
func (r *Rejected) Validate() error {
	c := &check{record: "rejected", id: r.ID}
	c.that(r.ID == "" || validID(r.ID), "id", r.ID, "empty or 32 lower-case hex digits")
	c.text("source", r.Source)
	c.name("step", r.Step)
	c.that(validCode(r.Code), "code", r.Code, "lower-case letters, digits and underscores, not empty")
	c.text("message", r.Message)
	c.that(len(r.Message) <= MaxMessageBytes, "message", r.Message, fmt.Sprintf("at most %d bytes, has %d", MaxMessageBytes, len(r.Message)))
	c.that(r.Attempts >= 0, "attempts", r.Attempts, "0 or more")
	return c.err()
}

// ShortMessage returns the message as a Rejected may hold it: valid UTF-8, cut at a character within MaxMessageBytes.
func ShortMessage(message string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	if len(message) <= MaxMessageBytes {
		return message
	}
	const mark = "…"
	end := MaxMessageBytes - len(mark)
	for !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + mark
}

func validCode(code string) bool {
	for i := range len(code) {
		if b := code[i]; (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' {
			return false
		}
	}
	return code != ""
}
