package verdict

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/profuser/profuser/schemas"
)

// ErrNone means that a judge's reply does not end with a verdict in the form that was asked for.
var ErrNone = errors.New("no verdict")

// scoreLine and compareLine are the forms that judges are asked for; emphasis, and of a score a maximum, are forgiven.
var (
	scoreLine   = regexp.MustCompile(`^\W*[Vv]erdict\W*:\W*([0-9]{1,3}(?:\.[0-9]+)?)\W*(?:(?:/|out of)\s*10\W*)?$`)
	compareLine = regexp.MustCompile(`^\W*[Vv]erdict\W*:\W*(?:[Aa]nswer )?(A|B|[Tt]ie)\W*$`)
)

// lastLine is the last line that is not empty.
func lastLine(reply string) string {
	reply = strings.TrimSpace(reply)
	return strings.TrimSpace(reply[strings.LastIndexByte(reply, '\n')+1:])
}

// ReadScore takes the number of the last line that is not empty. Anything else is an ErrNone.
func ReadScore(reply string) (float64, error) {
	last := lastLine(reply)
	match := scoreLine.FindStringSubmatch(last)
	if match == nil {
		return 0, fmt.Errorf("%w: the judge's last line is %.80q, want \"Verdict: N\"", ErrNone, last)
	}
	n, err := strconv.ParseFloat(match[1], 64)
	if err != nil || n < LowestScore || n > HighestScore {
		return 0, fmt.Errorf("%w: the judge's number is %s, want %d to %d", ErrNone, match[1], LowestScore, HighestScore)
	}
	return n, nil
}

// ReadComparison takes the preference of the last line that is not empty: schemas.WinnerFirst for A,
// schemas.WinnerSecond for B, schemas.WinnerTie. Anything else is an ErrNone.
func ReadComparison(reply string) (winner string, err error) {
	last := lastLine(reply)
	match := compareLine.FindStringSubmatch(last)
	if match == nil {
		return "", fmt.Errorf("%w: the judge's last line is %.80q, want \"Verdict: A\", \"Verdict: B\" or \"Verdict: tie\"", ErrNone, last)
	}
	switch match[1] {
	case "A":
		return schemas.WinnerFirst, nil
	case "B":
		return schemas.WinnerSecond, nil
	}
	return schemas.WinnerTie, nil
}
