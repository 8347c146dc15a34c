//go:build xla

package processor

import (
	"slices"

	"github.com/gomlx/compute"
	"github.com/gomlx/go-xla/compute/xla"
	"github.com/gomlx/go-xla/pjrt"
)

const hasXLA = true

// The version of pjrt_c_api.h in go-xla v0.4.5, which does not export it.
const headerMajor, headerMinor = 0, 104

// A plugin is the user's to install: none is fetched from the network behind their back.
func init() { xla.EnableAutoInstall(false) }

func pluginOf(b compute.Backend) (Plugin, bool) {
	x, ok := b.(*xla.Backend)
	if !ok {
		return Plugin{}, false
	}
	p, err := pjrt.GetPlugin(x.PluginName()) // loaded already: a look-up
	if err != nil {
		return Plugin{}, false
	}
	out := Plugin{Path: p.Path(), HeaderMajor: headerMajor, HeaderMinor: headerMinor}
	out.Major, out.Minor = p.Version()
	return out, true
}

func plugins() (names []string) {
	defer func() { _ = recover() }() // go-xla panics over a file of that name which is no library
	names = xla.GetAvailablePlugins()
	slices.Sort(names)
	return names
}
