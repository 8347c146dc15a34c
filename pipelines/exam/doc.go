// Package exam owns the job of `profuser evaluate --task`: one model, one public benchmark, a score.
//
// Flow in: a file of items in the published format, a file of examples, a model's directory or a server; flow out, in one
// folder: requests/ (what is asked), scores/ (what the model gave, one part after another, kept when the job is stopped),
// and from these items.parquet, items.jsonl, summary.json and summary.md.
//
// What is asked and how it is marked is fusion/harness's, asking is transforms/examine's. It knows no fusion.yaml.
package exam
