// Package processor owns what computes: the configuration string of a GoMLX backend becomes a backend of this binary.
//
// Every binary has the Go backend. One built with the tag xla, which needs cgo (make build-xla), has XLA too, on a
// processor or a GPU, through a PJRT plugin that is loaded at run time. The packages models/engine and trainer/loop build
// the same graphs on all of them.
package processor
