// Package dist owns sparse distributions: what is kept of a model's opinion at every token of a text.
//
// In flow logits [T, V], out flows a Sparse: for each position the most probable entries of the vocabulary as true
// normalised log-probs in nats (temperature 1), the text's own token always among them. What is not stored is the
// position's rest mass; it is never renormalised away. Distributions are in CSR form (counts, then flat ids and
// log-probs), the layout of the Parquet columns in schemas, so nothing is copied between memory and file.
//
// Sums run in float64 and log space; stored log-probs are rounded to bfloat16. The package knows no models, no
// tokenizers and no files.
package dist
