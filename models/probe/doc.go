// Package probe owns looking at one model by hand: the work of `profuser score` and `profuser sample`.
//
// Flow in: an engine, and texts as JSON lines or a prompt; flow out: what the model thinks of every token, in nats and
// nats per byte with the most probable tokens beside, or a continuation.
//
// It changes no model and writes no dataset: the pipeline's own teacher forcing, in batches and cut to what is worth
// storing, is Engine.Score behind transforms.
package probe
