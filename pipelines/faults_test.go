package pipelines_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gorgonia.org/tensor"

	"github.com/profuser/profuser/fusion/dist"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/chat"
	"github.com/profuser/profuser/models/engine"
	"github.com/profuser/profuser/models/serving/server"
	"github.com/profuser/profuser/models/serving/servingtest"
	"github.com/profuser/profuser/schemas"
)

// quick is an engine without weights for our own server: what it says follows from the tokens before.
type quick struct {
	format *chat.Format
	says   func(prompt []int32) string // instead of what the logits say
}

func (e quick) Format() *chat.Format { return e.format }
func (e quick) Context() int         { return 512 }
func (e quick) VocabSize() int       { return e.format.Tokenizer().Size() }

func (e quick) logits(prefix []int32) []float32 {
	h := fnv.New64a()
	for _, id := range prefix[max(0, len(prefix)-3):] {
		fmt.Fprint(h, id, ",")
	}
	r := rand.New(rand.NewPCG(h.Sum64(), 1))
	out := make([]float32, e.VocabSize())
	for i := range out {
		out[i] = float32(r.NormFloat64() * 2)
	}
	for i := range 6 {
		out[i] = -9 // special tokens
	}
	for id := range out {
		if b := e.format.Tokenizer().Bytes(int32(id)); id > 5 && (len(b) == 0 || b[0] >= 128) {
			out[id] = -9 // halves of characters
		}
	}
	if h.Sum64()%8 == 0 {
		out[e.format.StopIDs()[0]] = 12
	}
	return out
}

func (e quick) Generate(ctx context.Context, r engine.GenerateRequest) (out engine.GenerateResult, err error) {
	all := slices.Clone(r.PromptIDs)
	stop := e.format.StopIDs()[0]
	if e.says != nil {
		said := append(e.format.Tokenizer().Encode(e.says(r.PromptIDs)), stop)
		all = append(all, said[:min(len(said), r.MaxTokens)]...)
	} else {
		for len(all) < len(r.PromptIDs)+r.MaxTokens && !out.Stopped {
			x := e.logits(all)
			best := int32(0)
			for id := range x {
				if x[id] > x[best] {
					best = int32(id)
				}
			}
			all = append(all, best)
			out.Stopped = best == stop
		}
	}
	out.IDs, out.Stopped = all[len(r.PromptIDs):], all[len(all)-1] == stop
	s, err := e.Score(ctx, engine.ScoreRequest{PromptIDs: r.PromptIDs, TextIDs: out.IDs, Truncate: r.Truncate})
	out.TokenLogProbs, out.TextRank, out.Dist = s.TokenLogProbs, s.TextRank, s.Dist
	return out, err
}

func (e quick) Score(_ context.Context, r engine.ScoreRequest) (out engine.ScoreResult, err error) {
	all := slices.Concat(r.PromptIDs, r.TextIDs)
	var flat []float32
	for i := range r.TextIDs {
		flat = append(flat, e.logits(all[:len(r.PromptIDs)+i])...)
	}
	if len(flat) == 0 {
		return out, nil
	}
	out.Dist, out.TokenLogProbs, out.TextRank, err = dist.FromLogits(tensor.New(tensor.WithShape(len(r.TextIDs), e.VocabSize()), tensor.WithBacking(flat)), r.TextIDs, r.Truncate)
	return out, err
}

func (e quick) Reward(_ context.Context, ids []int32) (float64, error) {
	return float64(total(ids)%977) / 100, nil
}

func total(ids []int32) (n int) {
	for _, id := range ids {
		n += int(id)
	}
	return n
}

// served is a project whose models are all quick engines behind faulty servers: the target, a source, a reward model and
// a judge.
type served struct {
	file    string
	servers []*servingtest.Faulty
}

func (s served) switchTo(on bool, status int) {
	for _, f := range s.servers {
		f.Status.Store(int64(status))
		f.On.Store(on)
	}
}

