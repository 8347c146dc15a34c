package processor

import (
	"fmt"
	"strings"

	"github.com/gomlx/compute"
	_ "github.com/gomlx/compute/gobackend" // the backend that needs no cgo
)

// Default runs everywhere. It runs one operation at a time: GoMLX's own default of the Go backend deadlocks.
const Default = "go:ops_sequential"

// Open makes the backend of a configuration, Default if it is "": go:ops_sequential, or xla:/path/to/plugin.so. The
// caller ends it with Finalize. An XLA plugin is read once a process and stays.
func Open(config string) (compute.Backend, error) {
	if config == "" {
		config = Default
	}
	switch name, _, _ := strings.Cut(config, ":"); {
	case config == Default, name == "xla" && hasXLA:
	case name == "xla":
		return nil, fmt.Errorf("backend %q: this binary was built without XLA; make build-xla builds bin/profuser-xla and bin/profuser-trainer-xla, which have it", config)
	case name == "go":
		return nil, fmt.Errorf("backend %q: the Go backend is used as %s; its other modes may deadlock", config, Default)
	default:
		return nil, fmt.Errorf("backend %q is not known; %s and xla:/path/to/plugin.so are", config, Default)
	}
	b, err := compute.NewWithConfig(config)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w", config, err)
	}
	return b, nil
}
