// Package mixture averages what several sources think of one text: Avg-CE, the alternative to letting one of them win.
//
// In flow the sources' readings of a reference and their distributions at every target position, aligned; out flows one
// distribution a position, with weights that follow from the cross-entropies, and a selection in which nobody wins. The
// weights are fusion/advantage's, the form of distributions is fusion/dist's.
//
// It aligns nothing and reads no files.
package mixture
