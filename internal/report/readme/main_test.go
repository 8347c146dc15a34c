package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	summary = `{"models":[{"name":"target","role":"target","nats_per_byte":0.5,"accuracy":0.25,"by_skill":{"b":0,"a":0.5}},
		{"name":"fused","role":"fused","nats_per_byte":0.25,"accuracy":0.75,"by_skill":{"b":1,"a":0.5}}],
		"steps":[{"step":"ingest","seconds":1.25,"peak_bytes":2097152,"rows":4},{"step":"train","seconds":2.5,"peak_bytes":1048576,"rows":8}],"items":4}`
	page = "# P\n<!-- demo: result -->\nold\n<!-- end -->\nbetween\n<!-- demo: life -->\n<!-- end -->\nlast\n"
	want = `# P
<!-- demo: result -->

| model | role | nats per byte | accuracy | a | b |
|---|---|---|---|---|---|
| target | target | 0.5000 | 0.250 | 0.50 | 0.00 |
| fused | fused | 0.2500 | 0.750 | 0.50 | 1.00 |

| step | seconds | peak memory | rows read |
|---|---|---|---|
| ingest | 1.2 | 2 MiB | 4 |
| train | 2.5 | 1 MiB | 8 |
| all | 3.8 | | |

<!-- end -->
between
<!-- demo: life -->

prompts/

    id  7

<!-- end -->
last
`
)

// write makes a file below dir.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "summary.json", summary)
	write(t, dir, "life-of-a-prompt.md", "# The life of one prompt\n\nprompts/\n\n    id  7\n")
	write(t, dir, "steps/train.json", `{"step":"train","started":"2026-11-25T22:40:07Z"}`)
	file := write(t, dir, "README.md", page)
	var stderr strings.Builder
	for range 2 { // a second time changes nothing
		if status := run([]string{"-run", dir, "-readme", file}, &stderr); status != 0 {
			t.Fatalf("status %d: %s", status, stderr.String())
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		machine := strings.Index(string(got), "Made by")
		end := machine + strings.Index(string(got)[machine:], "\n\n") + 2
		if line := string(got)[machine:end]; !strings.Contains(line, "on 2026-11-25, ") || !strings.Contains(line, "4 held-out items") {
			t.Errorf("machine line %q", line)
		}
		if diff := cmp.Diff(want, string(got)[:machine]+string(got)[end:]); diff != "" {
			t.Errorf("page (-want +got):\n%s", diff)
		}
	}
}

func TestRunRefuses(t *testing.T) {
	dir := t.TempDir()
	file := write(t, dir, "README.md", "no marks\n")
	refuses := func(status int, text string, args ...string) {
		t.Helper()
		var stderr strings.Builder
		if got := run(args, &stderr); got != status || !strings.Contains(stderr.String(), text) {
			t.Errorf("%v: status %d, want %d; %s", args, got, status, stderr.String())
		}
	}
	refuses(2, "bake", "-bake")
	refuses(1, "make demo makes it", "-run", dir, "-readme", file)
	write(t, dir, "life-of-a-prompt.md", "# The life of one prompt\n\nprompts/\n")
	write(t, dir, "summary.json", "{")
	refuses(1, "summary.json", "-run", dir, "-readme", file)
	write(t, dir, "summary.json", "{}")
	write(t, dir, "steps/train.json", "{}")
	refuses(1, "not finished", "-run", dir, "-readme", file)
	write(t, dir, "summary.json", summary)
	refuses(1, `no block between "<!-- demo: life -->"`, "-run", dir, "-readme", file)
}

// TestReadme: the repository's page has the marks.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"life", "result"} {
		if _, err := replace(page, name, nil); err != nil {
			t.Error(err)
		}
	}
}
