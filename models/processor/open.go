package processor

import (
	"fmt"
	"os"
	"path/filepath"
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
	full, err := absolute(config)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w; profuser-trainer doctor lists the plugins that can be opened by name", config, err)
	}
	b, err := open(full)
	if err != nil {
		return nil, fmt.Errorf("backend %q: %w", config, err)
	}
	return b, nil
}

// open turns a panic into an error: go-xla panics over a plugin that is no library.
func open(config string) (b compute.Backend, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("loading it failed: %v", r)
		}
	}()
	return compute.NewWithConfig(config)
}

// absolute makes the path of a plugin absolute; go-xla takes any other for a name.
func absolute(config string) (string, error) {
	name, plugin, _ := strings.Cut(config, ":")
	path, options, found := strings.Cut(plugin, ",")
	if name != "xla" || !strings.ContainsRune(path, filepath.Separator) && filepath.Ext(path) == "" {
		return config, nil
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("the plugin is not there: %w", err)
	}
	if found {
		path += "," + options
	}
	return name + ":" + path, nil
}
