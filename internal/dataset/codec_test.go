package dataset

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
	"github.com/profuser/profuser/schemas"
)

// samples writes one part of every record for testdata/check_pyarrow.py.
var samples = flag.String("samples", "", "folder in which TestRoundTrip leaves a part of every record")

func sampleFooter() Footer {
	return Footer{
		ConfigDigest: "c0ffee", Part: 12, SourceTokenizer: "aa", TargetTokenizer: "bb", SourceModel: "sage", Truncate: "mass 0.99, top_k 32",
		ChatTemplate: "cc", CreatedBy: "profuser test", Inputs: []Input{{Path: "prompts/part-000012.parquet", SHA256: "dd"}}, Rejects: sampleRejects(2),
	}
}

func TestRoundTrip(t *testing.T) {
	t.Run("prompt", func(t *testing.T) { roundTrip(t, samplePrompts(256)) })
	t.Run("generation", func(t *testing.T) { roundTrip(t, sampleGenerations(64, 40, 4)) })
	t.Run("teacher_forcing", func(t *testing.T) { roundTrip(t, sampleTeacherForcings(60)) })
	t.Run("reward", func(t *testing.T) { roundTrip(t, sampleRewards(60)) })
	t.Run("verdict", func(t *testing.T) { roundTrip(t, sampleVerdicts(60)) })
	t.Run("selection", func(t *testing.T) { roundTrip(t, sampleSelections(60)) })
	t.Run("fusion_example", func(t *testing.T) { roundTrip(t, sampleFusionExamples(60)) })
	t.Run("evaluation", func(t *testing.T) { roundTrip(t, sampleEvaluations(60)) })
	t.Run("rejected", func(t *testing.T) { roundTrip(t, sampleRejects(60)) })
	t.Run("many pages", func(t *testing.T) { roundTrip(t, sampleGenerations(80, 120, 10)) })
	t.Run("no rows", func(t *testing.T) { roundTrip(t, []schemas.Generation{}) })
	t.Run("one row", func(t *testing.T) { roundTrip(t, samplePrompts(1)) })
}

// several are rows of several samples.
func several[T any](rows []T, sample func(r *T, k int32)) []T {
	for i := range rows {
		sample(&rows[i], int32(i%3))
	}
	return rows
}

// TestSamples: rows of several samples come back as they were.
func TestSamples(t *testing.T) {
	t.Run("selection", func(t *testing.T) {
		roundTrip(t, several(sampleSelections(30), func(s *schemas.Selection, k int32) { s.Sample, s.Candidates[0].Sample = k, k }))
	})
	t.Run("teacher_forcing", func(t *testing.T) {
		roundTrip(t, several(sampleTeacherForcings(30), func(r *schemas.TeacherForcing, k int32) { r.Sample = k }))
	})
	t.Run("fusion_example", func(t *testing.T) {
		roundTrip(t, several(sampleFusionExamples(30), func(e *schemas.FusionExample, k int32) {
			if e.Mode == schemas.ModeInference {
				e.Sample = k
			}
		}))
	})
}

