package schemas

import (
	"errors"
	"math"
	"strings"
	"testing"
)

// valid rows of every record; each test changes a copy.
func validPrompt() *Prompt {
	reference := "Four."
	messages := []Message{{RoleSystem, "Be short."}, {RoleUser, "2 + 2?"}}
	return &Prompt{ID: PromptID(messages), Messages: messages, Reference: &reference, SystemHash: SystemHash(messages), Tags: []string{"sums"}, Meta: `{"a":1}`}
}

// distributions are two tokens of the text "ab" and end-of-turn.
func distributions() TokenDistributions {
	return TokenDistributions{
		TokenIDs: []int32{5, 6, 2}, TokenLogProbs: []float32{-0.5, -1, -0.25}, TextRank: []int32{0, 1, 0},
		Counts: []int32{2, 2, 1}, IDs: []int32{5, 7, 8, 6, 2}, LogProbs: []float32{-0.5, -2, -0.75, -1, -0.25}, StartBytes: []int32{0, 1, 2},
	}
}

func validGeneration() *Generation {
	return &Generation{ID: validPrompt().ID, Source: "sage", Text: "ab", FinishReason: FinishStop, PromptTokens: 3, TopP: 1, TokenDistributions: distributions()}
}

func validReading() *TeacherForcing {
	return &TeacherForcing{ID: validPrompt().ID, Source: "sage", Nats: 1.75, Bytes: 2, Tokens: 3, NatsPerByte: 0.875, TokenDistributions: distributions()}
}

func validVerdict() *Verdict {
	return &Verdict{ID: validPrompt().ID, First: "sage", Second: "target", Winner: WinnerFirst, Text: "It is right.\nVerdict: A"}
}

func validSelection() *Selection {
	margin := 0.5
	return &Selection{ID: validPrompt().ID, Mode: ModeInference, Source: "sage", Margin: &margin, Candidates: []Candidate{{"target", 0, -0.5, 0}, {"sage", 0, 0.5, 3}}}
}

func validExample() *FusionExample {
	return &FusionExample{
		ID: validPrompt().ID, Mode: ModeTraining, Source: "sage", Selected: true, Weight: 1, PromptIDs: []int32{1, 4}, TextIDs: []int32{5, 6, 2},
		Counts: []int32{1, 0, 1}, IDs: []int32{5, 2}, LogProbs: []float32{-0.5, 0}, Status: []int32{StatusExact, StatusNone, StatusBoundary}, NatsPerByte: 1, Text: "ab",
	}
}

func validChunked() *ChunkedExample {
	return &ChunkedExample{FusionExample: *validExample(), ChunkEnds: []int32{2, 3}, ChunkLogProbs: []float32{-2, 0}}
}

func validEvaluation() *Evaluation {
	return &Evaluation{ID: validPrompt().ID, Model: "fused", Skill: "sums", Text: "4", Answer: "4", Correct: true, Nats: 1, Bytes: 5}
}

func validReject() *Rejected {
	return &Rejected{Step: "ingest", Code: "bad_messages", Message: "prompts.jsonl:3: messages: is empty", Attempts: 1}
}

// row is what the records have in common.
type row interface {
	Validate() error
	Schema() string
}

// change makes a row from a valid one.
func change[T any](valid func() *T, f func(r *T)) row {
	r := valid()
	f(r)
	return any(r).(row)
}

func TestValidRows(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range []row{validPrompt(), validGeneration(), validReading(), &Reward{ID: validPrompt().ID, Source: "sage", Score: -3}, validVerdict(), validSelection(), validExample(), validChunked(), validEvaluation(), validReject()} {
		seen[r.Schema()] = true
		if err := r.Validate(); err != nil {
			t.Errorf("%s: %v", r.Schema(), err)
		}
	}
	for _, s := range All() {
		if !seen[s] {
			t.Errorf("no valid row of %s", s)
		}
	}
}

