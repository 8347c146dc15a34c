// Package transformtest owns what tests and examples of the steps run on: a model that needs no weights, and datasets in
// a store.
//
// Flow in: a tokenizer's folder and a few prompts; flow out: a Model that implements generate.Generator,
// crossentropy.Scorer and reward.Rewarder with answers that follow from the prompt's tokens alone, and committed
// datasets of prompts, generations, readings and scores made from it. No clock, no seed: equal calls give equal bytes.
//
// Not here: anything that a program links; only tests import this package.
package transformtest
