// Package judge owns the verdicts: a chat model compares the responses of each prompt in pairs.
//
// Flow in: parts of prompts and of every competitor's generations; flow out: two schemas.Verdict a pair, one for each
// order in which the responses are shown. What is asked and how it is read is fusion/verdict's; who wins by the
// verdicts is fusion/advantage's.
//
// It loads no model itself: pipelines set Models.
package judge
