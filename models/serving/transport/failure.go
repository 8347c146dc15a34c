package transport

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// ErrClosed means that the pool was closed.
var ErrClosed = errors.New("connection to the model is closed")

// ErrFinal is in the chain of a check's error when the same question would bring the same answer.
var ErrFinal = errors.New("final")

// Reason says what the last attempt of a request met.
type Reason string

// The reasons.
const (
	// Unanswered: a lost connection, the time limit, status 408, 424, 429 or 5xx, or every URL left alone.
	Unanswered Reason = "unanswered"
	// Damaged: a reply that does not pass its check, or is too large.
	Damaged Reason = "damaged"
	// Refused: another status that is no success.
	Refused Reason = "refused"
	// Ended: the caller gave up, or the pool was closed.
	Ended Reason = "ended"
)

// Failure is a request that ended without a good reply.
type Failure struct {
	// Method and Path are the request's, ID is the X-Request-Id that it was sent with.
	Method, Path, ID string
	// Attempt is the last attempt's number, from 1; Attempts is how many there may be.
	Attempt, Attempts int
	// Reason is why the last attempt failed.
	Reason Reason

	err error
}

// Error names request, attempts and cause.
func (f *Failure) Error() string {
	return fmt.Sprintf("%s %s (request %s, attempt %d of %d): %v", f.Method, f.Path, f.ID, f.Attempt, f.Attempts, f.err)
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.err }

// StatusError is a reply that says no, by its status.
type StatusError struct {
	// Status is the HTTP status.
	Status int
	// Message is the server's own explanation, shortened.
	Message string
}

// Error implements error.
func (e *StatusError) Error() string { return fmt.Sprintf("status %d: %s", e.Status, e.Message) }

// retryAfter reads seconds or a date; 0 without one.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n > 0 && n < 1e6 {
		return time.Duration(n * float64(time.Second))
	}
	if t, err := http.ParseTime(s); err == nil {
		return max(0, t.Sub(now))
	}
	return 0
}

// explanation is the message of an error reply: the error's own field where there is one, else the beginning of the
// body.
func explanation(reply []byte) string {
	var body struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	s := string(reply)
	if json.Unmarshal(reply, &body) == nil {
		var inner struct {
			Message string `json:"message"`
		}
		var text string
		switch {
		case json.Unmarshal(body.Error, &inner) == nil && inner.Message != "":
			s = inner.Message
		case json.Unmarshal(body.Error, &text) == nil && text != "":
			s = text
		case body.Message != "":
			s = body.Message
		case len(body.Detail) > 0:
			s = strings.Trim(string(body.Detail), `"`)
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		for s = s[:300]; !utf8.ValidString(s); {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	if s == "" {
		return "no explanation"
	}
	return s
}
