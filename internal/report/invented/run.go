package invented

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// Run says what to invent.
type Run struct {
	// Prompts is their number, PartRows how many make a part.
	Prompts, PartRows int
	// Models are the target, then the sources; Judges are the reward models.
	Models, Judges []string
	// Text writes the n-th prompt's text of a role: system, user, reference, or a model's name for its answer; "" for none,
	// which no user turn may be.
	Text func(role string, n int, r *rand.Rand) string
	// Tags are given to the prompts in turn.
	Tags []string
	// Tokenizer is the target's; nil leaves out the fusion examples.
	Tokenizer *tokenizer.Tokenizer
	// Entries is how many a position of a fusion example has.
	Entries int
	// Seed of everything that is drawn.
	Seed uint64
}

// rows are those of one part, by dataset.
type rows struct {
	prompts     []schemas.Prompt
	generations map[string][]schemas.Generation
	readings    map[string][]schemas.TeacherForcing
	rewards     map[string][]schemas.Reward
	selections  []schemas.Selection
	fusion      map[string][]schemas.FusionExample
}

// Write commits the datasets prompts, generations, rewards, crossentropy, selections and fusion.
func (run Run) Write(ctx context.Context, store dataset.Store) error {
	names := map[string]int{} // of the datasets, with their numbers of parts
	for k := 0; k*run.PartRows < run.Prompts; k++ {
		p := rows{
			generations: map[string][]schemas.Generation{}, readings: map[string][]schemas.TeacherForcing{}, rewards: map[string][]schemas.Reward{},
			fusion: map[string][]schemas.FusionExample{},
		}
		for n := k * run.PartRows; n < min((k+1)*run.PartRows, run.Prompts); n++ {
			if err := run.prompt(&p, n); err != nil {
				return err
			}
		}
		if err := p.write(ctx, store, k, names); err != nil {
			return err
		}
	}
	for name, parts := range names {
		if _, err := dataset.Commit(ctx, store, name, dataset.CommitOptions{Parts: parts}); err != nil {
			return err
		}
	}
	return nil
}

// write adds part k to the datasets and counts their parts.
func (p rows) write(ctx context.Context, store dataset.Store, k int, names map[string]int) error {
	err := errors.Join(addPart(ctx, store, "prompts", nil, k, p.prompts), addPart(ctx, store, "selections", nil, k, p.selections))
	names["prompts"], names["selections"] = k+1, k+1
	for name, generations := range p.generations {
		err = errors.Join(err, addPart(ctx, store, "generations/"+name, nil, k, generations), addPart(ctx, store, "crossentropy/"+name, nil, k, p.readings[name]))
		names["generations/"+name], names["crossentropy/"+name] = k+1, k+1
	}
	for name, scores := range p.rewards {
		err = errors.Join(err, addPart(ctx, store, "rewards/"+name, nil, k, scores))
		names["rewards/"+name] = k + 1
	}
	for mode, examples := range p.fusion {
		err = errors.Join(err, addPart(ctx, store, "fusion/"+mode, nil, k, examples))
		names["fusion/"+mode] = k + 1
	}
	return err
}

// Commit commits rows as the parts of a dataset whose header says what it depends on.
func Commit[T any](ctx context.Context, store dataset.Store, name string, depends map[string]string, parts ...[]T) error {
	for k, part := range parts {
		if err := addPart(ctx, store, name, depends, k, part); err != nil {
			return err
		}
	}
	_, err := dataset.Commit(ctx, store, name, dataset.CommitOptions{Parts: len(parts)})
	return err
}

// addPart writes part k, and the header if there is none.
func addPart[T any](ctx context.Context, store dataset.Store, name string, depends map[string]string, k int, part []T) error {
	data, err := dataset.EncodePart(part, dataset.Footer{Part: k, ConfigDigest: "invented", CreatedBy: "invented"})
	if err != nil {
		return fmt.Errorf("inventing %s: %w", name, err)
	}
	footer, _, err := dataset.DecodeFooter(data)
	if err != nil {
		return fmt.Errorf("inventing %s: %w", name, err)
	}
	if err := dataset.Begin(ctx, store, name, dataset.Header{Schema: footer.Schema, ConfigDigest: "invented", Depends: depends}); err != nil {
		return err
	}
	return store.Create(ctx, name+"/"+dataset.PartName(k), data)
}

