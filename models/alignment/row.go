package alignment

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// Row is a line of input: a text with the source's tokens, and at each of them the entries of a distribution.
type Row struct {
	// Text is the text, without any template. It may be missing with raw values.
	Text *string `json:"text"`
	// SourceIDs [n] are the source's tokens; their bytes are the text, possibly with leading bytes of a template.
	SourceIDs []int32 `json:"source_ids"`
	// Counts [n] cut the entries.
	Counts []int32 `json:"counts"`
	// IDs [sum Counts] are source ids.
	IDs []int32 `json:"ids"`
	// LogProbs [sum Counts] are nats, descending at each token; raw values: any numbers.
	LogProbs json.RawMessage `json:"logprobs"`
	// TextRank [n] is the place of the text's token among the entries, -1: from outside the top-k; nil: all inside.
	TextRank []int32 `json:"text_rank"`
	// TargetIDs [m] are the target's tokens of the text; nil: as it tokenises the text in the middle of another.
	TargetIDs []int32 `json:"target_ids"`
	// TargetCounts [m], TargetTopIDs and TargetLogProbs are the target's own distributions, for transport.
	TargetCounts   []int32         `json:"target_counts"`
	TargetTopIDs   []int32         `json:"target_top_ids"`
	TargetLogProbs json.RawMessage `json:"target_logprobs"`
}

// Result is a line of output: the target's tokens, and at each of them the entries of a distribution.
type Result struct {
	TargetIDs []int32          `json:"target_ids"`
	Counts    []int32          `json:"counts"`
	IDs       []int32          `json:"ids"`
	LogProbs  any              `json:"logprobs"` // []float32, or []json.Number for raw values
	Status    []schemas.Status `json:"status"`
}

// parsed is a row that was checked.
type parsed struct {
	text           []byte
	source, target align.Tokens
	d, own         dist.Sparse
	ranks          []int32
}

// parse checks a row for alignment of log-probs.
func (a *Aligner) parse(r *Row) (*parsed, error) {
	if r.Text == nil {
		return nil, errors.New("text: is missing")
	}
	p := &parsed{text: []byte(*r.Text), d: dist.Sparse{Counts: r.Counts, IDs: r.IDs}}
	if err := r.lists(); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(r.LogProbs, &p.d.LogProbs); err != nil {
		return nil, field("logprobs", err)
	}
	if err := a.source.known("source_ids", r.SourceIDs); err != nil {
		return nil, err
	}
	if err := p.d.Validate(a.source.Vocab); err != nil {
		return nil, fmt.Errorf("counts, ids, logprobs: %w", err)
	}
	if err := p.rank(r); err != nil {
		return nil, err
	}
	starts, closed, err := a.source.starts(*r.Text, r.SourceIDs)
	if err != nil {
		return nil, fmt.Errorf("source_ids: %w", err)
	}
	p.source = align.Tokens{IDs: r.SourceIDs, Starts: starts, Closed: closed}
	if err := a.targetTokens(r, p); err != nil {
		return nil, err
	}
	if a.Method == align.MethodTransport {
		p.own = dist.Sparse{Counts: r.TargetCounts, IDs: r.TargetTopIDs}
		if err := r.own(len(p.target.IDs), &p.own.LogProbs); err != nil {
			return nil, err
		}
		if err := p.own.Validate(a.target.Vocab); err != nil {
			return nil, fmt.Errorf("target_counts, target_top_ids, target_logprobs: %w", err)
		}
	}
	return p, nil
}

// lists checks that the lists over positions have as many entries as source_ids.
func (r *Row) lists() error {
	switch n := len(r.SourceIDs); {
	case r.SourceIDs == nil:
		return errors.New("source_ids: is missing")
	case r.Counts == nil:
		return errors.New("counts: is missing")
	case r.IDs == nil:
		return errors.New("ids: is missing")
	case r.LogProbs == nil:
		return errors.New("logprobs: is missing")
	case len(r.Counts) != n:
		return fmt.Errorf("counts: %d for %d source_ids: want as many", len(r.Counts), n)
	case r.TextRank != nil && len(r.TextRank) != n:
		return fmt.Errorf("text_rank: %d for %d source_ids: want as many", len(r.TextRank), n)
	}
	return nil
}

// rank checks that the text's token stands among the entries, where text_rank says.
func (p *parsed) rank(r *Row) error {
	offsets := p.d.Offsets()
	p.ranks = r.TextRank
	if p.ranks == nil {
		p.ranks = make([]int32, len(r.SourceIDs))
	}
	for t, own := range r.SourceIDs {
		at := slices.Index(p.d.IDs[offsets[t]:offsets[t+1]], own)
		switch {
		case at < 0:
			return fmt.Errorf("ids: position %d has no entry for source_ids[%d], the text's token %d", t, t, own)
		case r.TextRank == nil:
			p.ranks[t] = int32(at)
		case p.ranks[t] != -1 && int(p.ranks[t]) != at:
			return fmt.Errorf("text_rank[%d]: is %d; the text's token is entry %d, -1 if it is from outside the top-k", t, p.ranks[t], at)
		}
	}
	return nil
}

// own checks the lists of the target's own distributions and reads their values.
func (r *Row) own(n int, values any) error {
	switch {
	case r.TargetCounts == nil || r.TargetTopIDs == nil || r.TargetLogProbs == nil:
		return errors.New("target_counts, target_top_ids and target_logprobs: one is missing; transport needs the target's own distributions")
	case len(r.TargetCounts) != n:
		return fmt.Errorf("target_counts: %d for %d target_ids: want as many", len(r.TargetCounts), n)
	}
	if err := json.Unmarshal(r.TargetLogProbs, values); err != nil {
		return field("target_logprobs", err)
	}
	return nil
}

// targetTokens checks the target's tokens, or makes them.
func (a *Aligner) targetTokens(r *Row, p *parsed) error {
	ids := r.TargetIDs
	if ids == nil {
		ids = a.target.EncodeMidText(p.text)
		if end := a.target.EndOfTurn(); p.source.Closed && end >= 0 {
			ids = append(ids, end)
		}
	}
	if err := a.target.known("target_ids", ids); err != nil {
		return err
	}
	starts, closed, err := a.target.starts(*r.Text, ids)
	if err != nil {
		return fmt.Errorf("target_ids: %w", err)
	}
	p.target = align.Tokens{IDs: ids, Starts: starts, Closed: closed}
	if closed != p.source.Closed {
		return fmt.Errorf("target_ids: end-of-turn last is %v, in source_ids it is %v; both follow from one text (--target-end, --source-end say which tokens end a turn)", closed, p.source.Closed)
	}
	return nil
}

// field names the list that a fault of JSON is in.
func field(name string, err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fmt.Errorf("%s: has %s, must be a list of numbers", name, wrong.Value)
	}
	return fmt.Errorf("%s: %w", name, err)
}
