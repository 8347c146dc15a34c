package serving

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/verdict"
	"github.com/profuser/profuser/models/serving/transport"
)

// Codes of rows that a server could not do.
const (
	// CodeTooLong: the server's count of tokens exceeds its context.
	CodeTooLong = "too_long"
	// CodeUnanswered: no answer in spite of all attempts: lost connections, time limits, 429, 5xx, a dead server.
	CodeUnanswered = "unanswered"
	// CodeBadReply: replies that are damaged or contradict themselves, in all attempts.
	CodeBadReply = "bad_reply"
	// CodeRefused: the server refuses this request, such as a content filter does.
	CodeRefused = "refused"
	// CodeNoVerdict: the judge wrote no verdict.
	CodeNoVerdict = "no_verdict"
)

// RowError is the end of one request that says nothing about the others: its row is rejected and the run goes on.
// Every other error of a Model means that no row can be done as things are.
type RowError struct {
	// Code is one of the codes above.
	Code string
	// Attempts is how often the request was sent.
	Attempts int

	err error
}

// Error is the cause's text.
func (e *RowError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e *RowError) Unwrap() error { return e.err }

// Reject is the code and the attempts, as a step's rejects have them.
func (e *RowError) Reject() (code string, attempts int) { return e.Code, e.Attempts }

// unfit marks an error as one of the server or of the configuration, whatever its cause.
type unfit struct{ error }

// Unwrap returns the cause.
func (u unfit) Unwrap() error { return u.error }

// failed is the error of an operation. Here, and nowhere else, it is decided whether an error is a RowError: it is when
// the request's length, the attempts' end, the replies or a refusal of this one request are the cause. A key that is
// refused, a model or a route that is not there, a server that is unfit, a closed connection are not, and neither is a
// failure after MaxFailures others.
func (m *Model) failed(doing string, err error) error {
	row := &RowError{err: err}
	var failure *transport.Failure
	if errors.As(err, &failure) {
		row.Attempts = failure.Attempt
	}
	var not unfit
	switch {
	case errors.As(err, &not):
	case errors.Is(err, ErrTooLong):
		row.Code = CodeTooLong
	case failure == nil:
	case errors.Is(err, verdict.ErrNone):
		row.Code = CodeNoVerdict
	case failure.Reason == transport.Unanswered:
		row.Code = CodeUnanswered
	case failure.Reason == transport.Damaged:
		row.Code = CodeBadReply
	case failure.Reason == transport.Refused && slices.Contains(ofOneRequest, statusOf(err)):
		row.Code = CodeRefused
	}
	switch most := m.options.MaxFailures; {
	case row.Code == "":
	case row.Code != CodeTooLong && m.failures.Add(1) > most && most > 0:
		err = fmt.Errorf("more than %d requests have failed, so the others are not sent: %w", most, err)
	default:
		err = row
	}
	return fmt.Errorf("%s with %s: %w", doing, m.options.Name, err)
}

// ofOneRequest are the statuses with which servers refuse what a request says.
var ofOneRequest = []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity}

// statusOf is the HTTP status of a refusal, 0 for other errors.
func statusOf(err error) int {
	var status *transport.StatusError
	if errors.As(err, &status) {
		return status.Status
	}
	return 0
}

// refusal says whether an error is the server's answer to a question that it does not understand, rather than a fault
// on the way.
func refusal(err error) bool {
	switch code := statusOf(err); {
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusRequestTimeout, code == http.StatusTooManyRequests:
		return false
	case code >= 400 && code < 500, code == http.StatusNotImplemented:
		return true
	}
	var other *otherReply
	return errors.As(err, &other)
}

// otherReply is a reply that a server gave to another question than ours.
type otherReply struct{ error }

// Unwrap keeps transport from asking again.
func (e *otherReply) Unwrap() []error { return []error{e.error, transport.ErrFinal} }

// explain adds what to do to the faults that servers describe in their own words: vLLM and SGLang ("context length"),
// llama.cpp ("context size"), text-embeddings-inference ("must have less than", with status 413).
func explain(err error) error {
	var status *transport.StatusError
	if !errors.As(err, &status) || !slices.Contains(ofOneRequest, status.Status) {
		return err
	}
	says := func(s string) bool { return strings.Contains(status.Message, s) }
	switch {
	case says("context length"), says("context size"), says("must have less than"):
		return fmt.Errorf("%w: %w", ErrTooLong, err)
	case says("greater than max allowed"):
		return unfit{fmt.Errorf("truncate.top_k is more than the server allows; start it with a larger --max-logprobs or lower truncate.top_k: %w", err)}
	}
	return err
}
