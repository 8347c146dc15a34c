package survey

import (
	"fmt"
	"math"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/pipelines/plan"
	"github.com/profuser/profuser/schemas"
)

// format is a model's way from messages to tokens, and the longest sequence that it reads, 0 where only its server knows.
type format struct {
	*chat.Format
	context int
}

// formats are loaded once.
type formats struct {
	config *config.Config
	loaded map[string]format
}

// of loads a model's format; a judge without a tokenizer here has none.
func (f *formats) of(name string) (format, error) {
	if loaded, ok := f.loaded[name]; ok {
		return loaded, nil
	}
	m, _ := f.config.Model(name)
	options := chat.Options{ChatTemplate: auto(m.ChatTemplate), EndOfTurn: auto(m.EndOfTurn), BOS: auto(m.BOS)}
	x := format{context: int(m.Context)}
	var err error
	switch {
	case m.Endpoint == nil:
		check, loaded, fault := engine.Check(m.Path, options)
		if x.Format, err = loaded, fault; err == nil && x.context == 0 {
			x.context = check.Context()
		}
	case m.Tokenizer != "":
		x.Format, err = chat.Load(m.Tokenizer, options)
	}
	if err != nil {
		return x, fmt.Errorf("model %s: %w", name, err)
	}
	f.loaded[name] = x
	return x, nil
}

func auto(s string) string {
	if s == "auto" {
		return ""
	}
	return s
}

// count gives each model's mean numbers of tokens over prompts. room is what an answer may take of the context.
func (f *formats) count(names []string, prompts []schemas.Prompt, room int) (map[string]plan.Tokens, error) {
	out := map[string]plan.Tokens{}
	for _, name := range names {
		x, err := f.of(name)
		if err != nil {
			return nil, err
		}
		approximate := x.Format == nil
		if approximate {
			if x, err = f.of(f.config.Target.Model); err != nil {
				return nil, err
			}
		}
		if out[name], err = countOne(name, x, prompts, room); err != nil {
			return nil, err
		}
		if approximate {
			t := out[name]
			t.Approximate = true
			out[name] = t
		}
	}
	return out, nil
}

func countOne(name string, x format, prompts []schemas.Prompt, room int) (plan.Tokens, error) {
	var t plan.Tokens
	var fits, referenced float64
	var last error
	for _, p := range prompts {
		ids, err := x.Prompt(p.Messages)
		if err != nil { // the run rejects it
			last = err
			continue
		}
		if x.context > 0 && len(ids)+room > x.context {
			continue
		}
		fits++
		t.Prompt += float64(len(ids))
		if p.Reference == nil {
			continue
		}
		encoded, err := x.Encode(p.Messages, *p.Reference, true)
		if err != nil {
			last = err
			continue
		}
		referenced++
		t.Reference += float64(len(encoded.TextIDs))
	}
	if fits == 0 && last != nil {
		return t, fmt.Errorf("model %s: no prompt can be rendered, the last: %w", name, last)
	}
	t.Fits = fits / float64(max(1, len(prompts)))
	t.Prompt /= math.Max(1, fits)
	t.Reference /= math.Max(1, referenced)
	return t, nil
}
