// Package spelling owns the check of a row of tokens and distributions before anything is made from it.
//
// In flow a text, its tokens and distributions as a dataset stores them (or as somebody else made them), and the
// tokenizer that they claim to be of; out flows nil or the first fault with its column. The shape of the row is checked
// by package schemas; here is what needs a vocabulary: ids in range, and tokens that spell the text.
//
// One check serves the steps that read rows and the commands that look at them. It repairs nothing, and knows
// tokenizers only as a small interface.
package spelling
