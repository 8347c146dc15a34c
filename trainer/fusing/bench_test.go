package fusing

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/trainer/curriculum"
	"github.com/profuser/profuser/trainer/loop"
	"github.com/profuser/profuser/trainer/objective"
	"github.com/profuser/profuser/trainer/optim"
)

// partRows is the default of prompts.part_rows.
const partRows = 256

// repeated is a dataset of n prompts with the rows of testdata/shard, over and over under other ids: the demo's texts and
// distributions.
func repeated(b *testing.B, n int) dataset.Store {
	b.Helper()
	ctx := b.Context()
	from, err := dataset.OpenStore(ctx, "testdata/shard")
	if err != nil {
		b.Fatal(err)
	}
	to, err := dataset.OpenStore(ctx, b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	parts := (n + partRows - 1) / partRows
	for _, mode := range modeNames {
		name := "fusion/" + mode
		d, err := dataset.Open(ctx, from, name)
		if err != nil {
			b.Fatal(err)
		}
		rows, footer, err := dataset.Rows[schemas.FusionExample](ctx, d, 0)
		if err != nil {
			b.Fatal(err)
		}
		if err := dataset.Begin(ctx, to, name, d.Header); err != nil {
			b.Fatal(err)
		}
		part := func(part int) ([]byte, error) {
			var out []schemas.FusionExample
			for i := part * partRows; i < min(n, (part+1)*partRows); i++ {
				row := rows[i%len(rows)]
				row.ID = fmt.Sprintf("%032x", i)
				out = append(out, row)
			}
			return dataset.EncodePart(out, dataset.Footer{ConfigDigest: footer.ConfigDigest, Part: part, TargetTokenizer: footer.TargetTokenizer})
		}
		for k := range parts {
			data, err := part(k)
			if err == nil {
				err = to.Create(ctx, name+"/"+dataset.PartName(k), data)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		if _, err := dataset.Commit(ctx, to, name, dataset.CommitOptions{Parts: parts}); err != nil {
			b.Fatal(err)
		}
	}
	return to
}

// benchmark is a training of the demo's target on a store.
func benchmark(b *testing.B, store dataset.Store) Options {
	b.Helper()
	return Options{
		Store: store, Out: b.TempDir(), Target: "../../data/models/target", Format: chat.Options{}, Seed: 1, Holdout: 0.02, Beta: 0.5,
		Teaching: objective.Teaching{Divergence: objective.KL, Rest: objective.Bucket, Temperature: 1}, Normalize: PerExample,
		Stages: []curriculum.Stage{{Name: "both", Epochs: 1, Inference: 0.1, Training: 1}}, BatchPrompts: 20, PeakFlops: -1, MaxLength: 256, LearningRate: 1e-5,
		Optimizer: optim.Default(), Backend: "go:ops_sequential", KeepLast: 1, MaxBadSteps: 1, Log: io.Discard,
	}
}

// BenchmarkLoader opens a dataset of b.N prompts and reads an epoch of it as a training does, cut and laid out, without
// the training. It reports the seconds until the first batch could be read, tokens a second, and the largest live heap.
func BenchmarkLoader(b *testing.B) {
	for _, packing := range []bool{false, true} {
		b.Run(fmt.Sprintf("packing=%v", packing), func(b *testing.B) {
			b.StopTimer()
			o := benchmark(b, repeated(b, b.N))
			o.Packing = packing
			b.StartTimer()
			started := time.Now()
			t := opened(b, &o)
			open := time.Since(started)
			epochs, _, err := plan(&o, t.corpus)
			if err != nil {
				b.Skip(err) // the one prompt of the first try is held out
			}
			started = time.Now()
			tokens, heap := drain(b, t, epochs[0])
			b.ReportMetric(open.Seconds(), "s-to-open")
			b.ReportMetric(float64(tokens)/time.Since(started).Seconds(), "tokens/s")
			b.ReportMetric(float64(heap)/(1<<20), "MiB-heap")
		})
	}
}

// BenchmarkWaiting trains the demo's target for b.N steps of 20 prompts. It reports tokens a second and the share of the
// steps' time spent waiting for data.
func BenchmarkWaiting(b *testing.B) {
	for _, packing := range []bool{false, true} {
		b.Run(fmt.Sprintf("packing=%v", packing), func(b *testing.B) {
			b.StopTimer()
			o := benchmark(b, repeated(b, 20*b.N+1))
			o.Packing, o.Holdout = packing, 0
			b.StartTimer()
			if _, err := Run(b.Context(), o); err != nil {
				b.Fatal(err)
			}
			data, err := os.ReadFile(o.metrics())
			if err != nil {
				b.Fatal(err)
			}
			var sum stepLine
			for line := range bytes.Lines(data) {
				var l stepLine
				if err := json.Unmarshal(line, &l); err != nil {
					b.Fatal(err)
				}
				sum.Tokens, sum.Seconds, sum.Wait = sum.Tokens+l.Tokens, sum.Seconds+l.Seconds, sum.Wait+l.Wait
			}
			b.ReportMetric(float64(sum.Tokens)/sum.Seconds, "tokens/s")
			b.ReportMetric(100*sum.Wait/sum.Seconds, "%wait")
		})
	}
}

// opened is a training with its datasets open and no model.
func opened(b *testing.B, o *Options) *trainer {
	b.Helper()
	if err := o.validate(); err != nil {
		b.Fatal(err)
	}
	format, err := chat.Load(o.Target, o.Format)
	if err != nil {
		b.Fatal(err)
	}
	var sets [modes]*dataset.Dataset
	for m := range modes {
		if sets[m], err = openSet(b.Context(), o.Store, m, format.Tokenizer().Fingerprint()); err != nil {
			b.Fatal(err)
		}
	}
	c, err := openCorpus(b.Context(), o, sets, o.MaxLength, 768)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.close)
	return &trainer{o: o, corpus: c}
}

// drain reads an epoch and returns its tokens, and the most bytes on the heap after a collection meanwhile.
func drain(b *testing.B, t *trainer, e epoch) (tokens int, heap uint64) {
	b.Helper()
	batches := t.ahead(b.Context(), e)
	defer batches.Close()
	for at := range e.batches {
		l, _, err := batches.Next(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for _, m := range l.micros {
			m.weigh(l.counts, t.o.Normalize, e.weights, t.o.blend(e.stage))
			m.inputs()
		}
		tokens += l.tokens()
		if at%max(1, e.batches/20) == 0 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			heap = max(heap, m.HeapAlloc)
		}
	}
	return tokens, heap
}

// real is a run whose texts' lengths BenchmarkPacking takes instead of drawn ones.
var real = flag.String("real", "", "out folder of a run, for BenchmarkPacking: make real-prompts")

// longTailed are examples without teachers: lengths of -real, or lognormal ones of a median of 60 prompt and 90 text
// tokens, one in forty over three times that, cut at 1024 together.
func longTailed(b *testing.B, n int) []*example {
	b.Helper()
	random := rand.New(rand.NewPCG(3, 4))
	var lengths [][2]int
	if *real == "" {
		for range n {
			draw := func(median float64) int { return int(median*math.Exp(0.6*random.NormFloat64())) + 1 }
			lengths = append(lengths, [2]int{min(400, draw(60)), min(624, draw(90))})
		}
	} else {
		store, err := dataset.OpenStore(b.Context(), *real)
		if err != nil {
			b.Fatal(err)
		}
		d, err := dataset.Open(b.Context(), store, "fusion/"+schemas.ModeTraining)
		if err != nil {
			b.Fatal(err)
		}
		for part := 0; len(lengths) < n; part++ {
			rows, err := dataset.Columns[schemas.FusionExample](b.Context(), d, part%d.Parts(), "prompt_ids", "text_ids")
			if err != nil {
				b.Fatal(err)
			}
			for _, r := range rows {
				lengths = append(lengths, [2]int{len(r.PromptIDs), len(r.TextIDs)})
			}
		}
	}
	var out []*example
	for _, l := range lengths[:n] {
		e := &example{mode: training, weight: 1, share: 1, starts: make([]int32, l[1]+1), rest: make([]float32, l[1]), weights: make([]float32, l[1])}
		e.Prompt = l[0]
		for range l[0] + l[1] {
			e.IDs = append(e.IDs, random.Int32N(768))
		}
		out = append(out, e)
	}
	return out
}

// BenchmarkPacking does steps of 32 long-tailed examples with a model of the demo's size and a context of 1,024.
func BenchmarkPacking(b *testing.B) {
	config, err := decoder.ParseConfig([]byte(`{"architectures":["LlamaForCausalLM"],"vocab_size":768,"hidden_size":128,"intermediate_size":384,"num_hidden_layers":4,"num_attention_heads":4,"max_position_embeddings":1024,"tie_word_embeddings":true,"hidden_act":"silu"}`))
	if err != nil {
		b.Fatal(err)
	}
	for _, packing := range []bool{false, true} {
		b.Run(fmt.Sprintf("packing=%v", packing), func(b *testing.B) {
			o := benchmark(b, nil)
			o.Packing = packing
			if err := o.validate(); err != nil {
				b.Fatal(err)
			}
			store, err := decoder.InitStore(config, 1)
			if err != nil {
				b.Fatal(err)
			}
			l, err := loop.NewLearner("", store, optim.Default(), fusionModel(config, o.Teaching))
			if err != nil {
				b.Fatal(err)
			}
			all := longTailed(b, 32*b.N)
			tokens, places := 0, 0
			b.ResetTimer()
			for examples := range slices.Chunk(all, 32) {
				var g global
				g.examples[training] = len(examples)
				var inputs [][]any
				for _, m := range cut(examples, g, &o, [modes]float64{1, 1}, objective.Blend{Text: 1}) {
					inputs = append(inputs, m.inputs())
					places += m.rows.B * m.rows.S
				}
				if _, err := l.AccumulateAll(inputs); err != nil {
					b.Fatal(err)
				}
				l.Drop()
				for _, e := range examples {
					tokens += e.Inputs()
				}
			}
			b.ReportMetric(float64(tokens)/b.Elapsed().Seconds(), "tokens/s")
			b.ReportMetric(100-100*float64(tokens)/float64(places), "%padding")
		})
	}
}
