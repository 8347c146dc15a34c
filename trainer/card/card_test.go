package card

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("rewrite", false, "rewrite testdata/*.golden.md")

const metrics = `{"step":0,"epoch":0,"stage":"inference","end":"start","held_out":{"inference":{"loss":1.5,"sft":1,"kl":1,"examples":3},"training":{"loss":2.5,"sft":2,"kl":1,"examples":2}}}
{"step":1,"epoch":1,"stage":"inference","loss":1.25,"tokens":9}
{"step":1,"epoch":1,"stage":"inference","decision":{"held_out":{}},"held_out":{"inference":{"loss":9,"sft":9,"kl":9,"examples":3}}}
{"step":2,"epoch":1,"stage":"a|b","end":"stage","held_out":{"inference":{"loss":0.51234,"sft":0.4,"kl":0.22468,"examples":3}}}
`

func card(t *testing.T) Card {
	t.Helper()
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := os.WriteFile(path, []byte(metrics), 0o644); err != nil {
		t.Fatal(err)
	}
	return Card{
		About: About{Target: `vicuna "7b"`, Models: []Model{{"vicuna", "target", "vicuna-7b-v1.5"}, {"big", "source", "meta/big (served)"}}},
		Sets:  []Set{{"fusion/training", 2, 40, "abcdef"}}, Metrics: path, Digest: "0123456789abcdef",
		Settings: map[string]string{"objective.beta": "0.1", "generate.stop": "a|<b>", "models.vicuna.path": "/srv/vicuna", "models.vicuna.backend": "auto"},
	}
}

// TestMarkdown compares cards of a whole model, of an adapter and of a training without held-out prompts.
func TestMarkdown(t *testing.T) {
	whole, adapter, bare := card(t), card(t), card(t)
	adapter.Adapter, bare.Metrics = 16, filepath.Join(t.TempDir(), "none")
	for name, c := range map[string]Card{"whole": whole, "adapter": adapter, "bare": bare} {
		got, err := c.Markdown()
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", name+".golden.md")
		if *rewrite {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestReadings(t *testing.T) {
	readings, steps, err := Readings(card(t).Metrics)
	if err != nil || steps != 2 || len(readings) != 2 {
		t.Fatalf("%d readings, %d steps, %v", len(readings), steps, err)
	}
	if diff := cmp.Diff(map[string]float64{"inference": 1.5, "training": 2.5}, readings[0].Losses()); diff != "" {
		t.Error(diff)
	}
	path := filepath.Join(t.TempDir(), "metrics.jsonl")
	if err := os.WriteFile(path, []byte(metrics+"{\"step\""), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Readings(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a line cut short: %v", err)
	}
}
