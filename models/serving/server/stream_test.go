package server

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestTelling: whatever the tokens, what is sent piece by piece is the text that is sent at once, and no piece holds a
// byte that a stop text takes back.
func TestTelling(t *testing.T) {
	letters := []byte("ab\xc3\xa4\xe2\x82\xac\xf0\x9f") // characters of one, two and three bytes, and broken ones
	rapid.Check(t, func(t *rapid.T) {
		tokens := rapid.SliceOfN(rapid.SliceOfN(rapid.SampledFrom(letters), 0, 4), 0, 12).Draw(t, "tokens")
		stops := rapid.SliceOfN(rapid.StringMatching(`[abä€]{1,4}`), 0, 3).Draw(t, "stops")
		var said []byte
		var told telling
		var sent strings.Builder
		stopped := ""
		for _, token := range tokens {
			said = append(said, token...)
			at := len(said)
			for _, s := range stops { // the engine's rule: the one that begins first, on ties the longest
				if i := bytes.Index(said, []byte(s)); i >= 0 && (i < at || i == at && len(s) > len(stopped)) {
					at, stopped = i, s
				}
			}
			sent.WriteString(told.next(token, stopped, false, stops))
			if stopped != "" {
				said = said[:at]
				break
			}
		}
		sent.WriteString(told.next(nil, "", true, stops))
		if want := readable(said); sent.String() != want {
			t.Fatalf("sent %q of %q, want %q (stopped by %q)", sent.String(), tokens, want, stopped)
		}
	})
}

// TestTellingAtOnce: what can be sent is.
func TestTellingAtOnce(t *testing.T) {
	var told telling
	for _, test := range []struct{ token, want string }{
		{"Hel", "Hel"}, {"lo \xe2", "lo "}, {"\x82", ""}, {"\xac", "€"}, {" EN", " "}, {"D", ""}, {"?", "END?"},
	} {
		if got := told.next([]byte(test.token), "", false, []string{"END."}); got != test.want {
			t.Errorf("after %q: %q, want %q", test.token, got, test.want)
		}
	}
}
