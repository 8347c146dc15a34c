// Package align moves a source's distributions to the target's tokens and vocabulary.
//
// In flow one text as bytes, its source tokens with a sparse distribution at each of them, and its target tokens; out
// flows a sparse distribution over the target's vocabulary at each target token, with a status that says how the two
// spans lie. Exact is the default method: every stored alternative of the source follows the text as far as its bytes
// agree with it, so the source's likelihood of the text is kept (spec/alignment.md §2). Draw shows the two
// tokenisations as rulers that a person can read.
//
// Everything works on bytes. The package knows tokenizers only as the two small interfaces Source and Target, reads no
// files, and holds no state but a bounded memo of target tokens. The modes kept for comparison come in files of
// their own beside exact.go.
package align
