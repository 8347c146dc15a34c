// Package pretrain owns the two simple trainings beside fusion: next-token training on conversations, and reward models
// on preference pairs.
//
// Flow in: JSON lines ({"messages": […, assistant last]} or {"messages", "chosen", "rejected"}), a configuration with a
// tokenizer or a model directory to start from; flow out: a Hugging Face model directory. Conversations: the loss is the
// cross-entropy of the last assistant turn and its end-of-turn token, averaged over a batch's predicted tokens. Pairs:
// the Bradley-Terry loss of the scalar head at the last token, plus an optional next-token loss on the chosen answer.
//
// Batches hold rows of one length bucket and about equal numbers of tokens; their order follows from the seed alone.
// Fusion training, with its stages, held-out prompts and checkpoints, is trainer/fusing.
package pretrain
