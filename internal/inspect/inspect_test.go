package inspect

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

const tokens = "../../models/tokenizer/testdata/gpt2-nfc.json"

// prompt is number i.
func prompt(i int) schemas.Prompt {
	messages := []schemas.Message{{Role: schemas.RoleUser, Content: fmt.Sprint("What is number ", i, "?")}}
	reference := fmt.Sprint("It is ", i, ".")
	return schemas.Prompt{ID: schemas.PromptID(messages), Messages: messages, Reference: &reference}
}

// distributions are a text's tokens with one entry each, end-of-turn last.
func distributions(t *testing.T, text string) (d schemas.TokenDistributions) {
	t.Helper()
	v, err := tokenizer.Load(tokens)
	if err != nil {
		t.Fatal(err)
	}
	ids, spans := v.EncodeMidSpans(text)
	for i := range len(ids) + 1 {
		id, start := int32(v.Size()-1), len(text)
		if i < len(ids) {
			id, start = ids[i], spans[i].Start
		}
		d.TokenIDs, d.IDs, d.StartBytes = append(d.TokenIDs, id), append(d.IDs, id), append(d.StartBytes, int32(start))
		d.TokenLogProbs, d.LogProbs = append(d.TokenLogProbs, -0.5), append(d.LogProbs, -0.5)
		d.TextRank, d.Counts = append(d.TextRank, 0), append(d.Counts, 1)
	}
	return d
}

// world is a run's folder with prompts and generations/sage in two parts of three; change edits the generations before
// they are written, without any check.
func world(t *testing.T, change func(rows []schemas.Generation)) string {
	t.Helper()
	dir := t.TempDir()
	v, err := tokenizer.Load(tokens)
	if err != nil {
		t.Fatal(err)
	}
	var prompts []schemas.Prompt
	var generations []schemas.Generation
	for i := range 6 {
		prompts = append(prompts, prompt(i))
		text := fmt.Sprint("Number ", i, ".")
		generations = append(generations, schemas.Generation{
			ID: prompts[i].ID, Source: "sage", Text: text, FinishReason: schemas.FinishStop, PromptTokens: 3, TopP: 1, TokenDistributions: distributions(t, text),
		})
	}
	if change != nil {
		change(generations)
	}
	write(t, dir, "prompts", dataset.Header{Schema: schemas.PromptSchema, ConfigDigest: "d"}, prompts[:3], prompts[3:])
	write(t, dir, "generations/sage", dataset.Header{Schema: schemas.GenerationSchema, ConfigDigest: "d", SourceTokenizer: v.Fingerprint()}, generations[:3], generations[3:])
	return dir
}

