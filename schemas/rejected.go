package schemas

// Rejected is a record that a step could not process.
type Rejected struct {
	// ID is the prompt's id, "" when the record never got one.
	ID string `parquet:"id" json:"id"`
	// Source is the model concerned, "" if none.
	Source string `parquet:"source" json:"source"`
	// Step is the step's name.
	Step string `parquet:"step" json:"step"`
	// Code is a short stable reason such as too_long.
	Code string `parquet:"code" json:"code"`
	// Message names file, line, field and reason, at most 500 bytes.
	Message string `parquet:"message" json:"message"`
	// Attempts counts the tries made.
	Attempts int32 `parquet:"attempts" json:"attempts"`
}
