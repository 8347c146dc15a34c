// Package sugarme puts the library github.com/sugarme/tokenizer behind the interface of package backend.
//
// In: a tokenizer.json. Out: ids and texts. Parse lets the library work by its own means only for the kinds for which
// its results were found equal to the reference implementation's; for all others our engine is the library's model, so
// that code written for the library gets right results too. ParseAny takes whatever the library loads, for measuring:
// docs/tokenizers.md has the numbers, and the command in compare makes them.
//
// The library panics on some inputs and calls log.Fatal on others: both become errors here. Nothing in ProFuser uses
// this package by itself, and the binaries do not link it.
package sugarme
