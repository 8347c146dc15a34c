// Package backend is the small interface that every implementation of a tokenizer.json has, so that one can stand for
// another and be measured against it.
//
// In: a text, or ids. Out: ids, or a text, or an error: libraries fail on some of them. Package tokenizer is the
// implementation that everything here uses; package sugarme is another, for the kinds that it gets right.
//
// What only ours has (spans, bytes of tokens, contents that are quoted) is no part of the interface.
package backend

import "github.com/profuser/profuser/models/tokenizer"

// Backend is one implementation with one vocabulary. It may be used by many goroutines at once.
type Backend interface {
	// Encode gives the ids of a text without those that a post-processor adds; special strings become special tokens.
	Encode(text string) ([]int32, error)
	// Decode gives the text of ids, without special tokens if skipSpecial.
	Decode(ids []int32, skipSpecial bool) (string, error)
}

// Own is the tokenizer of package tokenizer, which never fails.
type Own struct{ Tokenizer *tokenizer.Tokenizer }

// Encode is the tokenizer's.
func (o Own) Encode(text string) ([]int32, error) { return o.Tokenizer.Encode(text), nil }

// Decode is the tokenizer's.
func (o Own) Decode(ids []int32, skipSpecial bool) (string, error) {
	return o.Tokenizer.Decode(ids, skipSpecial), nil
}
