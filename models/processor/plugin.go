package processor

import (
	"strings"

	"github.com/gomlx/compute"
)

// Vector says whether this binary was built with GOEXPERIMENT=simd, which makes the Go backend's products about twenty
// times as fast on processors that have the instructions.
const Vector = vector

// XLA says whether this binary has the XLA backend.
const XLA = hasXLA

// Plugin is what a PJRT plugin says of itself.
type Plugin struct {
	// Path of the shared library.
	Path string
	// Major and Minor are the version of the PJRT interface that it speaks, HeaderMajor and HeaderMinor that which this
	// binary was compiled for.
	Major, Minor, HeaderMajor, HeaderMinor int
}

// PluginOf describes the plugin behind a backend that Open made; ok is false for the Go backend.
func PluginOf(b compute.Backend) (p Plugin, ok bool) { return pluginOf(b) }

// OnHost says whether a backend computes on the processors of this machine: the Go backend, and a plugin whose path has
// "cpu" in it, as go-xla itself tells them.
func OnHost(b compute.Backend) bool {
	p, ok := PluginOf(b)
	return !ok || strings.Contains(strings.ToLower(p.Path), "cpu")
}

// Plugins are the names by which plugins can be opened, xla:NAME, without their path: files named
// pjrt_c_api_NAME_plugin.so under PJRT_PLUGIN_LIBRARY_PATH, or else in go-xla's and the system's folders of libraries.
func Plugins() []string { return plugins() }
