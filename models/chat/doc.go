// Package chat turns conversations into one model's tokens: its tokenizer, its chat template, its
// beginning-of-text rule and its end-of-turn token, together a Format.
//
// In: a model's directory (tokenizer.json, tokenizer_config.json, chat_template.jinja,
// generation_config.json) and messages. Out: prompt ids for generating, and for a given answer the place
// of every one of its tokens in its bytes, so that the same answer can be compared across models.
//
// Templates are Jinja, rendered by package jinja as transformers renders them; testdata/make_golden.py makes what
// that is proven with. A given answer is never handed to the template, it is put where a placeholder came out, so no
// template can trim or change it. Special strings in what people or models wrote are ordinary text: the places of
// contents are found by rendering again with marks (Locate), and special tokens are recognised only outside them.
// Rendering is deterministic: strftime_now always tells the same day.
//
// The package runs no model, and knows no tools, documents or images in conversations.
package chat
