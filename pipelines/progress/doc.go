// Package progress owns what a run shows of itself while it works: a live table on a terminal, lines elsewhere, and, when
// asked, Prometheus metrics and a status page.
//
// Flow in: the names of all steps (NewBoard), which of them runs and how much it has to do (Begin, End), and samples of
// its counters as plain maps (Observe), from whichever runner was asked; flow out: text. A Board holds the state, Status
// is a copy of one step's, and everything that is shown is made from those. Counts never go back, even if a runner's do.
//
// It asks no runner anything and knows no Beam: who submits a job feeds the board. The counters' names are
// transforms/tally's. Time remaining is that of the step which runs, by the rate of its last minute.
package progress
