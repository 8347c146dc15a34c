// Package recipe owns the merge file: mergekit's YAML, read strictly.
//
// Flow in: the bytes of a merge.yaml; flow out: a Recipe (method, models, slices of layers, types) and, tensor by tensor,
// the values of the method's parameters, with filters and gradients resolved.
//
// A user's file works here and in mergekit: what the two understand they understand alike. What is not supported is
// refused by name, with the line, instead of being read over: a key, a parameter, a kind of model reference. The package
// opens no model and computes nothing; trainer/merge/stream does.
//
// Source of the format: mergekit 0.1.5 (its config, plan and parameter resolution).
package recipe
