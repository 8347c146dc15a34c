// Package source owns the way into a dataset: input files become parts of validated prompts.
//
// Flow in: JSON lines or Parquet, local or in a bucket. The files are indexed in parallel (rows, bytes, digest, where each part
// begins), the parts are numbered, and each part's rows are read twice: once for their ids, once to be written. Five bytes
// of each id pass a GroupByKey, packed into one []byte for each part and bucket; parts in which any came twice are read
// once more, and whole ids of those rows with their positions pass another, which finds duplicates and conflicting
// external ids; of those the first stays. Flow out: prompts/part-k, with faults of single rows as rejects
// in the footer (file, line, field, reason), _FILES.json, and the manifest.
//
// Prompts that share a run of words with benchmark files are rejected as contaminated (fusion/contamination says how).
//
// Faults of single rows never end the job here: the manifest is refused when they exceed max_rejects.
package source
