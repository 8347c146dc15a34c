package exam

import (
	"context"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/pipelines/opening"
	"github.com/profuser/profuser/transforms/examine"
	"github.com/profuser/profuser/transforms/inflight"
)

// inProcess and served put an engine and a served model behind the step's interface.
type (
	inProcess struct{ *engine.Engine }
	served    struct{ *serving.Model }
)

// nothing is wanted of the distributions.
var nothing = dist.Truncate{Mass: 1, TopK: 1}

// UseModels tells the step how models are opened.
func UseModels() {
	examine.Models.Use(func(ctx context.Context, m inflight.Model) (examine.Model, error) {
		if m.Endpoint.URLs != "" {
			s, err := opening.Connect(ctx, m)
			return served{s}, err
		}
		e, err := engine.Open(m.Dir, engine.Options{Backend: m.Backend, Format: opening.FormatOptions(m)})
		return inProcess{e}, err
	})
}

// Tokenizer implements examine.Model.
func (m inProcess) Tokenizer() *tokenizer.Tokenizer { return m.Format().Tokenizer() }

// StopIDs implements examine.Model.
func (m inProcess) StopIDs() []int32 { return m.Format().StopIDs() }

// ScoreAll implements examine.Model.
func (m inProcess) ScoreAll(ctx context.Context, contextIDs []int32, texts [][]int32) ([][]float32, error) {
	results, err := m.Engine.ScoreAll(ctx, contextIDs, texts, nothing)
	out := make([][]float32, len(results))
	for i, r := range results {
		out[i] = r.TokenLogProbs
	}
	return out, err
}

// Write implements examine.Model.
func (m inProcess) Write(ctx context.Context, contextIDs []int32, atMost int, stops []string) ([]int32, error) {
	r, err := m.Generate(ctx, engine.GenerateRequest{PromptIDs: contextIDs, MaxTokens: atMost, Stop: stops, Truncate: nothing})
	return r.IDs, err
}

// Tokenizer implements examine.Model.
func (m served) Tokenizer() *tokenizer.Tokenizer { return m.Format().Tokenizer() }

// StopIDs implements examine.Model.
func (m served) StopIDs() []int32 { return m.Format().StopIDs() }

// ScoreAll implements examine.Model.
func (m served) ScoreAll(ctx context.Context, contextIDs []int32, texts [][]int32) ([][]float32, error) {
	results, err := m.Model.ScoreAll(ctx, contextIDs, texts, nothing)
	out := make([][]float32, len(results))
	for i, r := range results {
		out[i] = r.TokenLogProbs
	}
	return out, err
}

// Write implements examine.Model.
func (m served) Write(ctx context.Context, contextIDs []int32, atMost int, stops []string) ([]int32, error) {
	r, err := m.Generate(ctx, serving.GenerateRequest{PromptIDs: contextIDs, MaxTokens: atMost, Stop: stops, Truncate: nothing})
	return r.IDs, err
}