// write commits rows as they are: the encoder of package dataset would refuse malformed ones.
func write[T any](t *testing.T, dir, name string, h dataset.Header, parts ...[]T) {
	t.Helper()
	ctx := context.Background()
	store, err := dataset.OpenStore(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := dataset.Begin(ctx, store, name, h); err != nil {
		t.Fatal(err)
	}
	for part, rows := range parts {
		var b bytes.Buffer
		w := parquet.NewGenericWriter[T](&b, parquet.KeyValueMetadata("profuser.schema", h.Schema), parquet.KeyValueMetadata("profuser.config_digest", h.ConfigDigest),
			parquet.KeyValueMetadata("profuser.part", strconv.Itoa(part)), parquet.KeyValueMetadata("profuser.source_tokenizer", h.SourceTokenizer), parquet.KeyValueMetadata("profuser.target_tokenizer", h.TargetTokenizer))
		if _, err := w.Write(rows); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := store.Create(ctx, name+"/"+dataset.PartName(part), b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dataset.Commit(ctx, store, name, dataset.CommitOptions{Parts: len(parts)}); err != nil {
		t.Fatal(err)
	}
}

func validate(t *testing.T, address string) Result {
	t.Helper()
	r, err := Validate(t.Context(), address, Options{Checksums: true, Tokenizers: []string{tokens}, Faults: 10})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestValid: a run, a dataset of it and a file of it have no faults.
func TestValid(t *testing.T) {
	dir := world(t, nil)
	for address, files := range map[string]int{"": 4, "generations": 2, "generations/sage": 2, "generations/sage/part-000001.parquet": 1} {
		if r := validate(t, filepath.Join(dir, address)); len(r.Faults) > 0 || r.Files != files || r.Rows != int64(files)*3 {
			t.Errorf("%q: %+v", address, r)
		}
	}
	t.Chdir(dir)
	if r, err := Validate(t.Context(), ".", Options{Checksums: true, Faults: 1}); err != nil || len(r.Faults) > 0 || r.Files != 4 {
		t.Errorf("the current folder: %+v, %v", r, err)
	}
	if _, err := Validate(t.Context(), filepath.Join(dir, "prompts", "nothing"), Options{Faults: 1}); err == nil || !strings.Contains(err.Error(), "no dataset is there") {
		t.Errorf("nothing there: %v", err)
	}
}

// TestFaults: every invariant that is broken is found, with file, row and column.
func TestFaults(t *testing.T) {
	const first, second = "generations/sage/part-000000.parquet", "generations/sage/part-000001.parquet"
	for name, c := range map[string]struct {
		change func(rows []schemas.Generation)
		want   string
	}{
		"counts":      {func(r []schemas.Generation) { r[4].Counts[0] = 2 }, second + ", row 1: generation \"" + prompt(4).ID + "\": ids is a list of "},
		"order":       {func(r []schemas.Generation) { twoEntries(&r[1], -2, -0.25) }, first + ", row 1: generation \"" + prompt(1).ID + "\": logprobs[1] is -0.25, want no more"},
		"mass":        {func(r []schemas.Generation) { twoEntries(&r[1], -0.25, -0.25) }, first + ", row 1: generation \"" + prompt(1).ID + "\": logprobs[0] is the first of entries with mass 1.55"},
		"positive":    {func(r []schemas.Generation) { r[0].LogProbs[1] = 0.5 }, first + ", row 0: generation \"" + prompt(0).ID + "\": logprobs[1] is 0.5"},
		"twice":       {func(r []schemas.Generation) { r[2] = r[1] }, first + ", row 2: column id: \"" + prompt(1).ID + "\" (sage 0) stands in row 1 already"},
		"swapped":     {func(r []schemas.Generation) { r[0], r[1] = r[1], r[0] }, first + ", row 1: column id: \"" + prompt(0).ID + "\" stands after a prompt that follows it"},
		"other part":  {func(r []schemas.Generation) { r[0], r[5] = r[5], r[0] }, first + ", row 0: column id: \"" + prompt(5).ID + "\" is no prompt of this part"},
		"vocabulary":  {func(r []schemas.Generation) { r[0].TokenIDs[0], r[0].IDs[0] = 60000, 60000 }, first + ", row 0: generation \"" + prompt(0).ID + "\": token_ids[0] is 60000"},
		"other words": {func(r []schemas.Generation) { r[3].Text = "number 3." }, second + ", row 0: generation \"" + prompt(3).ID + "\": token_ids is spelling \"N"},
		"finish":      {func(r []schemas.Generation) { r[3].FinishReason = "tired" }, second + ", row 0: generation \"" + prompt(3).ID + "\": finish_reason"},
	} {
		r := validate(t, world(t, c.change))
		if len(r.Faults) == 0 || !strings.HasPrefix(cutFolder(r.Faults[0]), c.want) {
			t.Errorf("%s: %q, want %q", name, r.Faults, c.want)
		}
	}
}

// cutFolder drops the run's folder before a key.
func cutFolder(fault string) string {
	_, rest, _ := strings.Cut(fault, "/")
	return rest
}

// twoEntries puts a second entry at the first position.
func twoEntries(g *schemas.Generation, a, b float32) {
	g.Counts[0] = 2
	g.IDs = append([]int32{g.IDs[0], g.IDs[0] + 1}, g.IDs[1:]...)
	g.LogProbs = append([]float32{a, b}, g.LogProbs[1:]...)
}

// TestDamage: files that were changed, lost, added, or are stale.
func TestDamage(t *testing.T) {
	edit := func(path string, f func(data []byte) []byte) func(dir string) error {
		return func(dir string) error {
			data, err := os.ReadFile(filepath.Join(dir, path))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, path), f(data), 0o666)
		}
	}
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string
	}{
		"flipped":  {edit("prompts/part-000001.parquet", func(b []byte) []byte { b[40] ^= 1; return b }), "prompts/part-000001.parquet: has checksum"},
		"cut":      {edit("prompts/part-000000.parquet", func(b []byte) []byte { return b[:len(b)/2] }), "prompts/part-000000.parquet: has checksum"},
		"lost":     {func(dir string) error { return os.Remove(filepath.Join(dir, "generations/sage/part-000001.parquet")) }, "generations/sage/part-000001.parquet: reading"},
		"manifest": {edit("prompts/_MANIFEST-000001.json", func(b []byte) []byte { return bytes.Replace(b, []byte(`"rows": 6`), []byte(`"rows": 7`), 1) }), "prompts: opening dataset"},
		"surplus": {func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "prompts/part-000002.parquet"), nil, 0o666)
		}, "prompts/part-000002.parquet: is there although"},
		"rejected": {func(dir string) error {
			if err := os.MkdirAll(filepath.Join(dir, "prompts/rejected"), 0o777); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "prompts/rejected/part-000000.parquet"), nil, 0o666)
		}, "prompts: "},
	} {
		dir := world(t, nil)
		if err := c.change(dir); err != nil {
			t.Fatal(err)
		}
		r := validate(t, dir)
		found := false
		for _, f := range r.Faults {
			found = found || strings.HasPrefix(cutFolder(f), c.want)
		}
		if !found {
			t.Errorf("%s: %q, want %q", name, r.Faults, c.want)
		}
	}
}

