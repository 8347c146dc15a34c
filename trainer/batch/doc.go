// Package batch owns what a training graph is fed: token sequences grouped by length into tensors of few shapes.
//
// Flow in: sequences (prompt tokens, then text tokens) with what belongs to each text position; flow out: batches of
// B rows by S tokens and lists of the positions that predict something, as flat slices ready to be tensors. Shift,
// masks and positions are computed here, once, and nowhere else: position i of a row predicts token i+1.
//
// Shapes are kept few, because each costs a compilation: S is a bucket's length, B follows from the tokens per batch,
// and the number of predicting positions is rounded up. All orders are functions of a seed and an epoch.
//
// Not here: reading datasets, losses, anything of GoMLX.
package batch
