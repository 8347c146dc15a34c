// Package imported owns the two steps that read files of other tools instead of asking a model.
//
// Flow in: part k of prompts and files of JSON lines, in any order; flow out: part k of generations/<source> (Responses) or,
// with the generations, of rewards/<reward model> (Scores). The files are indexed once a process: where each prompt's rows
// begin, some hundred bytes a row; texts stay on the disk until their part is made. A response without log-probs is read
// by its source (transforms/crossentropy's models) where the model is at hand, else it has no distributions.
//
// Prompts without a row, and rows that cannot be used, are rejects. Nothing is generated or scored here.
package imported
