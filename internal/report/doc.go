// Package report tells a run: what was measured, drawn so that a person sees it.
//
// Flow in: everything under a run's out folder (datasets, steps' records, the trainer's metrics) and the configuration;
// flow out: report.html, one self-contained page; summary.json, the same numbers for programs; life-of-a-prompt.md, one
// record after each step; and the final table as text.
//
// The package computes shares and means of what is there and nothing else: rates come from fusion/advantage, marks from
// the evaluation. What has not been run yet is named as missing, not drawn as zero.
package report
