// Package invented makes datasets of a run that never was, so that what reads whole runs can be tested and measured at any
// size without models.
//
// Flow in: how many prompts, sources and reward models, a text for each message, reference and answer, and a seed; flow out:
// the committed datasets of the steps ingest to fuse and of evaluate, valid row by row, in a store.
//
// Scores, cross-entropies and distributions are drawn at random, so nothing may be concluded from them; sources' own
// distributions are left out, since what is made here is read by people and not aligned again. It is part of no command.
package invented
