// Package ruler draws one tokenisation for a person at a terminal: the tokens side by side, their ids below.
//
// In: tokens with their ids and bytes, the columns of a line, and whether colours are wanted. Out: text. With colours
// neighbouring tokens have different backgrounds; without, bars stand between them:
//
//	|<s>|·Hello|,|·world|⏎ |
//	 1   15043  29 3186   13
//
// It knows no tokenizer and no template. Several tokenisations of one text below each other are drawn by fusion/align.
package ruler
