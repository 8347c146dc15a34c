// Package records reads what a run leaves beside its datasets: the record of each step, and the files that a training
// appends a line to.
//
// Flow in: a run's store, or a file's bytes; flow out: rows in the order of the job, or of the file. A file of lines may be
// read while it is written: a last line that is not whole is left out.
// What the lines mean is their readers'.
package records
