package merge

import (
	"os"
	"strings"
	"testing"
)

// TestDocument: docs/merging.md has a row for each method, which names its parameters.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile("../../docs/merging.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range Methods() {
		_, row, ok := strings.Cut(string(b), "\n| `"+m.Name+"` |")
		if !ok {
			t.Errorf("docs/merging.md has no row of %s", m.Name)
		}
		row, _, _ = strings.Cut(row, "\n")
		for _, p := range m.Parameters {
			if !strings.Contains(row, "`"+p.Name+"`") && p.Name != "int8_mask" && !strings.Contains(row, "the same") {
				t.Errorf("docs/merging.md: the row of %s does not name %s", m.Name, p.Name)
			}
		}
	}
}
