// Package opening owns how a step's description of a model becomes a model that answers: in this process, or at its servers.
//
// Flow in: an inflight.Model, which a worker can be sent; flow out: what the steps declare that they need (Generator, Scorer,
// Rewarder, Judge), by models/engine or models/serving. Views of one model in the process share one engine. Replies of
// servers are kept in a folder or bucket where the description names one.
//
// Not here: which models a configuration has and what a step may ask of them (pipelines).
package opening
