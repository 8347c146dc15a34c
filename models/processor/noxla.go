//go:build !xla

package processor

import "github.com/gomlx/compute"

const hasXLA = false

func pluginOf(compute.Backend) (Plugin, bool) { return Plugin{}, false }

func plugins() []string { return nil }
