// Package merge owns the methods that make one model's weights of several: a table of them, each with its parameters, its
// formula and where it comes from.
//
// Flow in: a Tensor (name, shape, which input is the base, the parameters' values) and the elements of its inputs as
// float32, block by block; flow out: the elements of the merged tensor. A method never sees a whole tensor: its Kernel
// reads the blocks as often as it needs (norms, the k-th magnitude), then merges them one by one.
//
// Blocks may come in any order and on any number of workers. The result is the same, bit for bit: statistics are kept for
// each granule (a fixed piece of the tensor) and added up in order, histograms are whole numbers, random masks depend on
// (seed, tensor, input, element) alone. Arithmetic on elements is float32, statistics are float64.
//
// The package reads no files and knows nothing of types, layers or YAML: trainer/merge/recipe and trainer/merge/stream do.
package merge
