// Package lint holds the house rules that a machine can check, as tests.
//
// In: the source tree, read with go/parser and `go list`; out: test failures whose messages name the file, the rule and
// the remedy. Layers (who may import whom), sizes of files, functions and packages, package comments, documented names,
// forbidden calls and names, machine paths, large files, and the list of modules that each binary links.
//
// Formatting, vet and staticcheck are tools of their own, pinned in tools.mod and run by `make lint`; matters of taste
// are for people. Run with -update to rewrite the golden module lists after a deliberate change.
package lint
