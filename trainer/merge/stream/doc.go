// Package stream owns the merging of model directories, out of core: from a recipe and folders of weights to a folder with
// the merged model.
//
// Flow in: a recipe (trainer/merge/recipe) and the models' safetensors files; flow out: a Hugging Face directory with
// config.json and the tokenizer files of the base, weights in shards with their index, and a report with a line a tensor.
//
// Everything is checked before a byte is written: names, shapes, vocabularies, parameters. Then tensors are read in chunks
// with pread, as often as their method needs, by a pool of workers; merged chunks are written at their place. Memory is a
// few chunks for each worker, whatever the models' size. The result depends neither on workers nor on the size of chunks.
//
// The result appears whole or not at all: it is made in a folder beside, DIR.partial, whose weights have temporary names, and
// renamed at the end. The formulas are those of trainer/merge; nothing here computes with elements, besides the report.
package stream
