package alignment

import (
	"bytes"
	"encoding/json"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/align"
	"github.com/profuser/profuser/fusion/vocabulary"
	"github.com/profuser/profuser/models/vocabularies"
	"github.com/profuser/profuser/schemas"
)

func side(t testing.TB, name string, ends ...string) *Side {
	t.Helper()
	s, err := OpenSide(filepath.Join("..", "..", "data", "models", name), ends)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func aligner(t testing.TB, o Options) *Aligner {
	t.Helper()
	source, target := side(t, "sage"), side(t, "target")
	if o.Method == align.MethodStatistics {
		o.Counts = &vocabulary.Counts{}
		if err := NewCounter(source, target, o.Raw, o.Counts).Add(row(t, source, target, "The frog is in the town.")); err != nil {
			t.Fatal(err)
		}
	}
	a, err := NewAligner(source, target, o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// row is a text that ended, with a dozen entries at each token of the source and of the target.
func row(t testing.TB, source, target *Side, text string) *Row {
	t.Helper()
	entries := func(s *Side, ids []int32) (counts, list []int32, logProbs json.RawMessage) {
		var values []float64
		for i, own := range ids {
			counts = append(counts, 12)
			list = append(list, own)
			values = append(values, -0.5)
			for k := range int32(11) {
				id := (own + 1 + k*int32(i+3)) % int32(s.Size())
				for slices.Contains(list[12*i:], id) {
					id = (id + 1) % int32(s.Size())
				}
				list = append(list, id)
				values = append(values, -3-0.25*float64(k))
			}
		}
		b, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		return counts, list, b
	}
	r := &Row{Text: &text, SourceIDs: append(source.Encode(text), source.EndOfTurn())}
	r.Counts, r.IDs, r.LogProbs = entries(source, r.SourceIDs)
	r.TargetIDs = append(target.EncodeMidText([]byte(text)), target.EndOfTurn())
	r.TargetCounts, r.TargetTopIDs, r.TargetLogProbs = entries(target, r.TargetIDs)
	return r
}

var all = []string{align.MethodExact, align.MethodExactMatch, align.MethodMinEditDistance, align.MethodStatistics, align.MethodTransport}

// TestEveryMethodGivesValidRows: lists that fit, statuses, masses; without the target's tokens the same.
func TestEveryMethodGivesValidRows(t *testing.T) {
	for _, method := range all {
		for _, fallback := range []string{align.FallbackNone, align.FallbackNext} {
			a := aligner(t, Options{Method: method, Fallback: fallback})
			r := row(t, a.source, a.target, "The sky is blue, and 12 frogs sleep.\n")
			got, err := a.Align(r)
			if err != nil {
				t.Fatalf("%s: %v", method, err)
			}
			example := schemas.FusionExample{ID: strings.Repeat("0", 32), Mode: schemas.ModeTraining, Source: "s", PromptIDs: []int32{1}, TextIDs: got.TargetIDs, Counts: got.Counts, IDs: got.IDs, LogProbs: got.LogProbs.([]float32), Status: got.Status, Weight: 1, Text: *r.Text}
			if err := example.Validate(); err != nil {
				t.Errorf("%s, %s: %v", method, fallback, err)
			}
			if method == align.MethodTransport {
				continue
			}
			r.TargetIDs = nil
			again, err := a.Align(r)
			if d := cmp.Diff(got, again); err != nil || d != "" {
				t.Errorf("%s without target_ids: %v\n%s", method, err, d)
			}
		}
	}
}

// TestTransportMovesToTheTargetsOwnTokens: a planned row has only ids of the target's own row.
func TestTransportMovesToTheTargetsOwnTokens(t *testing.T) {
	a := aligner(t, Options{Method: align.MethodTransport, Fallback: align.FallbackNone})
	r := row(t, a.source, a.target, "The sky is blue.")
	copied := aligner(t, Options{Method: align.MethodMinEditDistance, Fallback: align.FallbackNone})
	got, err := a.Align(r)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := copied.Align(r)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(plain.Status, got.Status); d != "" {
		t.Errorf("status (-copied +planned):\n%s", d)
	}
	planned, at, before := 0, 0, 0
	for i, count := range got.Counts {
		ids, was := got.IDs[at:at+int(count)], plain.IDs[before:before+int(plain.Counts[i])]
		at, before = at+int(count), before+int(plain.Counts[i])
		if len(was) < 10 || slices.Equal(ids, was) {
			continue
		}
		planned++
		mass := 0.0
		for k, id := range ids {
			mass += math.Exp(float64(got.LogProbs.([]float32)[at-int(count)+k]))
			if !slices.Contains(r.TargetTopIDs[12*i:12*i+10], id) {
				t.Errorf("position %d: token %d is not the target's own", i, id)
			}
		}
		if mass > 1+1e-6 {
			t.Errorf("position %d has mass %v", i, mass)
		}
	}
	if planned == 0 {
		t.Error("no row was planned")
	}
}

// TestRawValuesAreCopied: any numbers, as they are written.
func TestRawValuesAreCopied(t *testing.T) {
	for _, method := range all[1:] {
		a := aligner(t, Options{Method: method, Fallback: align.FallbackCurrent, Raw: true})
		r := row(t, a.source, a.target, "The sky is blue.")
		r.Text = nil
		got, err := a.Align(r)
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		var given []json.Number
		if err := json.Unmarshal(r.LogProbs, &given); err != nil {
			t.Fatal(err)
		}
		for _, number := range got.LogProbs.([]json.Number) {
			if method != align.MethodTransport && number != "1.0" && !slices.Contains(given, number) {
				t.Errorf("%s: %s was not given", method, number)
			}
		}
		if _, err := a.Draw(r, 80); err == nil {
			t.Errorf("%s: raw values were drawn", method)
		}
	}
}

func TestOpenSide(t *testing.T) {
	s := side(t, "sage", "<s>", "2")
	if d := cmp.Diff([]int32{1, 2}, s.Stops); d != "" || s.EndOfTurn() != 1 {
		t.Error(d)
	}
	if s.Vocab < s.Size() {
		t.Errorf("%d ids for %d tokens", s.Vocab, s.Size())
	}
	for _, end := range []string{"nothing", "-1", "99999"} {
		if _, err := OpenSide(filepath.Join("..", "..", "data", "models", "sage"), []string{end}); err == nil {
			t.Errorf("end of turn %q was taken", end)
		}
	}
	if (&Side{}).EndOfTurn() != -1 {
		t.Error("no stops have an end of turn")
	}
}

// TestInspect: what is written depends on the map alone.
func TestInspect(t *testing.T) {
	source, target := side(t, "sage"), side(t, "target")
	for _, method := range []vocabulary.Method{vocabulary.MethodSpelling, vocabulary.MethodSameString, vocabulary.MethodMinEditDistance} {
		m, err := vocabularies.Store{}.Map(method, source.Tokenizer, target.Tokenizer, nil)
		if err != nil {
			t.Fatal(err)
		}
		var first, second bytes.Buffer
		if err := Inspect(&first, m, source, target); err != nil {
			t.Fatal(err)
		}
		if err := Inspect(&second, m, source, target); err != nil || first.String() != second.String() {
			t.Errorf("%s: %v, two texts:\n%s\n%s", method, err, &first, &second)
		}
		for _, want := range []string{"method    " + string(method), "covered ", "\nworst\n", "\nsamples\n"} {
			if !strings.Contains(first.String(), want) {
				t.Errorf("%s: no %q in\n%s", method, want, &first)
			}
		}
	}
	if got := quoted(strings.Repeat("a", 99)); got != `"`+strings.Repeat("a", mostRunes)+`"…` {
		t.Errorf("a long token is shown as %s", got)
	}
}

// FuzzAlign: whatever a line says, every method refuses it or writes lists that fit.
func FuzzAlign(f *testing.F) {
	var aligners []*Aligner
	for _, method := range all {
		aligners = append(aligners, aligner(f, Options{Method: method, Fallback: align.FallbackCurrent, TopK: 2}))
		if method != align.MethodExact {
			aligners = append(aligners, aligner(f, Options{Method: method, Fallback: align.FallbackNext, Raw: true}))
		}
	}
	seed, err := json.Marshal(row(f, aligners[0].source, aligners[0].target, "e\u0301 is 12.\n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"text":"is","source_ids":[269,2],"counts":[1,1],"ids":[269,2],"logprobs":[-1,-0.0],"text_rank":[0,-1],"target_ids":[333,2]}`))
	f.Add([]byte(`{"text":"","source_ids":[],"counts":[],"ids":[],"logprobs":[],"target_counts":[],"target_top_ids":[],"target_logprobs":[]}`))
	f.Add([]byte(`{"source_ids":[269],"counts":[-1],"ids":[],"logprobs":[1e999],"target_ids":[-5]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, a := range aligners {
			var r Row
			if json.Unmarshal(line, &r) != nil {
				return
			}
			got, err := a.Align(&r)
			if err != nil {
				continue
			}
			sum := int32(0)
			for _, count := range got.Counts {
				sum += count
			}
			if len(got.Counts) != len(got.TargetIDs) || len(got.Status) != len(got.TargetIDs) || int(sum) != len(got.IDs) {
				t.Errorf("%s: %d tokens, %d counts of %d, %d statuses, %d ids", a.Method, len(got.TargetIDs), len(got.Counts), sum, len(got.Status), len(got.IDs))
			}
			if _, err := json.Marshal(got); err != nil {
				t.Error(err)
			}
		}
	})
}
