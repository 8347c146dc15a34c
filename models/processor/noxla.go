//go:build !xla

package processor

const hasXLA = false
