// Package advantage says which source wins a prompt, and by how much.
//
// In flow what the steps measured: the sources' own responses with the reward models' scores (inference mode), and the
// sources' cross-entropies on the reference (training mode); out flow selections, reject codes, weights of responses, and for the
// report win rates and agreements. A method is a row of the table in select.go. The
// target competes like every source; order for ties is always the configured one, target first.
//
// Statistics over a dataset are sums of integers, exact and independent of the order of their parts. The package reads
// no files and runs no model. Source of the method: the ProFuser paper's dual-mode advantage evaluation.
package advantage
