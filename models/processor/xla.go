//go:build xla

package processor

import "github.com/gomlx/go-xla/compute/xla"

const hasXLA = true

// A plugin is the user's to install: none is fetched from the network behind their back.
func init() { xla.EnableAutoInstall(false) }
