// Package decoder owns the model graphs: decoder-only transformers as GoMLX computation graphs.
//
// Flow in: a Hugging Face model directory (config.json, safetensors) or a configuration and a seed; flow out: a GoMLX
// store of float32 variables and graph functions from token ids [B, S] to hidden states [B, S, D], logits [B, S, V] or
// one reward a row [B], with or without a key-value cache. An architecture is a file and a row in the table of
// architecture.go.
//
// Known are Llama and its kin (Mistral, Qwen2, Qwen3, Phi-3, Gemma), GPT-NeoX and MPT, the first as reward models too.
// Rotary positions may be scaled (linear, llama3); dynamic ones differ only beyond max_position_embeddings, which is
// where Config.Context ends. Each row of the table is compared with transformers on a tiny checkpoint in testdata.
//
// Variable paths are the Hugging Face tensor names with "/" for ".", so loading and saving are a rename. Weights keep
// their [out, in] layout. Graph functions panic, as GoMLX's do; models/engine and trainer recover them once.
//
// Shapes in names: B rows, S positions, T = B·S, D model width, H heads, K key-value heads, C head width, V vocabulary.
package decoder