// prompt adds one prompt with everything that is made of it.
func (run Run) prompt(p *rows, n int) error {
	r := rand.New(rand.NewPCG(run.Seed, uint64(n)))
	var messages []schemas.Message
	for _, role := range []string{schemas.RoleSystem, schemas.RoleUser} {
		if text := run.Text(role, n, r); text != "" {
			messages = append(messages, schemas.Message{Role: role, Content: text})
		}
	}
	x := schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages, SystemHash: schemas.SystemHash(messages)}
	if len(run.Tags) > 0 {
		x.Tags = []string{run.Tags[n%len(run.Tags)]}
	}
	if reference := run.Text("reference", n, r); reference != "" {
		x.Reference = &reference
	}
	p.prompts = append(p.prompts, x)
	var responses []advantage.Response
	var readings []advantage.Reading
	for _, name := range run.Models {
		text := run.Text(name, n, r)
		p.generations[name] = append(p.generations[name], schemas.Generation{ID: x.ID, Source: name, Text: text, FinishReason: schemas.FinishStop, TopP: 1})
		answer := advantage.Response{Source: name, Text: text, Finish: schemas.FinishStop}
		for _, judge := range run.Judges {
			score := r.NormFloat64()
			p.rewards[judge] = append(p.rewards[judge], schemas.Reward{ID: x.ID, Source: name, Score: score})
			answer.Scores = append(answer.Scores, score)
		}
		responses = append(responses, answer)
		if x.Reference != nil {
			reading := read(name, x, r)
			p.readings[name] = append(p.readings[name], reading)
			readings = append(readings, advantage.Reading{Source: name, Nats: reading.Nats, Bytes: reading.Bytes, Tokens: 1})
		}
	}
	return run.fuse(p, x, responses, readings, r)
}

// read is a source's cross-entropy of the reference.
func read(name string, x schemas.Prompt, r *rand.Rand) schemas.TeacherForcing {
	nats := float32(1 + r.ExpFloat64())
	n := len(*x.Reference)
	return schemas.TeacherForcing{
		ID: x.ID, Source: name, Nats: float64(nats), Bytes: int32(n), Tokens: 1, NatsPerByte: float64(nats) / float64(n),
		TokenDistributions: schemas.TokenDistributions{
			TokenIDs: []int32{0}, TokenLogProbs: []float32{-nats}, TextRank: []int32{0}, Counts: []int32{1}, IDs: []int32{0}, LogProbs: []float32{-nats}, StartBytes: []int32{0},
		},
	}
}

// fuse adds the winners of both modes and their examples.
func (run Run) fuse(p *rows, x schemas.Prompt, responses []advantage.Response, readings []advantage.Reading, r *rand.Rand) error {
	stats := make([]*advantage.Stats, len(run.Judges))
	for m := range stats {
		stats[m] = &advantage.Stats{}
		for _, a := range responses {
			stats[m].Add(a.Scores[m])
		}
	}
	s, err := advantage.Inference{Method: advantage.Vote}.Select(x.ID, responses, stats)
	if err != nil {
		return err
	}
	selections := []schemas.Selection{s}
	if len(readings) > 0 {
		if s, err = advantage.MinCE(x.ID, readings, "per_byte"); err != nil {
			return err
		}
		selections = append(selections, s)
	}
	p.selections = append(p.selections, selections...)
	for _, s := range selections {
		text := ""
		if s.Mode == schemas.ModeTraining {
			text = *x.Reference
		}
		for _, a := range responses {
			if s.Mode == schemas.ModeInference && a.Source == s.Source {
				text = a.Text
			}
		}
		if run.Tokenizer != nil {
			p.fusion[s.Mode] = append(p.fusion[s.Mode], run.example(s, text, r))
		}
	}
	return nil
}

// example is a text in the target's tokens with drawn distributions, every tenth position without.
func (run Run) example(s schemas.Selection, text string, r *rand.Rand) schemas.FusionExample {
	x := schemas.FusionExample{ID: s.ID, Mode: s.Mode, Source: s.Source, Selected: true, Weight: 1, PromptIDs: []int32{0}, Text: text, Margin: s.Margin}
	for i, id := range append(run.Tokenizer.Encode(text), 0) {
		x.TextIDs = append(x.TextIDs, id)
		if i%10 == 9 {
			x.Counts, x.Status = append(x.Counts, 0), append(x.Status, schemas.StatusNone)
			continue
		}
		rest, own := 1.0, r.IntN(10)/7 // the text's token is the first or the second of the entries
		for k := range run.Entries {
			share := rest * (0.5 + r.Float64()/2) // each at least half of the rest, so that they descend
			rest -= share
			entry := (id + int32(k-own) + int32(run.Tokenizer.Size())) % int32(run.Tokenizer.Size())
			x.IDs, x.LogProbs = append(x.IDs, entry), append(x.LogProbs, logProb(share))
		}
		x.Counts, x.Status = append(x.Counts, int32(run.Entries)), append(x.Status, int32(1+r.IntN(3)))
	}
	return x
}

// logProb is that of a probability, with room for rounding.
func logProb(share float64) float32 { return float32(math.Log(share)) - 1e-4 }
