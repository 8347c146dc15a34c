package schemas

import "fmt"

// ChunkedExample is a fusion example with the chunks that source's and target's tokens share: the columns that fuse.chunks
// adds. It is a FusionExample to every reader; files without these columns are read as FusionExample only.
type ChunkedExample struct {
	FusionExample
	// ChunkEnds [c] is the number of text tokens up to the end of each chunk, rising, the last one n: chunks follow each other
	// without gaps. Empty where the source's likelihood is not known (imported responses, averages of sources).
	ChunkEnds []int32 `parquet:"chunk_ends,list" parquet-element:",split"`
	// ChunkLogProbs [c] is the source's log-probability of each chunk given what stands before it, nats, not rounded.
	ChunkLogProbs []float32 `parquet:"chunk_logprobs,list" parquet-element:",split"`
}

// Validate checks what FusionExample checks, and that the chunks tile the text. The first fault is a *Fault.
func (e *ChunkedExample) Validate() error {
	if err := e.FusionExample.Validate(); err != nil {
		return err
	}
	c := &check{record: "fusion_example", id: e.ID}
	c.length("chunk_logprobs", len(e.ChunkLogProbs), len(e.ChunkEnds), "chunk_ends")
	before, n := int32(0), int32(len(e.TextIDs))
	for i, end := range e.ChunkEnds {
		c.at(end > before && end <= n, "chunk_ends", i, end, fmt.Sprintf("more than %d, the one before, and at most %d, the length of text_ids", before, n))
		before = end
	}
	if last := len(e.ChunkEnds) - 1; last >= 0 {
		c.at(before == n, "chunk_ends", last, before, fmt.Sprintf("%d at the end, the length of text_ids", n))
	}
	for i, logProb := range e.ChunkLogProbs {
		c.logProb("chunk_logprobs", i, logProb)
	}
	return c.err()
}
