package schemas

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"strings"
)

// idDigits is the length of a prompt id in hex digits: half of a SHA-256.
const idDigits = 32

// Roles of a message.
const (
	RoleSystem    = "system"
	RoleUser      = "user"
	RoleAssistant = "assistant"
)

// PromptID returns the first 32 hex digits of the SHA-256 over role, 0x1F, content, 0x1E of each message, with CRLF
// read as LF and nothing else normalised. Equal conversations have equal ids on every machine.
func PromptID(messages []Message) string {
	h := sha256.New()
	for _, m := range messages {
		for _, s := range []string{m.Role, "\x1f", m.Content, "\x1e"} {
			_, _ = io.WriteString(h, strings.ReplaceAll(s, "\r\n", "\n")) // a hash never fails
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:idDigits]
}

// SystemHash returns the PromptID of the system message alone, "" when the first message is none. It groups prompts
// by system message.
func SystemHash(messages []Message) string {
	if len(messages) == 0 || messages[0].Role != RoleSystem {
		return ""
	}
	return PromptID(messages[:1])
}
