package schemas

import (
	"fmt"
	"math"
)

// TeacherForcing is one source's reading of the reference of one prompt, or the target's of a response.
type TeacherForcing struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// Source is the name of the model that read, or of who wrote the response.
	Source string `parquet:"source"`
	// Sample is the response's number, 0 for a reference.
	Sample int32 `parquet:"sample"`
	// Nats is the sum of -log p over the reference's tokens and the end-of-turn token.
	Nats float64 `parquet:"nats"`
	// Bytes is the length of the reference, end-of-turn not counted.
	Bytes int32 `parquet:"bytes"`
	// Tokens counts TokenIDs, end-of-turn included.
	Tokens int32 `parquet:"tokens"`
	// NatsPerByte is Nats / Bytes.
	NatsPerByte float64 `parquet:"nats_per_byte"`

	TokenDistributions
}

// Validate checks ids, ranges, that nats, bytes and tokens agree with each other and with the log-probs, and the
// distributions (TokenDistributions). The first fault is a *Fault.
func (r *TeacherForcing) Validate() error {
	c := &check{record: "teacher_forcing", id: r.ID}
	c.promptID(r.ID)
	c.name("source", r.Source)
	c.that(r.Sample >= 0, "sample", r.Sample, "0 or more")
	c.notNegative("nats", r.Nats)
	c.that(r.Bytes >= 1, "bytes", r.Bytes, "1 or more")
	c.that(int(r.Tokens) == len(r.TokenIDs), "tokens", r.Tokens, fmt.Sprintf("%d, the length of token_ids", len(r.TokenIDs)))
	c.notNegative("nats_per_byte", r.NatsPerByte)
	c.tokens(&r.TokenDistributions, int(r.Bytes))
	if c.fault != nil {
		return c.fault
	}
	perByte := r.Nats / float64(r.Bytes)
	c.that(math.Abs(r.NatsPerByte-perByte) <= 1e-9*perByte, "nats_per_byte", r.NatsPerByte, fmt.Sprintf("nats / bytes = %g", perByte))
	var sum float64
	for _, logProb := range r.TokenLogProbs {
		sum -= float64(logProb)
	}
	c.that(math.Abs(r.Nats-sum) <= 1e-4*(1+sum), "nats", r.Nats, fmt.Sprintf("-Σ token_logprobs = %g", sum))
	return c.err()
}