// TestFaults: every fault names record, column and value.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		want string
		row  row
	}{
		{"messages", change(validPrompt, func(p *Prompt) { p.Messages = nil })},
		{"messages[1].role", change(validPrompt, func(p *Prompt) { p.Messages[1].Role = "robot" })},
		{"messages[2].role", change(validPrompt, func(p *Prompt) { p.Messages = append(p.Messages, Message{RoleUser, "again"}) })},
		{"messages[2].role", change(validPrompt, func(p *Prompt) { p.Messages = append(p.Messages, Message{RoleAssistant, "4"}) })},
		{"messages[1].content", change(validPrompt, func(p *Prompt) { p.Messages[1].Content = "" })},
		{"messages[1].content", change(validPrompt, func(p *Prompt) { p.Messages[1].Content = "caf\xe9" })},
		{"id", change(validPrompt, func(p *Prompt) { p.ID = strings.Repeat("0", 32) })},
		{"system_hash", change(validPrompt, func(p *Prompt) { p.SystemHash = "" })},
		{"reference", change(validPrompt, func(p *Prompt) { *p.Reference = "" })},
		{"tags[0]", change(validPrompt, func(p *Prompt) { p.Tags[0] = "" })},
		{"meta", change(validPrompt, func(p *Prompt) { p.Meta = "{" })},
		{"source", change(validGeneration, func(g *Generation) { g.Source = "" })},
		{"finish_reason", change(validGeneration, func(g *Generation) { g.FinishReason = "tired" })},
		{"prompt_tokens", change(validGeneration, func(g *Generation) { g.PromptTokens = 0 })},
		{"top_p", change(validGeneration, func(g *Generation) { g.TopP = 0 })},
		{"temperature", change(validGeneration, func(g *Generation) { g.Temperature = math.NaN() })},
		{"counts", change(validGeneration, func(g *Generation) { g.Counts = g.Counts[:2] })},
		{"token_logprobs[1]", change(validGeneration, func(g *Generation) { g.TokenLogProbs[1] = 0.5 })},
		{"logprobs[1]", change(validGeneration, func(g *Generation) { g.LogProbs[0], g.LogProbs[1] = -2, -0.5 })},
		{"logprobs[0]", change(validGeneration, func(g *Generation) { g.LogProbs[1] = -0.5 })},
		{"start_bytes[2]", change(validGeneration, func(g *Generation) { g.StartBytes[2] = 1 })},
		{"tokens", change(validReading, func(r *TeacherForcing) { r.Tokens = 4 })},
		{"nats_per_byte", change(validReading, func(r *TeacherForcing) { r.NatsPerByte = 1 })},
		{"nats", change(validReading, func(r *TeacherForcing) { r.Nats, r.NatsPerByte = 2, 1 })},
		{"bytes", change(validReading, func(r *TeacherForcing) { r.Bytes = 0 })},
		{"score", &Reward{ID: validPrompt().ID, Source: "sage", Score: math.Inf(1)}},
		{"sample", &Reward{ID: validPrompt().ID, Source: "sage", Sample: -1}},
		{"chunk_logprobs", change(validChunked, func(e *ChunkedExample) { e.ChunkLogProbs = e.ChunkLogProbs[:1] })},
		{"chunk_ends[1]", change(validChunked, func(e *ChunkedExample) { e.ChunkEnds[1] = 2 })},
		{"chunk_ends[1]", change(validChunked, func(e *ChunkedExample) { e.ChunkEnds[1] = 4 })},
		{"chunk_ends[0]", change(validChunked, func(e *ChunkedExample) { e.ChunkEnds[0] = 0 })},
		{"chunk_ends[0]", change(validChunked, func(e *ChunkedExample) { e.ChunkEnds, e.ChunkLogProbs = e.ChunkEnds[:1], e.ChunkLogProbs[:1] })},
		{"chunk_logprobs[1]", change(validChunked, func(e *ChunkedExample) { e.ChunkLogProbs[1] = 0.5 })},
		{"status[0]", change(validChunked, func(e *ChunkedExample) { e.Status[0] = 9 })},
		{"winner", change(validVerdict, func(v *Verdict) { v.Winner = "A" })},
		{"second", change(validVerdict, func(v *Verdict) { v.Second = v.First })},
		{"second_sample", change(validVerdict, func(v *Verdict) { v.SecondSample = -1 })},
		{"text", change(validVerdict, func(v *Verdict) { v.Text = "" })},
		{"text", change(validVerdict, func(v *Verdict) { v.Text = "\xff" })},
		{"mode", change(validSelection, func(s *Selection) { s.Mode = "both" })},
		{"source", change(validSelection, func(s *Selection) { s.Source = "nobody" })},
		{"candidates[1].source", change(validSelection, func(s *Selection) { s.Candidates[1].Source = "target"; s.Source = "target" })},
		{"source", change(validSelection, func(s *Selection) { s.Sample = 1 })},
		{"sample", change(validSelection, func(s *Selection) { s.Sample = -1 })},
		{"candidates[0].sample", change(validSelection, func(s *Selection) { s.Candidates[0].Sample = -2 })},
		{"sample", change(validExample, func(e *FusionExample) { e.Sample = 1 })},
		{"sample", change(validReading, func(r *TeacherForcing) { r.Sample = -1 })},
		{"candidates[1].votes", change(validSelection, func(s *Selection) { s.Mode = ModeTraining })},
		{"margin", change(validSelection, func(s *Selection) { *s.Margin = -1 })},
		{"margin", change(validSelection, func(s *Selection) { s.Candidates = s.Candidates[1:] })},
		{"counts[1]", change(validExample, func(e *FusionExample) { e.Status[1] = StatusExact })},
		{"status[0]", change(validExample, func(e *FusionExample) { e.Status[0] = 9 })},
		{"weight", change(validExample, func(e *FusionExample) { e.Weight = -1 })},
		{"text_ids", change(validExample, func(e *FusionExample) { e.TextIDs = nil })},
		{"prompt_ids", change(validExample, func(e *FusionExample) { e.PromptIDs = nil })},
		{"nats", change(validEvaluation, func(e *Evaluation) { e.Bytes = 0 })},
		{"model", change(validEvaluation, func(e *Evaluation) { e.Model = "" })},
		{"code", change(validReject, func(r *Rejected) { r.Code = "Bad" })},
		{"message", change(validReject, func(r *Rejected) { r.Message = strings.Repeat("x", MaxMessageBytes+1) })},
		{"id", change(validReject, func(r *Rejected) { r.ID = "7" })},
	} {
		err := c.row.Validate()
		var fault *Fault
		if !errors.As(err, &fault) {
			t.Errorf("%s, column %s: no fault but %v", c.row.Schema(), c.want, err)
			continue
		}
		if fault.Column != c.want || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: fault at column %s, want %s: %v", c.row.Schema(), fault.Column, c.want, err)
		}
	}
}

