// Package compare sets two runs against each other: what differs in their configurations, and what came of it.
//
// Flow in: two out folders, each as far as it has come; flow out: report-compare.html, one self-contained page, and
// report-compare.json, the same for programs, in the first run's folder, and a short table as text.
//
// Everything comes from what the datasets and the training have recorded: keys from their headers, held-out results item by
// item, winners prompt by prompt. Results are paired: items that both runs answered, prompts that both decided, and the test
// of a difference is exact. What one run has not made is named as missing, never counted as zero. Nothing is computed anew
// with models, and no run is changed but for the two files.
package compare
