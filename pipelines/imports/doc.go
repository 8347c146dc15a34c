// Package imports owns the jobs that fill a dataset with what other tools made: profuser import.
//
// Flow in: a run whose prompts are there, and files of responses or scores; flow out: generations/<source> or
// rewards/<reward model>, as the step that asks the model would have written them, with _IMPORT.json beside, which names
// the files. Before a job starts the files are read once, counted against the prompts, and the dataset is claimed: one
// that a model has begun, or other files, is refused.
//
// How lines become rows is transforms/imported's matter; that later steps find the dataset finished is package pipelines'.
package imports
