// Package sink owns how a step's parts come to be: the one DoFn that every step after ingest shares.
//
// Flow in: part numbers (Numbers), reshuffled; they are the only elements. For each number the DoFn looks whether the
// part's files are there, lets the Step make them in memory otherwise, and creates each in one write, only if absent:
// an attempt that was repeated finds the other's file and is done. Flow out: a small Done for each part, grouped into
// Commit, which writes the manifest.
//
// It holds several parts at once (inflight.Window) and reports rows, rejects and parts as Beam counters. What is in a
// part it does not know: a Step reads, computes and encodes.
package sink
