// Package inflight owns work in flight inside one process: windows of parts that a bundle has open, calls to models,
// and the models themselves.
//
// Flow in: a DoFn hands over a part at a time (Window.Go) and, within a part, a row at a time (Rows); flow out: results
// on the bundle's own goroutine, the only place where Beam's emitters and metrics may be used. Caps are process-wide
// (Limit), because a runner splits slow bundles and a cap of each bundle would multiply. Models are opened once a
// process, at their first use, and closed after the step (Models).
//
// It is the only package of transforms that starts goroutines. It knows no records, no datasets and no Beam types.
package inflight
