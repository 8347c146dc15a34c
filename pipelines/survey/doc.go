// Package survey owns the asking that a plan needs: it reads a sample of the prompts, counts tokens with every model's
// tokenizer, looks at the datasets of earlier runs, makes a small run, and checks preconditions.
//
// Flow in: a configuration; flow out: what package plan takes (Survey, Measured) and a list of checks. A small run
// (Probe) is the run itself on a few prompts, in a folder of its own that is removed afterwards: whatever it measures,
// the real run does the same way. A writable store is found out by writing an object and removing it.
//
// It estimates nothing: that is package plan's matter, which knows no Beam and no files.
package survey