// TestPromptID: the id is that of the specification, and CRLF is LF.
func TestPromptID(t *testing.T) {
	a := PromptID([]Message{{RoleUser, "a\nb"}})
	if b := PromptID([]Message{{RoleUser, "a\r\nb"}}); a != b {
		t.Errorf("ids %s and %s", a, b)
	}
	if want := "1270d6e27a09c6634b70dcadbdbc123b"; a != want { // printf 'user\037a\nb\036' | sha256sum
		t.Errorf("id %s, want %s", a, want)
	}
	if PromptID([]Message{{RoleUser, "a"}, {RoleAssistant, "b"}}) == PromptID([]Message{{RoleUser, "ab"}}) {
		t.Error("turns run together")
	}
	if SystemHash([]Message{{RoleUser, "x"}}) != "" || SystemHash([]Message{{RoleSystem, "s"}, {RoleUser, "x"}}) != SystemHash([]Message{{RoleSystem, "s"}, {RoleUser, "y"}}) {
		t.Error("the system hash is that of the system message alone")
	}
}

func TestShortMessage(t *testing.T) {
	long := ShortMessage(strings.Repeat("é", 400) + "\xff")
	if len(long) > MaxMessageBytes || !strings.HasSuffix(long, "é…") {
		t.Errorf("%d bytes, ends in %q", len(long), long[len(long)-8:])
	}
	if got := ShortMessage("caf\xe9"); got != "caf\uFFFD" {
		t.Errorf("%q", got)
	}
}

func TestCheckReadable(t *testing.T) {
	for schema, want := range map[string]string{
		PromptSchema: "", "prompt/2": "newer than this build", "recipe/1": "unknown to this build", "prompt": "want name/version", "prompt/0": "want name/version",
	} {
		err := CheckReadable(schema)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: want %q, got %v", schema, want, err)
		}
	}
}

// TestExp: the table and expm1 are within rounding of exp.
func TestExp(t *testing.T) {
	for bits := uint32(0x80000000); bits < 0xC3000000; bits += 0x1357 {
		for _, x := range []float32{math.Float32frombits(bits), math.Float32frombits(bits & 0xFFFF0000)} {
			if got, want := exp(x), math.Exp(float64(x)); math.Abs(got-want) > 1e-15 {
				t.Fatalf("exp(%g) = %g, want %g", x, got, want)
			}
		}
	}
	if exp(0) != 1 {
		t.Error("exp(0)")
	}
}

// TestIDsOnce: an id twice at a position is found, whatever rows came before, also beyond any vocabulary.
func TestIDsOnce(t *testing.T) {
	for range 3 {
		for _, ids := range [][]int32{{5, 9}, {5, maxMarked + 7}, {0, maxMarked}} {
			e := validExample()
			e.Counts[0], e.LogProbs = 2, []float32{-0.75, -1.5, 0}
			e.IDs = append(append([]int32{}, ids...), 2)
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
			e.IDs[1] = e.IDs[0]
			var fault *Fault
			if err := e.Validate(); !errors.As(err, &fault) || fault.Column != "ids[0]" {
				t.Errorf("%v twice: %v", ids, err)
			}
			e.IDs[0], e.IDs[1] = ids[1], ids[1]
			if err := e.Validate(); !errors.As(err, &fault) || fault.Column != "ids[0]" {
				t.Errorf("%v twice: %v", ids[1], err)
			}
		}
	}
}
