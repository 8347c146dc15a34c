// Package changes owns the comparison of the datasets that a configuration wants with those that are there, and what
// follows from it: which are finished, which were made of something else and why, and which parts are to be made.
//
// Flow in: the table of package wanted and the store; flow out: findings, one for each dataset (Examine), the parts and the
// revision that a step works on (Prepare), and the table that `profuser status` prints. It starts no jobs and loads no
// models. Of what is there it changes only parts that no manifest has yet and that no longer fit (Prepare drops them).
package changes