// TestStale: a part that was made from an input which has changed since.
func TestStale(t *testing.T) {
	dir := world(t, nil)
	ctx := t.Context()
	store, err := dataset.OpenStore(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	rows := []schemas.Reward{{ID: prompt(0).ID, Source: "sage", Score: 1}}
	h := dataset.Header{Schema: schemas.RewardSchema, ConfigDigest: "d"}
	if err := dataset.Begin(ctx, store, "rewards/judge", h); err != nil {
		t.Fatal(err)
	}
	for part, sum := range []string{"", strings.Repeat("0", 64)} {
		f := dataset.Footer{ConfigDigest: "d", Part: part}
		if sum != "" {
			f.Inputs = []dataset.Input{{Path: "generations/sage/" + dataset.PartName(part), SHA256: sum}}
		}
		data, err := dataset.EncodePart(rows[:1-part], f)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Create(ctx, "rewards/judge/"+dataset.PartName(part), data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dataset.Commit(ctx, store, "rewards/judge", dataset.CommitOptions{Parts: 2}); err != nil {
		t.Fatal(err)
	}
	r := validate(t, filepath.Join(dir, "rewards"))
	if len(r.Faults) != 1 || !strings.HasPrefix(r.Faults[0], "rewards/judge/part-000001.parquet: profuser.inputs: generations/sage/part-000001.parquet has another checksum now") {
		t.Errorf("%q", r.Faults)
	}
}

// TestShow: what a person sees, of a dataset, of a run, of a file of ours and of a foreign one.
func TestShow(t *testing.T) {
	dir := world(t, nil)
	type foreign struct {
		Name string
		N    []int64
	}
	var b bytes.Buffer
	if err := parquet.Write(&b, []foreign{{"x", []int64{1, 2}}}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "foreign.parquet"), b.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string][]string{
		"":                            {"prompts\n", "generations/sage\n", "schema            generation/1"},
		"generations/sage":            {"rows              6", "rejected          none", "logprobs", "BYTE_STREAM_SPLIT", `text            "Number 0."`, "row 1", `finish_reason   "stop"`},
		"prompts/part-000000.parquet": {"rows              3 in 1 row groups", "config_digest     d", "messages.role", `reference       "It is 0."`},
		"foreign.parquet":             {"rows              1", "Name", `"x"`},
	} {
		var out strings.Builder
		if err := Show(t.Context(), &out, filepath.Join(dir, address), 2); err != nil {
			t.Errorf("%q: %v", address, err)
		}
		for _, w := range want {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%q lacks %q:\n%s", address, w, out.String())
			}
		}
	}
}

// FuzzFile: whatever bytes a file has, looking at it ends without a panic, in text, faults or an error.
func FuzzFile(f *testing.F) {
	var b bytes.Buffer
	w := parquet.NewGenericWriter[schemas.Prompt](&b, parquet.KeyValueMetadata("profuser.schema", schemas.PromptSchema), parquet.KeyValueMetadata("profuser.part", "0"))
	if _, err := w.Write([]schemas.Prompt{prompt(1), prompt(2)}); err != nil {
		f.Fatal(err)
	}
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes(), 60, byte(1))
	f.Add(b.Bytes(), b.Len()-30, byte(0x80))
	f.Fuzz(func(t *testing.T, data []byte, at int, flip byte) {
		data = bytes.Clone(data)
		if len(data) > 0 {
			data[uint(at)%uint(len(data))] ^= flip
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "x.parquet"), data, 0o666); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		_ = Show(t.Context(), &out, filepath.Join(dir, "x.parquet"), 1)
		_, _ = Validate(t.Context(), filepath.Join(dir, "x.parquet"), Options{Faults: 3})
	})
}

