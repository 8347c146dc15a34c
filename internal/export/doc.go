// Package export owns what other trainers are fed from a run: profuser export.
//
// Flow in: the committed datasets prompts, generations, rewards and selections of a run, part by part; flow out: one file
// of JSON lines or Parquet, written whole or not at all. The formats: pairs of a better and a worse response in TRL's
// conversational preference format, the winners as conversations, and all sources' responses with weights from their
// rewards (FuseRL's FuseSFT).
//
// Who wins and what a score is worth is fusion/advantage's matter. Distributions are not exported: the fusion datasets
// are files that everybody reads (docs/datasets.md).
package export
