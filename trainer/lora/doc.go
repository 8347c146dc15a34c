// Package lora owns low-rank adapters: which matrices of a model get one, their first values, their files, and adding
// them to the weights.
//
// Flow in: a store of weights and the options rank, alpha and targets, or a folder in PEFT's format; flow out: the same
// store with all weights frozen and factors A [r, in] and B [out, r] beside the chosen matrices, whose effective value is
// W + alpha/r · B·A; adapter_config.json and adapter_model.safetensors, which peft loads; merged weights, tensor by tensor.
//
// B is zero at first, so that training starts from the base model. There is no dropout.
//
// Not here: the graph (models/decoder/lowrank), the optimizer, checkpoints (trainer/loop). Adapters with weight
// decomposition, embeddings, biases or modules saved whole are refused by name.
// Source: Hu et al. 2021 (arXiv 2106.09685), with PEFT's initial values and names.
package lora
