// Package runner owns how a job gets to where it runs, and back: Beam's runners behind one call.
//
// Flow in: a pipeline with a name, and Options (which runner, its address, who starts workers, its own options); flow
// out: the end of the job, its counts while it runs as plain maps, or one line that says why it failed. Prism and the
// direct runner work in this process. Every other runner gets the job through Beam's job service, except Dataflow, which
// has an interface of its own. A job whose context ends is cancelled where it runs.
//
// It builds no pipelines but the probe of what workers have; what is done again after a failure is its caller's matter,
// and the other end of a job is package worker's.
package runner