// roundTrip checks that rows and footer come back equal, that equal rows give equal bytes, and that the library's own
// row reader sees the same rows as our column reader.
func roundTrip[T any](t *testing.T, rows []T) {
	t.Helper()
	want := sampleFooter()
	data, err := EncodePart(rows, want)
	if err != nil {
		t.Fatal(err)
	}
	if *samples != "" {
		file := filepath.Join(*samples, strings.ReplaceAll(t.Name(), "/", "_")+".parquet")
		if err := os.WriteFile(file, data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	again, err := EncodePart(rows, want)
	if err != nil || !bytes.Equal(data, again) {
		t.Fatalf("equal rows gave other bytes (%v)", err)
	}
	got, footer, err := DecodePart[T](data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rows, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	want.Schema = any(new(T)).(record).Schema()
	if diff := cmp.Diff(want, footer); diff != "" {
		t.Errorf("footer (-want +got):\n%s", diff)
	}
	file, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if n := len(file.RowGroups()); n > 1 {
		t.Errorf("%d row groups, want one", n)
	}
	if len(rows) == 0 {
		return
	}
	byRow, err := parquet.Read[T](bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(byRow, got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("row reader against column reader:\n%s", diff)
	}
}

func TestGoldenSchemas(t *testing.T) {
	text := func(schema string) string {
		switch schema {
		case schemas.PromptSchema:
			return describe[schemas.Prompt]()
		case schemas.GenerationSchema:
			return describe[schemas.Generation]()
		case schemas.TeacherForcingSchema:
			return describe[schemas.TeacherForcing]()
		case schemas.RewardSchema:
			return describe[schemas.Reward]()
		case schemas.VerdictSchema:
			return describe[schemas.Verdict]()
		case schemas.SelectionSchema:
			return describe[schemas.Selection]()
		case schemas.FusionExampleSchema:
			return describe[schemas.FusionExample]()
		case schemas.EvaluationSchema:
			return describe[schemas.Evaluation]()
		case schemas.RejectedSchema:
			return describe[schemas.Rejected]()
		}
		return "unknown schema: add it to this test"
	}
	seen := map[string]bool{}
	datadriven.RunTest(t, "testdata/schemas", func(t *testing.T, d *datadriven.TestData) string {
		schema := d.CmdArgs[0].Key
		seen[schema] = true
		return text(schema)
	})
	for _, schema := range schemas.All() {
		if !seen[schema] {
			t.Errorf("testdata/schemas has no golden text of %s", schema)
		}
	}
}

// describe returns the Parquet schema with the encoding of every column.
func describe[T any]() string {
	schema := parquet.SchemaOf(new(T))
	var b strings.Builder
	b.WriteString(schema.String() + "\n")
	for _, path := range schema.Columns() {
		leaf, _ := schema.Lookup(path...)
		encoding := "PLAIN"
		if e := leaf.Node.Encoding(); e != nil {
			encoding = e.Encoding().String()
		}
		b.WriteString(strings.Join(path, ".") + ": " + encoding + "\n")
	}
	return b.String()
}

func TestEncodeRefuses(t *testing.T) {
	rows := sampleGenerations(3, 8, 3)
	rows[1].LogProbs[4] = -0.1
	_, err := EncodePart(rows, Footer{Part: 3})
	wantError(t, err, "part 3 of generation/1", "row 1", "logprobs[4] is -0.1")
	_, err = EncodePart(samplePrompts(1), Footer{Schema: "reward/1"})
	wantError(t, err, `schema "reward/1"`)
	_, err = EncodePart([]struct{ A int }{{1}}, Footer{})
	wantError(t, err, "no record")
	_, err = EncodePart(samplePrompts(1), Footer{Rejects: []schemas.Rejected{{Step: "ingest"}}})
	wantError(t, err, "reject 0", "code")
}

func TestDecodeRefuses(t *testing.T) {
	data, err := EncodePart(samplePrompts(30), sampleFooter())
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = DecodePart[schemas.Reward](data)
	wantError(t, err, "prompt/1", "reward/1")
	for _, cut := range []int{0, 3, 100, len(data) / 2, len(data) - 1} {
		if _, _, err := DecodePart[schemas.Prompt](data[:cut]); err == nil {
			t.Errorf("a file cut at %d of %d bytes was read", cut, len(data))
		}
	}
	newer := bytes.ReplaceAll(data, []byte("prompt/1"), []byte("prompt/2"))
	_, _, err = DecodePart[schemas.Prompt](newer)
	wantError(t, err, "prompt/2 is newer", "prompt/1")
}

// FuzzDecodePart: damaged bytes are errors, never panics.
func FuzzDecodePart(f *testing.F) {
	data, err := EncodePart(sampleGenerations(3, 4, 2), sampleFooter())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data, 100, byte(1))
	f.Add(data, len(data)-20, byte(0xff))
	f.Fuzz(func(_ *testing.T, data []byte, at int, flip byte) {
		data = bytes.Clone(data)
		if len(data) > 0 {
			data[uint(at)%uint(len(data))] ^= flip
		}
		_, _, _ = DecodePart[schemas.Generation](data)
	})
}

// wantError demands an error of one line that holds all the parts.
func wantError(t *testing.T, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range append(parts, "") {
		if !strings.Contains(err.Error(), part) || strings.Contains(err.Error(), "\n") {
			t.Errorf("error %q, want one line with %q", err, part)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	data, err := EncodePart(sampleGenerations(256, 320, 4), sampleFooter())
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := DecodePart[schemas.Generation](data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	rows := sampleGenerations(256, 320, 4)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := EncodePart(rows, sampleFooter()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGenericReader(b *testing.B) {
	data, err := EncodePart(sampleGenerations(256, 320, 4), sampleFooter())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parquet.Read[schemas.Generation](bytes.NewReader(data), int64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
}

// TestChunksAreOptional: examples with chunks come back as they were (the Parquet library's own reader takes nulls in an
// embedded struct for zeros, so it is not asked), files with chunks are read without them, files without are refused where chunks are wanted.
func TestChunksAreOptional(t *testing.T) {
	rows := sampleChunked(30)
	data, err := EncodePart(rows, sampleFooter())
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := DecodePart[schemas.ChunkedExample](data)
	if diff := cmp.Diff(rows, again, cmpopts.EquateEmpty()); diff != "" || err != nil {
		t.Errorf("rows (-want +got, error %v):\n%s", err, diff)
	}
	plain, footer, err := DecodePart[schemas.FusionExample](data)
	if err != nil || footer.Schema != schemas.FusionExampleSchema {
		t.Fatal(footer.Schema, err)
	}
	if diff := cmp.Diff(sampleFusionExamples(30), plain, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("without chunks (-want +got):\n%s", diff)
	}
	if data, err = EncodePart(plain, sampleFooter()); err != nil {
		t.Fatal(err)
	}
	_, _, err = DecodePart[schemas.ChunkedExample](data)
	wantError(t, err, "column chunk_ends.list.element of fusion_example/1 is missing")
}
