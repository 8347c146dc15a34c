package sink

import (
	"errors"
	"strings"
)

// Marks around a fault's text: a runner wraps a DoFn's error into pages of its own and gives back text only.
const (
	faultOpen  = "\u27eaprofuser: "
	faultClose = "\u27eb"
)

// Fault marks err, so that FaultText finds its text in a runner's message. A nil error stays nil.
func Fault(err error) error {
	if err == nil {
		return nil
	}
	text, _, _ := strings.Cut(err.Error(), "\n") // a panic's stack follows its first line
	return &marked{text: faultOpen + text + faultClose, err: err}
}

type marked struct {
	text string
	err  error
}

// Error is the marked text.
func (m *marked) Error() string { return m.text }

// Unwrap returns the fault.
func (m *marked) Unwrap() error { return m.err }

// FaultText finds the first marked fault in a runner's error.
func FaultText(err error) (text string, ok bool) {
	if err == nil {
		return "", false
	}
	var m *marked
	if errors.As(err, &m) {
		return m.err.Error(), true
	}
	_, rest, ok := strings.Cut(err.Error(), faultOpen)
	if !ok {
		return "", false
	}
	text, _, ok = strings.Cut(rest, faultClose)
	return text, ok
}
