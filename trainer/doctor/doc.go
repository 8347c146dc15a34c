// Package doctor owns the report on a machine: what of it training can use, how fast it is, and what is missing.
//
// Flow in: the machine's files (/proc, /dev, the folders of libraries), environment variables, the backends built into
// this binary and those that the user names. Flow out: lines of text, each one thing found, and a numbered list of
// remedies for what is missing.
//
// Rates are measured, not looked up: a chain of matrix products of random numbers on each backend and device kind, in
// float32 and bfloat16, after a first call that compiles.
//
// Not here: choosing or opening a backend (models/processor), and what a training takes of it (trainer/loop).
package doctor
