// Package words cuts texts into words.
//
// In flows a text; out flow its words, as they stand or made comparable: lower case, without punctuation. A word is a run
// without white space; of scripts that write none between words (Han, kana, Thai, …) every character is one.
//
// It knows no language: nothing is stemmed, and no dictionary says where Thai words end. Filters of responses
// (fusion/advantage) and of prompts (fusion/contamination) count with it.
package words
