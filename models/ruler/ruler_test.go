package ruler

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rivo/uniseg"
)

var sample = []Token{
	{ID: 1, Name: "<s>"},
	{ID: 15043, Bytes: []byte(" Hello")},
	{ID: 29892, Bytes: []byte(",")},
	{ID: 3, Bytes: []byte("日本"), Marked: true},
	{ID: 240, Bytes: []byte{0xF0}, Marked: true},
	{ID: 7, Bytes: []byte("\n\t\x1b\u202e")},
}

func TestDrawBars(t *testing.T) {
	want := `|<s>|·Hello|,    |日本|\xF0|⏎⇥\x1B\u202E|
 1   15043  29892 3    240  7
                  ^^^^ ^^^^
`
	if diff := cmp.Diff(want, Draw(sample, 0, false)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestDrawBreaksLines(t *testing.T) {
	want := `|<s>|·Hello|,    |
 1   15043  29892
|日本|\xF0|
 3    240
 ^^^^ ^^^^
|⏎⇥\x1B\u202E|
 7
`
	got := Draw(sample, 18, false)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for line := range strings.Lines(got) {
		if width := uniseg.StringWidth(strings.TrimSpace(line)); width > 18 {
			t.Errorf("%q has %d columns", line, width)
		}
	}
	if got := Draw(nil, 10, true); got != "" {
		t.Errorf("no tokens: %q", got)
	}
}

// TestDrawColours: taking the escape sequences out leaves the tokens over their ids.
func TestDrawColours(t *testing.T) {
	got := Draw(sample, 0, true)
	for _, sequence := range append([]string{reset, special, faint, underline}, backgrounds...) {
		got = strings.ReplaceAll(got, sequence, "")
	}
	want := "<s> ·Hello ,     日本 \\xF0 ⏎⇥\\x1B\\u202E \n1   15043  29892 3    240  7\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
