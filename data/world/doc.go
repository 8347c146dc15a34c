// Package world makes the demo's small synthetic world: its prompts, held-out items, tokenizers and training texts.
//
// Flow in: one seed; flow out: items of five skills (arithmetic word problems, facts of invented towns as questions and
// as multiple choice, everyday sequences, pronouns, common misconceptions), each with a prompt, an answer in the
// sources' short style, a reference in a fuller style, a wrong answer in both, the key and the candidates. From them
// come data/prompts.jsonl, data/heldout.jsonl, two tokenizers, and for `make demo-models` the conversations and
// preference pairs that each demo model learns from.
//
// Held-out items ask known knowledge in an unseen wording, never unseen knowledge; a quarter of the held-out arithmetic
// has unseen operands and says so in its tags. Everything is a function of the seed: a second run gives the same bytes.
//
//go:generate go run ./generate -out ..
package world
