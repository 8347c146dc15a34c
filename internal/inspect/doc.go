// Package inspect looks at datasets and files without changing them: profuser inspect and profuser validate.
//
// Flow in: the address of a dataset, of a folder of datasets or of one Parquet file; flow out: text for a person (Show),
// or faults with file, row and column (Validate). A row is checked by its record's own Validate and, where a tokenizer is
// given, by fusion/spelling: the same checks that the steps make. A dataset is checked against its manifest, its header,
// the prompts that it is made for, and the files that it says it was made from.
//
// The package repairs nothing and computes nothing from rows.
package inspect
