package dataset

import (
	"flag"
	"math"
	"math/rand/v2"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/schemas"
)

// real is a dataset of readings (crossentropy/<source> of a run) whose distributions the benchmarks use instead of drawn
// ones; make bench-dataset says how to get one.
var real = flag.String("real", "", "folder of a dataset of readings for the benchmarks")

// texts are the references of the run that -real belongs to, or words.
func texts(t testing.TB, rows []schemas.TeacherForcing) []string {
	t.Helper()
	out := make([]string, len(rows))
	if *real == "" {
		random := rand.New(rand.NewPCG(5, 6))
		words := strings.Fields("the a of and so we have then number apples each answer is 12 7 48 times plus half sold more than total")
		for i, r := range rows {
			for len(out[i]) < int(r.Bytes) {
				out[i] += words[random.IntN(len(words))] + " "
			}
		}
		return out
	}
	store, err := OpenStore(t.Context(), path.Join(*real, "../.."))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(t.Context(), store, "prompts")
	if err != nil {
		t.Fatal(err)
	}
	prompts, _, err := Rows[schemas.Prompt](t.Context(), d, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range rows {
		out[i] = *prompts[i].Reference
	}
	return out
}

// readings are those of -real, or 256 rows of 130 positions with as many entries as a 135M model has over 49,152 tokens.
func readings(t testing.TB) []schemas.TeacherForcing {
	t.Helper()
	if *real == "" {
		return drawnReadings(256, 130)
	}
	ctx := t.Context()
	store, err := OpenStore(ctx, path.Dir(*real))
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(ctx, store, path.Base(*real))
	if err != nil {
		t.Fatal(err)
	}
	rows, _, err := Rows[schemas.TeacherForcing](ctx, d, 0)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// drawnReadings draws distributions: ids by Zipf's law, probabilities falling by a power, up to 32 entries.
func drawnReadings(n, positions int) []schemas.TeacherForcing {
	random := rand.New(rand.NewPCG(3, 4))
	zipf := rand.NewZipf(random, 1.2, 20, 49151)
	rows := make([]schemas.TeacherForcing, n)
	for i, p := range samplePrompts(n) {
		d := schemas.TokenDistributions{}
		for t := range positions {
			k := 1 + int(math.Min(31, random.ExpFloat64()*14))
			slope := 1 + random.ExpFloat64()
			var seen []int32
			for j := range k {
				id := int32(zipf.Uint64())
				for slices.Contains(seen, id) {
					id = (id + 1) % 49152
				}
				seen = append(seen, id)
				p := 0.6 * math.Pow(float64(j+1), -1-slope)
				d.LogProbs = append(d.LogProbs, roundBFloat16(float32(math.Log(p))))
			}
			rank := min(int(random.ExpFloat64()*1.5), k-1)
			d.IDs = append(d.IDs, seen...)
			d.TokenIDs, d.TextRank, d.Counts = append(d.TokenIDs, seen[rank]), append(d.TextRank, int32(rank)), append(d.Counts, int32(k))
			d.TokenLogProbs = append(d.TokenLogProbs, d.LogProbs[len(d.LogProbs)-k+rank]*(1+float32(random.Float64())/300))
			d.StartBytes = append(d.StartBytes, int32(3*t+random.IntN(2)))
		}
		r := schemas.TeacherForcing{ID: p.ID, Source: "sage", Bytes: int32(3*positions + 2), Tokens: int32(positions), TokenDistributions: d}
		for _, x := range d.TokenLogProbs {
			r.Nats -= float64(x)
		}
		r.NatsPerByte = r.Nats / float64(r.Bytes)
		rows[i] = r
	}
	return rows
}

func roundBFloat16(x float32) float32 {
	return math.Float32frombits((math.Float32bits(x) + 0x8000) & 0xFFFF0000)
}

// examples are the readings as fusion examples in the same vocabulary.
func examples(readings []schemas.TeacherForcing, texts []string) []schemas.FusionExample {
	rows := make([]schemas.FusionExample, len(readings))
	for i, r := range readings {
		status := make([]int32, len(r.TokenIDs))
		for t := range status {
			status[t] = schemas.StatusExact
			if t%13 == 5 {
				status[t] = schemas.StatusBoundary
			}
		}
		rows[i] = schemas.FusionExample{
			ID: r.ID, Mode: schemas.ModeTraining, Source: r.Source, Selected: true, Weight: 1, PromptIDs: r.TokenIDs[:min(len(r.TokenIDs), 60)],
			TextIDs: r.TokenIDs, Counts: r.Counts, IDs: r.IDs, LogProbs: r.LogProbs, Status: status, NatsPerByte: r.NatsPerByte, Margin: ptr(0.1),
			Text: texts[i],
		}
	}
	return rows
}

// round rounds the rows' log-probs as the step fuse does, and gives the mean over positions of the divergence, in nats,
// from what they were to what they are, the rest as one more entry.
func round(rows []schemas.FusionExample) (mean float64) {
	positions := 0
	for i := range rows {
		exact := rows[i].LogProbs
		rows[i].LogProbs = slices.Clone(exact)
		dist.Sparse{Counts: rows[i].Counts, IDs: rows[i].IDs, LogProbs: rows[i].LogProbs}.RoundStored()
		start := 0
		for _, count := range rows[i].Counts {
			mean += divergence(exact[start:start+int(count)], rows[i].LogProbs[start:start+int(count)])
			start += int(count)
			positions++
		}
	}
	return mean / float64(positions)
}

// divergence is KL(p ‖ q) of two positions with the same entries; a mass over 1 is divided out.
func divergence(p, q []float32) (nats float64) {
	mass := func(logProbs []float32) (sum float64) {
		for _, x := range logProbs {
			sum += math.Exp(float64(x))
		}
		return sum
	}
	ofP, ofQ := mass(p), mass(q)
	for k := range p {
		x, y := float64(p[k])-math.Log(max(1, ofP)), float64(q[k])-math.Log(max(1, ofQ))
		nats += math.Exp(x) * (x - y)
	}
	if rest := 1 - ofP; rest > 0 {
		nats += rest * math.Log(rest/max(1e-8, 1-ofQ))
	}
	return nats
}

// decodedBytes is the size of a row's values in memory: 4 or 8 bytes a number, a string's bytes.
func decodedBytes(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return decodedBytes(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			n += decodedBytes(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += decodedBytes(v.Index(i))
		}
	case reflect.String:
		return v.Len()
	default:
		return int(v.Type().Size())
	}
	return n
}

// entriesOf counts stored entries.
func entriesOf(rows []schemas.FusionExample) (entries, positions int) {
	for _, r := range rows {
		entries += len(r.IDs)
		positions += len(r.TextIDs)
	}
	return entries, positions
}

// BenchmarkStorage writes and reads a fusion dataset's part: MB/s of decoded rows, one core, and the bytes of an entry and
// of a position, all in.
func BenchmarkStorage(b *testing.B) {
	read := readings(b)
	rows := examples(read, texts(b, read))
	kl := round(rows)
	size := decodedBytes(reflect.ValueOf(rows))
	entries, positions := entriesOf(rows)
	footer := sampleFooter()
	data, err := EncodePart(rows, footer)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("write", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := EncodePart(rows, footer); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(len(data))/float64(entries), "B/entry")
		b.ReportMetric(float64(len(data))/float64(positions), "B/position")
		b.ReportMetric(float64(entries)/float64(positions), "entries/position")
		b.ReportMetric(1e6*kl, "µnats/position")
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(int64(size))
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := DecodePart[schemas.FusionExample](data); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("validate", func(b *testing.B) {
		b.SetBytes(int64(size))
		for b.Loop() {
			for i := range rows {
				if err := rows[i].Validate(); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
