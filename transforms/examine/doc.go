// Package examine owns the step in which one model answers the items of a public benchmark.
//
// Flow in: part k of the requests, each a text before the answer and the answers to choose from; flow out: part k of the
// scores, one row for each request with the answers' log-likelihoods or the text that the model wrote, and its metrics.
// The model is behind Model; who implements it batches the concurrent calls. Answers that follow one context go to the
// model together, so that it reads the context once.
//
// How texts become tokens is fixed here as the harness does it; prompts and metrics are fusion/harness's.
package examine
