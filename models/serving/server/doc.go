// Package server owns our own small server: a model that runs in the process, spoken to over HTTP as OpenAI's API and
// vLLM's additions to it.
//
// Flow in: requests to /v1/completions, /v1/chat/completions and /classify, from clients of any language; flow out: what
// the model wrote, and its log-probs, as float32 and not rounded further, so that a fusion run over HTTP stores what a run
// in the process stores. /v1/models, /health and /metrics describe the server. It lets whole pipelines run over HTTP
// without a GPU.
//
// Streams send each token as the engine draws it; text that may begin a stop text, or is no whole character yet, waits. A
// client that goes away ends its answer. What is not supported (frequency penalties, logit_bias, tools, …) is refused by
// name, never ignored. There are no keys and no TLS: listen on the local host, or put a proxy before it.
package server
