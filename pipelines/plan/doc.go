// Package plan owns the estimate of what a run will take before it is paid for: rows, requests, tokens, bytes, GPU hours,
// time and cost of every step.
//
// Flow in: a configuration, what a look at the prompts and tokenizers found (Survey), and, where there are any, datasets
// that an earlier run or a small one has made (Measured); flow out: a Plan, as a table for people or as JSON, with every
// assumption that it rests on. What was measured is used instead of what the section plan of fusion.yaml assumes.
//
// Estimates are sums of means: rows times what a row takes. The package asks no server, reads no prompts and knows no Beam:
// package survey does the asking.
package plan