// newServed makes a project of n prompts; more is put into every endpoint.
func newServed(t *testing.T, n int, more string) (s served) {
	t.Helper()
	dir := t.TempDir()
	models, err := filepath.Abs("../data/models")
	if err != nil {
		t.Fatal(err)
	}
	start := func(name, tokenizer string, rewards bool, says func([]int32) string) string {
		format, err := chat.Load(filepath.Join(models, tokenizer), chat.Options{})
		if err != nil {
			t.Fatal(err)
		}
		f := servingtest.New(server.New(quick{format, says}, server.Options{Name: name, Rewards: rewards}), 0.8, uint64(len(s.servers)))
		s.servers = append(s.servers, f)
		h := httptest.NewServer(f)
		t.Cleanup(h.Close)
		return h.URL
	}
	verdict := func(prompt []int32) string { return fmt.Sprintf("Well.\nVerdict: %d", 1+total(prompt)%10) }
	entry := func(name, tokenizer, url, own string) string {
		if tokenizer != "" {
			tokenizer = fmt.Sprintf("tokenizer: %s/%s, ", models, tokenizer)
		}
		return fmt.Sprintf("  - {name: %s, %sendpoint: {urls: [%q], model: %s, %s%s}}\n", name, tokenizer, url, name, own, more)
	}
	text := "version: 1\nprompts: {files: [prompts.jsonl], part_rows: 16}\nmodels:\n" +
		entry("target", "target", start("target", "target", false, nil), "") +
		entry("sage", "sage", start("sage", "sage", false, nil), "") +
		entry("judge-a", "judge-a", start("judge-a", "judge-a", true, nil), "") +
		entry("critic", "", start("critic", "target", false, verdict), "reward: judge, ") +
		"target: {model: target}\nsources: [sage]\ngenerate: {temperature: 0, max_new_tokens: 12, max_rejects: 9999}\n" +
		"truncate: {top_k: 4}\nreward: {models: [judge-a, critic], max_rejects: 9999}\ncrossentropy: {max_rejects: 9999}\nfuse: {max_rejects: 9999}\n"
	data, err := os.ReadFile("../data/prompts.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	s.file = filepath.Join(dir, "fusion.yaml")
	for name, text := range map[string]string{s.file: text, filepath.Join(dir, "prompts.jsonl"): strings.Join(strings.SplitAfter(string(data), "\n")[:n], "")} {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// calling counts the goroutines of HTTP clients and of our own calls.
func calling() (n int, stacks string) {
	buf := make([]byte, 8<<20)
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "net/http.(*persistConn)") || strings.Contains(g, "profuser/models/serving") || strings.Contains(g, "profuser/transforms/") {
			n++
			stacks += g + "\n\n"
		}
	}
	return n, stacks
}

// TestFaultsOverHTTP runs a pipeline whose servers fail in every way at four of five posts. Every prompt must end once,
// as the row of a run without faults or as a reject with its reason.
func TestFaultsOverHTTP(t *testing.T) {
	const prompts, parts = 100, 7
	s := newServed(t, prompts, "attempts: 5, timeout: 80ms, max_wait: 2ms")
	before, _ := calling()
	clean, out := filepath.Join(filepath.Dir(s.file), "clean"), filepath.Join(filepath.Dir(s.file), "out")
	steps := []string{"ingest", "generate", "reward", "crossentropy", "fuse"}
	// The run without faults has time: on a busy machine a good answer may take longer than a stalled one may.
	text, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	patient := s.file + ".patient"
	if err := os.WriteFile(patient, bytes.ReplaceAll(text, []byte("timeout: 80ms"), []byte("timeout: 60s")), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := runReal(t, patient, clean, steps...); err != nil {
		t.Fatal(err)
	}
	r, err := prepare(t, s.file, out)
	if err != nil {
		t.Fatal(err)
	}
	s.switchTo(true, 0)
	start := time.Now()
	if err := r.Do(t.Context(), steps...); err != nil {
		t.Fatal(err)
	}
	t.Logf("with faults: %v", time.Since(start))
	for i, f := range s.servers {
		for kind := range f.Seen {
			if f.Seen[kind].Load() == 0 {
				t.Errorf("fault %d did not occur at server %d", kind, i)
			}
		}
	}
	var ids []string
	for _, p := range read[schemas.Prompt](t, clean, "prompts") {
		ids = append(ids, p.ID)
	}
	codes := map[string]int{}
	for _, name := range []string{"target", "sage"} {
		maps.Copy(codes, accounted(t, clean, out, parts, "generations/"+name, ids, func(g schemas.Generation) string { return g.ID }))
		maps.Copy(codes, accounted(t, clean, out, parts, "crossentropy/"+name, ids, func(g schemas.TeacherForcing) string { return g.ID }))
	}
	var answers []string
	for _, name := range []string{"target", "sage"} {
		for _, g := range read[schemas.Generation](t, out, "generations/"+name) {
			answers = append(answers, g.ID+" "+g.Source)
		}
	}
	for _, name := range []string{"judge-a", "critic"} {
		maps.Copy(codes, accounted(t, clean, out, parts, "rewards/"+name, answers, func(r schemas.Reward) string { return r.ID + " " + r.Source }))
	}
	if len(codes) < 2 { // on a loaded machine one dataset may see time limits only
		t.Errorf("rejects of %v only; the test wants several kinds", codes)
	}
	for _, mode := range schemas.Modes {
		m := manifest(t, out, "fusion/"+mode)
		if m.Rows+m.Rejects != prompts || m.Rows == 0 {
			t.Errorf("fusion/%s: %d examples, %d rejects, want %d together", mode, m.Rows, m.Rejects, prompts)
		}
	}
	n, stacks := calling()
	for range 200 {
		if n <= before {
			return
		}
		time.Sleep(5 * time.Millisecond)
		n, stacks = calling()
	}
	t.Errorf("%d goroutines before, %d after:\n%s", before, n, stacks)
}

func manifest(t *testing.T, out, name string) dataset.Manifest {
	t.Helper()
	store, err := dataset.OpenStore(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	d, err := dataset.Open(t.Context(), store, name)
	if err != nil {
		t.Fatal(err)
	}
	return d.Manifest
}

// accounted checks that a dataset has every key once, as clean's row or as a reject of a fault over HTTP.
func accounted[T any](t *testing.T, clean, out string, parts int, name string, keys []string, key func(T) string) (codes map[string]int) {
	t.Helper()
	ends, want := map[string]int{}, map[string]T{}
	for _, row := range read[T](t, clean, name) {
		want[key(row)] = row
	}
	rows := read[T](t, out, name)
	for _, row := range rows {
		ends[key(row)]++
		if d := cmp.Diff(want[key(row)], row); d != "" {
			t.Errorf("%s %s is wrong (-without faults +with):\n%s", name, key(row), d)
		}
	}
	codes = map[string]int{}
	store, err := dataset.OpenStore(t.Context(), out)
	if err != nil {
		t.Fatal(err)
	}
	for k := range parts {
		footer, _, err := dataset.PartFooter(t.Context(), store, name, k)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range footer.Rejects {
			codes[r.Code]++
			if k := r.ID; strings.HasPrefix(name, "rewards/") {
				ends[k+" "+r.Source]++
			} else {
				ends[k]++
			}
			if !slices.Contains([]string{"unanswered", "bad_reply", "no_verdict"}, r.Code) || !strings.Contains(r.Message, "(request profuser-") || r.Attempts < 1 || r.Attempts > 5 {
				t.Errorf("%s: reject without a reason: %+v", name, r)
			}
		}
	}
	t.Logf("%s: %d rows, rejects %v", name, len(rows), codes)
	for _, k := range keys {
		if ends[k] != 1 {
			t.Errorf("%s: %s ended %d times", name, k, ends[k])
		}
		delete(ends, k)
	}
	for k, n := range ends {
		if n != 0 {
			t.Errorf("%s: %s ended and was not asked for", name, k)
		}
	}
	if len(rows) == 0 || len(codes) == 0 {
		t.Errorf("%s: %d rows and rejects %v; the test wants both", name, len(rows), codes)
	}
	return codes
}

// TestFatalOverHTTP: what no row can survive ends the step with its reason; what only many rows do not survive ends it
// when they are more than the budget allows.
func TestFatalOverHTTP(t *testing.T) {
	s := newServed(t, 8, "attempts: 2, max_wait: 2ms")
	for _, test := range []struct {
		status int
		want   string
	}{
		{401, "source target: generating: generating with target: POST /v1/completions (request profuser-"},
		{404, "source target: generating: generating with target: POST /v1/completions (request profuser-"},
		{503, "generations/target: 8 of 8 records were rejected, max_rejects allows a share of 0.01: unanswered 8; first: unanswered "},
		{400, "generations/target: 8 of 8 records were rejected, max_rejects allows a share of 0.01: refused 8; first: refused "},
	} {
		s.switchTo(false, 0)
		r, err := prepare(t, s.file, filepath.Join(filepath.Dir(s.file), fmt.Sprint(test.status)), "generate.max_rejects=0.01")
		if err != nil {
			t.Fatal(err)
		}
		s.switchTo(true, test.status)
		err = r.Do(t.Context(), "ingest", "generate")
		if err == nil || !strings.Contains(err.Error(), fmt.Sprint("status ", test.status)) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("status %d: error %v", test.status, err)
		}
	}
}

// TestResponseCache: a run that is made again asks no model again, whether its cache is a folder or a bucket; only the
// probes of what servers can do go out. A reply that is damaged is asked for once more and kept again.
func TestResponseCache(t *testing.T) {
	for _, cache := range []string{"replies", "mem://replies/run"} {
		s := newServed(t, 12, fmt.Sprintf("cache: %q", cache))
		dir := filepath.Dir(s.file)
		posts := func(out string) (n int64) {
			if err := runReal(t, s.file, filepath.Join(dir, out), "ingest", "generate", "reward", "crossentropy"); err != nil {
				t.Fatal(err)
			}
			for _, f := range s.servers {
				n += f.Posts.Swap(0)
			}
			return n
		}
		// 12 prompts, two sources: answers, readings and twice two scores. The target's and the source's way of reading
		// and the reward model's form are probed when a run is checked and when a step begins.
		const calls, probes = 12 * 2 * 4, 8
		if n := posts("first"); n < calls {
			t.Errorf("%s: %d posts in the first run of %d calls", cache, n, calls)
		}
		if n := posts("second"); n != probes {
			t.Errorf("%s: %d posts in the second run, want the %d probes", cache, n, probes)
		}
		first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
		equal[schemas.Generation](t, first, second, "generations/target", "generations/sage")
		equal[schemas.TeacherForcing](t, first, second, "crossentropy/target", "crossentropy/sage")
		equal[schemas.Reward](t, first, second, "rewards/judge-a", "rewards/critic")

		url := cache
		if !strings.Contains(url, "://") {
			url = filepath.Join(dir, cache)
		}
		store, err := dataset.OpenStore(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		keys, err := store.List(t.Context(), "")
		if err != nil || len(keys) < calls {
			t.Fatalf("%d replies kept, error %v", len(keys), err)
		}
		for _, key := range keys {
			data, err := store.Read(t.Context(), key)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Contains(data, []byte(`"prompt_logprobs"`)) {
				continue
			}
			if err := errors.Join(store.Remove(t.Context(), key), store.Create(t.Context(), key, data[:len(data)-1])); err != nil {
				t.Fatal(err)
			}
			break
		}
		for i, out := range []string{"third", "fourth"} {
			if n := posts(out); n != int64(probes+1-i) {
				t.Errorf("%s: %d posts in the %s run, want %d", cache, n, out, probes+1-i)
			}
		}
	}
}
