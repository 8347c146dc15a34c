package dataset

import (
	"context"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/schemas"
)

// countingStore counts what is read in pieces.
type countingStore struct {
	Store
	reads, bytes int64
}

func (s *countingStore) open(ctx context.Context, key string) (io.ReaderAt, int64, func() error, error) {
	r, size, done, err := s.Store.(opener).open(ctx, key)
	at := readerAt(func(p []byte, offset int64) (int, error) {
		s.reads, s.bytes = s.reads+1, s.bytes+int64(len(p))
		return r.ReadAt(p, offset)
	})
	return at, size, done, err
}

// TestColumns: the named columns are those that Rows gives, the others are zero, and of a large part two pieces are read,
// together less than two thirds. The second dataset's parts are smaller than the piece that the footer comes with.
func TestColumns(t *testing.T) {
	names := []string{"id", "selected", "reward", "prompt_ids", "text_ids"}
	for name, n := range map[string]int{"large": 2000, "small": 3} {
		for _, url := range []string{t.TempDir(), "mem://columns-" + name} {
			ctx := context.Background()
			inner, err := OpenStore(ctx, url)
			if err != nil {
				t.Fatal(err)
			}
			s := &countingStore{Store: inner}
			if err := Begin(ctx, s, "fusion/inference", Header{Schema: schemas.FusionExampleSchema, ConfigDigest: "c"}); err != nil {
				t.Fatal(err)
			}
			data, err := EncodePart(sampleFusionExamples(n), Footer{ConfigDigest: "c"})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Create(ctx, "fusion/inference/"+PartName(0), data); err != nil {
				t.Fatal(err)
			}
			if _, err := Commit(ctx, s, "fusion/inference", CommitOptions{Parts: 1}); err != nil {
				t.Fatal(err)
			}
			d, err := Open(ctx, s, "fusion/inference")
			if err != nil {
				t.Fatal(err)
			}
			want, _, err := Rows[schemas.FusionExample](ctx, d, 0)
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range want {
				want[i] = schemas.FusionExample{ID: r.ID, Selected: r.Selected, Reward: r.Reward, PromptIDs: r.PromptIDs, TextIDs: r.TextIDs}
			}
			s.reads, s.bytes = 0, 0
			got, err := Columns[schemas.FusionExample](ctx, d, 0, names...)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s at %s (-rows +columns):\n%s", name, url, diff)
			}
			if name == "large" && (s.reads != 2 || 3*s.bytes > 2*int64(len(data))) {
				t.Errorf("%s: %d reads of %d bytes, the part has %d", url, s.reads, s.bytes, len(data))
			}
			if err := s.Remove(ctx, d.Key(0)); err != nil {
				t.Fatal(err)
			}
			if err := s.Create(ctx, d.Key(0), data[:len(data)-1]); err != nil {
				t.Fatal(err)
			}
			_, err = Columns[schemas.FusionExample](ctx, d, 0, names...)
			wantError(t, err, d.Key(0), "checksum", "changed or damaged")
			if name == "small" && s.reads != 1 {
				t.Errorf("%s: %d reads of a small part", url, s.reads)
			}
		}
	}
}
