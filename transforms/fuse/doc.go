// Package fuse owns the step in which winners are picked and their distributions become fusion examples.
//
// Flow in: part k of prompts, of every source's generations and readings, and of every reward model's scores; flow out:
// part k of selections, fusion/inference and fusion/training. The statistics that normalise scores are gathered first,
// by Statistics, and frozen in one file that all parts read.
//
// Who wins is fusion/advantage's matter, how distributions move to the target's tokens is fusion/align's, how a
// conversation becomes tokens is models/chat's; this package reads rows, asks them and writes rows.
package fuse
