package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/profuser/profuser/schemas"
)

// ptr returns a pointer to a copy.
func ptr[T any](v T) *T { return &v }

// samplePrompts makes n valid prompts that differ in shape: with and without system message, reference, tags.
func samplePrompts(n int) []schemas.Prompt {
	rows := make([]schemas.Prompt, n)
	for i := range rows {
		messages := []schemas.Message{{Role: "user", Content: fmt.Sprintf("Was ist %d + %d? ½", i, i)}}
		if i%2 == 1 {
			messages = append([]schemas.Message{{Role: "system", Content: "Be short."}}, messages...)
		}
		if i%5 == 4 {
			messages = append(messages, schemas.Message{Role: "assistant", Content: "…"}, schemas.Message{Role: "user", Content: "And?"})
		}
		p := schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages, SystemHash: schemas.SystemHash(messages)}
		if i%3 != 0 {
			p.Reference = ptr(fmt.Sprintf("#### %d", 2*i))
			p.Tags = []string{"arithmetic", "train"}[:i%3]
			p.ExternalID = fmt.Sprint("row-", i)
			p.Meta = `{"answer":"1"}`
		}
		rows[i] = p
	}
	return rows
}

// sampleDistributions makes n positions of k entries each over a text of n-1 bytes and end-of-turn.
func sampleDistributions(random *rand.Rand, n, k int) schemas.TokenDistributions {
	var d schemas.TokenDistributions
	for t := range n {
		first := random.Int32N(30000)
		rank := random.IntN(k)
		for j := range k {
			logProb := float32(-0.5) - float32(j)*float32(1.25)
			d.IDs = append(d.IDs, first+int32(j)*7)
			d.LogProbs = append(d.LogProbs, logProb)
			if j == rank {
				d.TokenLogProbs = append(d.TokenLogProbs, logProb)
			}
		}
		d.TokenIDs = append(d.TokenIDs, first+int32(rank)*7)
		d.TextRank = append(d.TextRank, int32(rank))
		d.Counts = append(d.Counts, int32(k))
		d.StartBytes = append(d.StartBytes, int32(t))
	}
	return d
}

func sampleGenerations(n, tokens, k int) []schemas.Generation {
	random := rand.New(rand.NewPCG(1, 2))
	rows := make([]schemas.Generation, n)
	for i, p := range samplePrompts(n) {
		length := tokens
		if i%7 == 0 {
			length = 1 // only the end-of-turn token
		}
		text := make([]byte, length-1)
		for j := range text {
			text[j] = byte('a' + random.IntN(26))
		}
		rows[i] = schemas.Generation{
			ID: p.ID, Source: "sage", Sample: int32(i % 2), Text: string(text), FinishReason: schemas.FinishStop, PromptTokens: 9,
			Temperature: 0.7, TopP: 0.95, Seed: int64(i) << 33, TokenDistributions: sampleDistributions(random, length, k),
		}
	}
	return rows
}

func sampleTeacherForcings(n int) []schemas.TeacherForcing {
	var rows []schemas.TeacherForcing
	for _, g := range sampleGenerations(n, 8, 3) {
		r := schemas.TeacherForcing{ID: g.ID, Source: g.Source, Bytes: max(1, int32(len(g.Text))), Tokens: int32(len(g.TokenIDs)), TokenDistributions: g.TokenDistributions}
		for _, logProb := range g.TokenLogProbs {
			r.Nats -= float64(logProb)
		}
		r.NatsPerByte = r.Nats / float64(r.Bytes)
		rows = append(rows, r)
	}
	return rows
}

func sampleFusionExamples(n int) []schemas.FusionExample {
	var rows []schemas.FusionExample
	for i, g := range sampleGenerations(n, 12, 4) {
		e := schemas.FusionExample{
			ID: g.ID, Mode: schemas.ModeInference, Source: g.Source, Selected: true, Weight: 1, Reward: ptr(float64(i) / 3), PromptIDs: []int32{1, 2, 3},
			TextIDs: g.TokenIDs, Counts: g.Counts, IDs: g.IDs, LogProbs: g.LogProbs, NatsPerByte: 0.5, Text: g.Text,
		}
		for range g.TokenIDs {
			e.Status = append(e.Status, schemas.StatusExact)
		}
		if i%2 == 1 {
			e.Mode, e.Reward, e.Margin = schemas.ModeTraining, nil, ptr(0.25)
			last := len(e.Counts) - 1
			e.Counts, e.Status = append([]int32{}, e.Counts...), append([]int32{}, e.Status...)
			e.IDs, e.LogProbs = e.IDs[:len(e.IDs)-int(e.Counts[last])], e.LogProbs[:len(e.LogProbs)-int(e.Counts[last])]
			e.Counts[last], e.Status[last] = 0, schemas.StatusNone
		}
		rows = append(rows, e)
	}
	return rows
}

func sampleRewards(n int) []schemas.Reward {
	var rows []schemas.Reward
	for i, p := range samplePrompts(n) {
		rows = append(rows, schemas.Reward{ID: p.ID, Source: "target", Score: math.Sin(float64(i))})
	}
	return rows
}

func sampleVerdicts(n int) []schemas.Verdict {
	var rows []schemas.Verdict
	for i, p := range samplePrompts(n) {
		rows = append(rows, schemas.Verdict{ID: p.ID, First: "target", Second: "sage", SecondSample: int32(i % 3), Winner: schemas.WinnerSecond, Text: "B is right.\nVerdict: B"})
	}
	return rows
}

func sampleSelections(n int) []schemas.Selection {
	var rows []schemas.Selection
	for i, p := range samplePrompts(n) {
		s := schemas.Selection{ID: p.ID, Mode: schemas.ModeInference, Source: "target", Candidates: []schemas.Candidate{{Source: "target", Value: 1.5, Votes: 2}}}
		if i%2 == 0 {
			s.Candidates = append(s.Candidates, schemas.Candidate{Source: "sage", Value: -0.5, Votes: 1})
			s.Margin = ptr(2.0)
		}
		rows = append(rows, s)
	}
	return rows
}

func sampleEvaluations(n int) []schemas.Evaluation {
	var rows []schemas.Evaluation
	for i, p := range samplePrompts(n) {
		rows = append(rows, schemas.Evaluation{ID: p.ID, Model: "fused", Skill: "facts", Text: "blue", Answer: "blue", Correct: i%3 == 0, Nats: 1.25, Bytes: 4})
	}
	return rows
}

func sampleRejects(n int) []schemas.Rejected {
	var rows []schemas.Rejected
	for i := range n {
		rows = append(rows, schemas.Rejected{Step: "ingest", Code: "malformed", Message: fmt.Sprintf("prompts.jsonl:%d: not JSON", i+1), Attempts: 1})
	}
	return rows
}

func sampleChunked(n int) []schemas.ChunkedExample {
	var rows []schemas.ChunkedExample
	for i, e := range sampleFusionExamples(n) {
		x := schemas.ChunkedExample{FusionExample: e}
		if i%3 > 0 { // the others have none
			for end := 1 + i%2; end <= len(e.TextIDs); end++ {
				x.ChunkEnds, x.ChunkLogProbs = append(x.ChunkEnds, int32(end)), append(x.ChunkLogProbs, -float32(end)/7)
			}
		}
		rows = append(rows, x)
	}
	return rows
}
