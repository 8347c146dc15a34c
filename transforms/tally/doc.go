// Package tally owns what a step counts while it works: rows, rejects by code, parts, tokens, calls to a model and how
// long they took.
//
// Flow in: a step counts on any goroutine; flow out: Drain hands what is new to whoever reports it, such as the bundle
// that increments Beam's counters. Every count is a counter that only grows, latencies included (a counter for each
// bucket), because counters are what every runner reports while a job runs and adds up over workers: calls in flight are
// those begun less those ended. The latest rejects of this process are kept besides, for its status page.
//
// It reads the clock for latencies and for nothing else; no row depends on it. It knows no Beam and no datasets.
package tally
