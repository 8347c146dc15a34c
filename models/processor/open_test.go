package processor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOpen(t *testing.T) {
	for _, config := range []string{"", Default} {
		b, err := Open(config)
		if err != nil {
			t.Fatal(err)
		}
		b.Finalize()
	}
	for config, want := range map[string]string{
		"go":                    Default,
		"go:parallelism=4":      "may deadlock",
		"cuda":                  "cuda",
		"xla:/no/such/file.so":  "xla:/no/such/file.so",
		"xla:/no/such/file.so,": "xla:/no/such/file.so",
	} {
		if _, err := Open(config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", config, err, want)
		}
	}
	if !hasXLA {
		if _, err := Open("xla:/a.so"); err == nil || !strings.Contains(err.Error(), "make build-xla") {
			t.Errorf("XLA without XLA: error %v", err)
		}
	}
}

// TestXLA opens the plugin that XLA_PLUGIN names.
func TestXLA(t *testing.T) {
	plugin := os.Getenv("XLA_PLUGIN")
	if plugin == "" || !hasXLA {
		t.Skip("needs a build with the tag xla, and a PJRT plugin named by XLA_PLUGIN")
	}
	b, err := Open("xla:" + plugin)
	if err != nil {
		t.Fatal(err)
	}
	b.Finalize()
}

// TestAbsolute: a path becomes absolute, a name stays, a file that is not there is named.
func TestAbsolute(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("a.so", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		"xla:a.so":            "xla:" + filepath.Join(dir, "a.so"),
		"xla:./a.so,tf32=no":  "xla:" + filepath.Join(dir, "a.so") + ",tf32=no",
		"xla:cpu":             "xla:cpu",
		"xla":                 "xla",
		"go:ops_sequential":   "go:ops_sequential",
		"xla:cuda,memory=0.5": "xla:cuda,memory=0.5",
	} {
		if got, err := absolute(config); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", config, got, err, want)
		}
	}
	if _, err := absolute("xla:b.so"); err == nil || !strings.Contains(err.Error(), "b.so") {
		t.Errorf("an absent plugin: %v", err)
	}
}
