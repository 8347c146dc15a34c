package schemas

import (
	"fmt"
	"math"
	"unicode/utf8"
)

// Fault is one broken invariant of one row: which column holds which value, and what is allowed there.
type Fault struct {
	// Record is the record's name, such as generation.
	Record string
	// ID is the row's prompt id, as it stands in the row.
	ID string
	// Column is the Parquet column, with the index of the entry where it is a list: counts[3].
	Column string
	// Value is what was found, shortened.
	Value string
	// Want is what is allowed.
	Want string
}

// Error says record, id, column, value and allowed range in one line.
func (f *Fault) Error() string {
	return fmt.Sprintf("%s %q: %s is %s, want %s", f.Record, f.ID, f.Column, f.Value, f.Want)
}

// check collects the first fault of one row; later calls do nothing.
type check struct {
	record, id string
	fault      *Fault
}

// err returns the first fault, or a nil error.
func (c *check) err() error {
	if c.fault == nil {
		return nil
	}
	return c.fault
}

// words is a value that is shown without quotes.
type words string

// that records a fault unless ok.
func (c *check) that(ok bool, column string, value any, want string) bool {
	if ok || c.fault != nil {
		return ok
	}
	shown := fmt.Sprintf("%v", value)
	if s, isString := value.(string); isString {
		shown = fmt.Sprintf("%q", s)
	}
	const limit = 80
	if len(shown) > limit {
		shown = shown[:limit] + "…"
	}
	c.fault = &Fault{Record: c.record, ID: c.id, Column: column, Value: shown, Want: want}
	return false
}

// at is that for entry i of a list column. Where every entry of a large list is checked, the condition stands in an if
// around the call, since the arguments cost more than the comparison.
func (c *check) at(ok bool, column string, i int, value any, want string) bool {
	if ok || c.fault != nil {
		return ok
	}
	return c.that(false, fmt.Sprintf("%s[%d]", column, i), value, want)
}

// promptID demands 32 lower-case hex digits.
func (c *check) promptID(id string) bool {
	return c.that(validID(id), "id", id, "32 lower-case hex digits")
}

// name demands a non-empty string.
func (c *check) name(column, value string) bool {
	return c.that(value != "", column, value, "a name, not empty")
}

// text demands UTF-8, which a Parquet string column promises its readers.
func (c *check) text(column, value string) bool {
	return c.that(utf8.ValidString(value), column, value, "valid UTF-8")
}

// mode demands one of the two modes of advantage.
func (c *check) mode(mode string) bool {
	return c.that(mode == ModeInference || mode == ModeTraining, "mode", mode, ModeInference+" or "+ModeTraining)
}

// finite demands a number that is neither NaN nor infinite.
func (c *check) finite(column string, x float64) bool {
	return c.that(!math.IsNaN(x) && !math.IsInf(x, 0), column, x, "a finite number")
}

// notNegative demands a finite number of at least 0.
func (c *check) notNegative(column string, x float64) bool {
	return c.that(x >= 0 && !math.IsInf(x, 1), column, x, "a finite number, 0 or more")
}

// ids demands vocabulary ids of at least 0.
func (c *check) ids(column string, ids []int32) bool {
	for i, id := range ids {
		if id < 0 {
			return c.at(false, column, i, id, "a vocabulary id, 0 or more")
		}
	}
	return true
}

// length demands n entries.
func (c *check) length(column string, got, n int, of string) bool {
	if got == n {
		return true
	}
	return c.that(false, column, words(fmt.Sprintf("a list of %d", got)), fmt.Sprintf("%d entries, as %s", n, of))
}

func validID(id string) bool {
	if len(id) != idDigits {
		return false
	}
	for i := range len(id) {
		if b := id[i]; (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return false
		}
	}
	return true
}
