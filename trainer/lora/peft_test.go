package lora

import (
	"encoding/json"
	"flag"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/decoder"
	"github.com/profuser/profuser/trainer/trainertest"
)

// rewrite makes the base models and our adapters anew; then run testdata/expect.py.
var rewrite = flag.Bool("rewrite", false, "rewrite testdata/*/base and testdata/*/adapter")

// TestPEFT compares with PEFT, both ways: the adapters that we write, loaded over the base model by peft and
// transformers, and an adapter that peft made, merged by us, give the logits that testdata/expect.py wrote.
func TestPEFT(t *testing.T) {
	for _, name := range []string{"llama", "mpt"} {
		dir := filepath.Join("testdata", name)
		if m := models[name+" all"]; *rewrite {
			if name == "mpt" { // transformers has a feed-forward width of 4·D whatever the file says
				m.config, m.targets = strings.Replace(trainertest.MPT, `"expansion_ratio":2`, `"expansion_ratio":4`, 1), []string{AllLinear}
			}
			rewriteAdapter(t, dir, m.config, m.targets)
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, "logits.json"))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]float32{}
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		base := logitsOf(t, filepath.Join(dir, "base"))
		for _, kind := range []string{"adapter", "peft"} {
			out := filepath.Join(t.TempDir(), kind)
			if err := Merge(MergeOptions{Adapter: filepath.Join(dir, kind), Base: filepath.Join(dir, "base"), Out: out, ShardBytes: 1 << 30, Log: io.Discard}); err != nil {
				t.Fatal(err)
			}
			got := logitsOf(t, out)
			if worst := apart(got, want[kind]); worst > 1e-4 {
				t.Errorf("%s: logits of %s differ from PEFT's by %g", name, kind, worst)
			}
			if change := apart(got, base); change < 0.1 {
				t.Errorf("%s: %s changes logits by %g only: it shows nothing", name, kind, change)
			}
		}
	}
}

// TestSavedAsBefore: an adapter's files are the same bytes as those that peft has loaded.
func TestSavedAsBefore(t *testing.T) {
	dir := t.TempDir()
	saved(t, filepath.Join("testdata", "llama", "base"), dir, models["llama all"].targets)
	for _, name := range []string{ConfigFile, WeightsFile} {
		want, errWant := os.ReadFile(filepath.Join("testdata", "llama", "adapter", name))
		got, errGot := os.ReadFile(filepath.Join(dir, name))
		if diff := cmp.Diff(string(want), string(got)); diff != "" || errWant != nil || errGot != nil {
			t.Errorf("%s: %v %v\n%s", name, errWant, errGot, diff)
		}
	}
}

// rewriteAdapter writes a base model and an adapter with random values.
func rewriteAdapter(t *testing.T, dir, config string, targets []string) {
	t.Helper()
	c, store := start(t, config)
	if err := decoder.SaveStore(store, c, filepath.Join(dir, "base"), "float32"); err != nil {
		t.Fatal(err)
	}
	saved(t, filepath.Join(dir, "base"), filepath.Join(dir, "adapter"), targets)
}

func saved(t *testing.T, base, dir string, targets []string) {
	t.Helper()
	c, err := decoder.ReadConfig(base)
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.LoadStore(base, c)
	if err != nil {
		t.Fatal(err)
	}
	a, err := Add(store, c, Options{Rank: 4, Alpha: 8, Targets: targets}, 1)
	if err != nil {
		t.Fatal(err)
	}
	fillB(a)
	if err := a.Save(dir, "base"); err != nil {
		t.Fatal(err)
	}
}

// logitsOf are a directory's at the places of measured.
func logitsOf(t *testing.T, dir string) []float32 {
	t.Helper()
	c, err := decoder.ReadConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	store, err := decoder.LoadStore(dir, c)
	if err != nil {
		t.Fatal(err)
	}
	logits, _, _ := measured(t, c, store)
	return logits
}

func apart(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var worst float64
	for i := range a {
		worst = max(worst, math.Abs(float64(a[i]-b[i])))
	}
	return worst
}
