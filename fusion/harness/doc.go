// Package harness owns six public benchmarks as EleutherAI's lm-evaluation-harness asks and marks them.
//
// Flow in: an item as its published file has it (Row), examples to show before it, and what a model thinks of the answers
// (log-likelihoods) or writes; flow out: the exact texts to ask (Request), whether the item is right (Verdict), and means
// with standard errors. The tasks stand in the table of task.go; each has a file of its own. Version says whose
// conventions these are, testdata of pipelines/exam what that program itself answers.
//
// It reads no files, asks no model and knows no tokens. Held-out prompts of fusion.yaml's own form are package benchmark's.
package harness
