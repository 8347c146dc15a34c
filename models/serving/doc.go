// Package serving owns models behind HTTP: the same three operations as models/engine (answer, read, reward), done by
// somebody's server.
//
// Flow in: token ids and limits from any number of goroutines, and a chat.Format of the model's own tokenizer; flow out:
// generated ids, for generating and for teacher forcing the top-k log-probs at every position, or a reward. What a
// server can do is found out with small requests whose answers are known in part (Check), never taken from its name:
// one server ignores in silence what another one understands. Teacher forcing goes by prompt_logprobs (vLLM, profuser
// serve), by input log-probs (SGLang) or by echo.
//
// Nothing in a reply is trusted: lengths, finite numbers, ids in range, text against tokens; tokens that a server names
// by text are mapped back by their bytes, and one that could be two ids is an error. Retries and endpoints are
// transport's business, rendering is models/chat's, truncation is fusion/dist's. The server of our own is in server.
package serving
