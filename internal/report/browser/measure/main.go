// Command measure makes a run of as many prompts as asked for, with texts of real lengths, and writes the browser of its
// prompts as a page: how large it is, and how long it takes to make. With a browser it measures, in the page itself, when
// the list can be used, when all texts can be searched, and what searches, filters and opening a prompt take.
//
// Flow in: a file of texts (JSON lines, gzipped or not), a tokenizer; flow out: FOLDER/prompts.html and numbers on standard
// output. The texts are pieces of the file's; nothing else of the run is real.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/browser"
	"github.com/profuser/profuser/internal/report/invented"
	"github.com/profuser/profuser/models/tokenizer"
)

// options are the flags.
type options struct {
	dir, texts, vocabulary, chromium string
	prompts, tokens, entries         int
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "out/browser", "where to write")
	flag.StringVar(&o.texts, "texts", "../shared/data/gsm8k_train_2000.jsonl.gz", "JSON lines whose strings are what texts are cut from")
	flag.StringVar(&o.vocabulary, "tokenizer", "../shared/tokenizers/vicuna.json.gz", "tokenizer.json of the target")
	flag.StringVar(&o.chromium, "chromium", "chromium", "the browser; empty: none")
	flag.IntVar(&o.prompts, "prompts", 10000, "prompts of the run")
	flag.IntVar(&o.tokens, "tokens", 1000, "report.browser_tokens")
	flag.IntVar(&o.entries, "entries", 13, "stored entries at each position (docs/datasets.md: 13.6 were measured)")
	flag.Parse()
	if err := measure(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

// measure makes run and page and opens it.
func measure(ctx context.Context, o options) error {
	corpus, err := corpus(o.texts)
	if err != nil {
		return err
	}
	data, err := plain(o.vocabulary)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		return err
	}
	file := filepath.Join(o.dir, "tokenizer.json")
	if err := os.WriteFile(file, data, 0o666); err != nil {
		return err
	}
	vocabulary, err := tokenizer.Load(file)
	if err != nil {
		return err
	}
	run := invented.Run{
		Prompts: o.prompts, PartRows: 256, Models: []string{"target", "llama-2", "mpt"}, Judges: []string{"judge-a", "judge-b", "judge-c"}, Tags: []string{"science", "history", "code", "writing"},
		Text: corpus.text, Tokenizer: vocabulary, Entries: o.entries, Seed: 1,
	}
	store, err := dataset.OpenStore(ctx, filepath.Join(o.dir, "run"))
	if err != nil {
		return err
	}
	made, err := store.List(ctx, "fusion/training/_MANIFEST")
	if err == nil && len(made) == 0 {
		err = run.Write(ctx, store)
	}
	if err != nil {
		return err
	}
	c := &config.Config{
		Models: []config.Model{{Name: "target", Path: o.dir}}, Target: config.Target{Model: "target", Compete: true}, Sources: run.Models[1:], Reward: config.Reward{Models: run.Judges},
		Advantage: config.Advantage{CrossEntropy: "per_byte", Inference: config.Inference{Method: "vote"}}, Report: config.Report{BrowserPrompts: o.prompts, BrowserTokens: o.tokens},
	}
	start := time.Now()
	section, err := browser.Section(ctx, c, store)
	if err != nil {
		return err
	}
	taken := time.Since(start)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	path := filepath.Join(o.dir, "prompts.html")
	if err := os.WriteFile(path, []byte(head+string(section)+"<script>"+script+"</script></body></html>"), 0o666); err != nil {
		return err
	}
	fmt.Printf("%d prompts, %d with tokens: page of %.1f MiB made in %.1f s, %.0f MiB from the system\n", o.prompts, o.tokens, float64(len(section))/(1<<20), taken.Seconds(), float64(memory.Sys)/(1<<20))
	return openPage(ctx, o.chromium, path)
}
