// Package board owns event files for TensorBoard.
//
// Flow in: named numbers and texts at a training's steps; flow out: one file a run of the program, events.out.tfevents.…,
// that TensorBoard and everything else that reads such files shows as curves. The format is TensorFlow's: a file of
// records, each with its length and two masked CRC-32C checksums, and in each a protocol buffer of type Event. Both are
// written here; there is no other dependency.
//
// A run that goes on after a checkpoint says from which step on; what earlier files have from there on is then dropped by
// the reader. A record that a kill cut short ends its file, nothing more.
//
// Not here: reading event files, histograms, images, graphs.
package board
