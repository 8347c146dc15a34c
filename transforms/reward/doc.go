// Package reward owns the step in which one reward model scores every response.
//
// Flow in: part k of prompts and part k of each source's generations; flow out: part k of rewards/<reward model>, one
// row for each response, by prompt and then in the configured order of sources. The model is behind Rewarder, reads
// the conversation in its own chat template, and who implements it batches the concurrent calls.
//
// A conversation that does not fit the model's context is rejected (too_long), never cut. What the scores decide is
// fusion/advantage's matter.
package reward
