package processor

import (
	"os"
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
