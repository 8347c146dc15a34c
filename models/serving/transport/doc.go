// Package transport owns requests on their way: one logical server behind one or more URLs, made to look reliable.
//
// Flow in: a path, a JSON body and a check of the reply; flow out: the body of a reply that passed the check, or an
// error that names the request's id, the attempts and the last reason. In between: at most so many requests in flight
// at each URL, the least loaded URL first, a time limit, retries with jitter after 408, 424, 429, 5xx, a lost connection
// or a reply that fails its check (Retry-After is honoured), a circuit that leaves a dead URL alone for a while, and
// optionally a cache of replies in a directory or a bucket.
//
// A request is sent again only after its last attempt ended, and its result is returned once. Clock and randomness can
// be replaced; after Close no goroutine is left. The package knows nothing of models: bodies are bytes to it. A key is
// sent as a bearer token and appears in no error.
package transport
