// Package safetensors owns the weight file: reading and writing tensors in the safetensors format, sharded or not.
//
// Flow in: a .safetensors file, or a model directory with model.safetensors or model.safetensors.index.json; flow out:
// tensor descriptions and their values as float32, read one tensor at a time (pread, nothing is mapped). In the other
// direction Write takes float32 values and a storage type and makes a file that appears whole or not at all.
//
// Every size is checked when a file is opened: a header longer than the file, an offset outside it, overlapping or
// missing bytes, a file cut short. The package knows nothing of models: names and shapes are its user's business.
//
// Source of the format: https://huggingface.co/docs/safetensors (8 bytes little-endian header length, a JSON header,
// then the data).
package safetensors
