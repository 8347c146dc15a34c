// Package dataset owns the dataset: numbered Parquet parts of one record type in one folder of a store, a header that
// is written first and a manifest that is written last.
//
// Flow in: rows of a step (EncodePart, Store.Create), one part at a time, from any number of workers. Flow out: the
// same rows (Rows, DecodePart), footers without rows (PartFooter), and the manifest that Commit derives from the parts
// that are really there. Every object is created whole, once, and never changed: an existing part is finished work,
// which is resume, retry and exactly-once in one rule. A store is a local folder (link(2)), gs://, s3:// or mem://.
//
// It is the only package that knows parquet-go. It does not know steps, models or Beam, and it merges nothing: readers
// of several datasets match rows of the same part by order and id.
package dataset
