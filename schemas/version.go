package schemas

import (
	"fmt"
	"strconv"
	"strings"
)

// Names and versions of the records, as they stand in a file's profuser.schema.
const (
	PromptSchema         = "prompt/1"
	GenerationSchema     = "generation/1"
	TeacherForcingSchema = "teacher_forcing/1"
	RewardSchema         = "reward/1"
	VerdictSchema        = "verdict/1"
	SelectionSchema      = "selection/1"
	FusionExampleSchema  = "fusion_example/1"
	EvaluationSchema     = "evaluation/1"
	BenchmarkItemSchema  = "benchmark_item/1"
	BenchmarkScoreSchema = "benchmark_score/1"
	RejectedSchema       = "rejected/1"
)

// All lists the schemas that this build reads and writes.
func All() []string {
	return []string{
		PromptSchema, GenerationSchema, TeacherForcingSchema, RewardSchema, VerdictSchema, SelectionSchema,
		FusionExampleSchema, EvaluationSchema, BenchmarkItemSchema, BenchmarkScoreSchema, RejectedSchema,
	}
}

// Schema returns PromptSchema.
func (*Prompt) Schema() string { return PromptSchema }

// Schema returns GenerationSchema.
func (*Generation) Schema() string { return GenerationSchema }

// Schema returns TeacherForcingSchema.
func (*TeacherForcing) Schema() string { return TeacherForcingSchema }

// Schema returns RewardSchema.
func (*Reward) Schema() string { return RewardSchema }

// Schema returns VerdictSchema.
func (*Verdict) Schema() string { return VerdictSchema }

// Schema returns SelectionSchema.
func (*Selection) Schema() string { return SelectionSchema }

// Schema returns FusionExampleSchema.
func (*FusionExample) Schema() string { return FusionExampleSchema }

// Schema returns EvaluationSchema.
func (*Evaluation) Schema() string { return EvaluationSchema }

// Schema returns BenchmarkItemSchema.
func (*BenchmarkItem) Schema() string { return BenchmarkItemSchema }

// Schema returns BenchmarkScoreSchema.
func (*BenchmarkScore) Schema() string { return BenchmarkScoreSchema }

// Schema returns RejectedSchema.
func (*Rejected) Schema() string { return RejectedSchema }

// SplitVersion cuts name/major, such as fusion_example/1.
func SplitVersion(schema string) (name string, major int, err error) {
	name, number, ok := strings.Cut(schema, "/")
	major, numberErr := strconv.Atoi(number)
	if !ok || name == "" || numberErr != nil || major < 1 {
		return "", 0, fmt.Errorf("schema %q: want name/version with a version of 1 or more", schema)
	}
	return name, major, nil
}

// CheckReadable returns an error if this build cannot read rows of the schema found: a record it does not know, or a
// higher major version than its own.
func CheckReadable(found string) error {
	name, major, err := SplitVersion(found)
	if err != nil {
		return err
	}
	for _, own := range All() {
		ownName, ownMajor, err := SplitVersion(own)
		if err != nil {
			return err
		}
		if ownName != name {
			continue
		}
		if major > ownMajor {
			return fmt.Errorf("schema %s is newer than this build reads (%s): use a newer profuser", found, own)
		}
		return nil
	}
	return fmt.Errorf("schema %s is unknown to this build, which reads %s", found, strings.Join(All(), ", "))
}
