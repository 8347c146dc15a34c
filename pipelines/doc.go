// Package pipelines owns the jobs: what each step reads, runs and writes, and in which order.
//
// Flow in: a resolved configuration and a store; flow out: committed datasets, one line for each step, and a record of
// what it cost. A finished dataset of the same configuration starts no job; one of another configuration is refused
// before any work; of an unfinished one only the missing parts are made. Before the first job all models, templates,
// tokenizers and files are checked.
//
// The jobs run on Beam: package runner submits them, by default to Prism in this process. The package has no arithmetic of its own: rows are the transforms'
// matter, models are models/engine's, and reports are internal/report's.
package pipelines
