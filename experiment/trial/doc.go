// Package trial carries an experiment out with the built programs, as a user would with a shell: lessons for the models,
// the common steps of each condition and seed, then for each row a training or a merge and its measurement.
//
// Flow in: a design and the folder of results; flow out: a Result a row and seed, kept by the digest of everything that it
// depends on, so that a stopped experiment goes on and rows that several tables share are made once.
//
// Programs run as processes of one processor each, several side by side; what they say is kept in files. The package knows
// no tables.
package trial