// TestRejected: rejected/ must say what the footers say.
func TestRejected(t *testing.T) {
	dir := world(t, nil)
	ctx := t.Context()
	store, err := dataset.OpenStore(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := dataset.Begin(ctx, store, "rewards/judge", dataset.Header{Schema: schemas.RewardSchema, ConfigDigest: "d"}); err != nil {
		t.Fatal(err)
	}
	reject := schemas.Rejected{ID: prompt(0).ID, Source: "sage", Step: "reward", Code: "too_long", Message: "of 9 tokens", Attempts: 1}
	for part, rejects := range [][]schemas.Rejected{{reject}, nil} {
		data, err := dataset.EncodePart([]schemas.Reward{}, dataset.Footer{ConfigDigest: "d", Part: part, Rejects: rejects})
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Create(ctx, "rewards/judge/"+dataset.PartName(part), data); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := dataset.Commit(ctx, store, "rewards/judge", dataset.CommitOptions{Parts: 2, MaxRejects: 1}); err != nil {
		t.Fatal(err)
	}
	if r := validate(t, dir); len(r.Faults) > 0 {
		t.Errorf("%q", r.Faults)
	}
	reject.Message = "of 10 tokens"
	data, err := dataset.EncodePart([]schemas.Rejected{reject}, dataset.Footer{ConfigDigest: "d"})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "rewards/judge/rejected/part-000000.parquet")
	if err := os.WriteFile(file, data, 0o666); err != nil {
		t.Fatal(err)
	}
	if r := validate(t, dir); len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "rejected/part-000000.parquet: differs") {
		t.Errorf("%q", r.Faults)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if r := validate(t, dir); len(r.Faults) != 1 || !strings.Contains(r.Faults[0], "the part's footer has 1 rejects") {
		t.Errorf("%q", r.Faults)
	}
}

// TestChunks: chunks are checked where a file of fusion examples has them.
func TestChunks(t *testing.T) {
	for end, want := range map[int32]string{7: "", 9: `chunk_ends[1] is 9, want more than 1, the one before, and at most 7, the length of text_ids`} {
		dir := world(t, nil)
		v, err := tokenizer.Load(tokens)
		if err != nil {
			t.Fatal(err)
		}
		d := distributions(t, "It is 1.")
		e := schemas.ChunkedExample{FusionExample: schemas.FusionExample{
			ID: prompt(1).ID, Mode: schemas.ModeTraining, Source: "sage", Selected: true, Weight: 1, PromptIDs: []int32{1}, TextIDs: d.TokenIDs,
			Counts: d.Counts, IDs: d.IDs, LogProbs: d.LogProbs, Text: "It is 1.",
		}, ChunkEnds: []int32{1, end}, ChunkLogProbs: []float32{-1, -2}}
		for range d.TokenIDs {
			e.Status = append(e.Status, schemas.StatusExact)
		}
		write(t, dir, "fusion/training", dataset.Header{Schema: schemas.FusionExampleSchema, ConfigDigest: "d", TargetTokenizer: v.Fingerprint()}, []schemas.ChunkedExample{e}, nil)
		r, err := Validate(t.Context(), filepath.Join(dir, "fusion", "training"), Options{Checksums: true, Faults: 10})
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.Join(r.Faults, "\n"); (text == "") != (want == "") || !strings.Contains(text, want) {
			t.Errorf("%d tokens, a chunk ends after %d: %q, want %q", len(d.TokenIDs), end, text, want)
		}
	}
}
