// Package worker owns the other end of a job: this program as a worker that a runner has started, and the pool that starts
// workers for runners which ask for them.
//
// Flow in: a command line by Beam's contract for worker containers (Started, Work), or requests of Beam's external worker
// pool interface (Pool); flow out: bundles worked on, processes that end with their job, with who started them, or with
// the pool. Neither needs Beam's boot program beside it, and neither leaves a process or a file behind.
//
// It submits nothing (package runner) and opens no models: who calls Work has set how they are opened.
package worker
