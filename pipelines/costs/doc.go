// Package costs owns what a step cost: seconds, rows and the peak of memory, added up over the runs that did work.
//
// Flow in: a step begins and ends; flow out: steps/<step>.json beside local results, which the report and the README's
// table read.
//
// It does not see calls to models, nor memory of other processes.
package costs
