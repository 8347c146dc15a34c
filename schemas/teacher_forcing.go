package schemas

// TeacherForcing is one source's reading of the reference of one prompt.
type TeacherForcing struct {
	// ID is the prompt's id.
	ID string `parquet:"id"`
	// Source is the model's name in the configuration.
	Source string `parquet:"source"`
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
