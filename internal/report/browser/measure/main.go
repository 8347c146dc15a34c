// Command measure makes a run of as many prompts as asked for, with texts of real lengths, and writes the browser of its
// prompts as a page: how large it is, and how long it takes to make. With a browser it measures, in the page itself, when
// the list can be used, when all texts can be searched, and what searches, filters and opening a prompt take.
//
// Flow in: a file of texts (JSON lines, gzipped or not), a tokenizer; flow out: FOLDER/prompts.html and numbers on standard
// output. The texts are pieces of the file's; nothing else of the run is real.
package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
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
	if err := os.WriteFile(path, []byte(head+string(section)+script+"</body></html>"), 0o666); err != nil {
		return err
	}
	fmt.Printf("%d prompts, %d with tokens: page of %.1f MiB made in %.1f s, %.0f MiB from the system\n", o.prompts, o.tokens, float64(len(section))/(1<<20), taken.Seconds(), float64(memory.Sys)/(1<<20))
	return openPage(ctx, o.chromium, path)
}

// head sets what the report's page sets, in short.
const head = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>prompts</title><style>:root { --bg:#fff; --fg:#1d2330; --soft:#5a6372; --line:#d9dde4; --card:#fff; --c0:#3566b8; --c1:#c2571a; --c2:#2b8a57; --s1:#bfe0ca; --win:#e4efe8 } body { font:16px/1.5 sans-serif }</style></head><body>
`

// script waits until all texts are read, then uses the page as a reader does and sends what each thing took to the address behind the page's question mark.
const script = `<script>
const browser = document.getElementById('browser'), form = browser.querySelector('form'), wait = ms => new Promise(done => setTimeout(done, ms));
const timed = (name, value) => { const field = form.elements[name]; if (name === 'tokens') field.checked = value; else field.value = value; const start = performance.now(); form.onsubmit(new Event('submit')); browser.offsetHeight; return (performance.now() - start).toFixed(1); };
(async () => {
  while (!browser.dataset.searchable) await wait(50);
  const found = () => browser.querySelector('.status').textContent, out = ['usable at ' + browser.dataset.usable + ' ms, all texts searchable at ' + browser.dataset.searchable + ' ms after the start of the page'];
  for (const query of ['apples', 'how many apples', '"in the"', 'zebra']) out.push('search ' + query + ': ' + timed('query', query) + ' ms, ' + found());
  out.push('no search: ' + timed('query', '') + ' ms, ' + found(), 'filter: ' + timed('agreement', 'modes') + ' ms, ' + found());
  timed('agreement', '');
  const list = browser.querySelector('.list');
  let start = performance.now();
  for (let i = 0; i < 200; i++) { list.scrollTop = i * 2000; list.onscroll(); browser.offsetHeight; }
  out.push('scrolling: ' + ((performance.now() - start) / 200).toFixed(2) + ' ms a step');
  timed('tokens', true);
  const turns = [], title = () => browser.querySelector('h3') && browser.querySelector('h3').textContent;
  for (let i = 0; i < 20; i++) { const before = title(); start = performance.now(); list.onkeydown({ key: 'PageDown', preventDefault() {} }); while (title() === before && performance.now() - start < 2000) await new Promise(done => { const c = new MessageChannel(); c.port1.onmessage = done; c.port2.postMessage(0); }); turns.push(performance.now() - start); }
  turns.sort((a, b) => a - b);
  out.push('opening a prompt with tokens: median ' + turns[10].toFixed(1) + ' ms, longest ' + turns[19].toFixed(1) + ' ms');
  if (performance.memory) out.push('script memory: ' + (performance.memory.usedJSHeapSize / 1048576).toFixed(0) + ' MiB');
  await fetch('http://' + location.search.slice(1), { method: 'POST', mode: 'no-cors', body: out.join('\n') });
})();
</script>`

// openPage lets the browser run the page, whose script sends what it measured to a server here.
func openPage(ctx context.Context, chromium, path string) error {
	if chromium == "" {
		return nil
	}
	absolute, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	received := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if body, err := io.ReadAll(r.Body); err == nil && r.Method == http.MethodPost {
			received <- string(body)
		}
	})}
	go func() { _ = server.Serve(listener) }() // ends with Close
	defer server.Close()
	ctx, stop := context.WithTimeout(ctx, 2*time.Minute)
	defer stop()
	profile, err := os.MkdirTemp("", "profuser-browser-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(profile)
	command := exec.CommandContext(ctx, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-precise-memory-info", "--user-data-dir="+profile,
		"--remote-debugging-port=0", fmt.Sprintf("file://%s?%s", absolute, listener.Addr()))
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	if err := command.Start(); err != nil {
		return err
	}
	select {
	case text := <-received:
		fmt.Println(text)
	case <-ctx.Done():
		err = fmt.Errorf("%s sent no measurements of %s", chromium, path)
	}
	stop()
	_ = command.Wait() // it was stopped
	return err
}

// pieces are words of real texts.
type pieces []string

// plain reads a file, gzipped or not.
func plain(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReader(f)
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
	}
	return io.ReadAll(r)
}

// corpus reads the words of all strings of JSON lines.
func corpus(path string) (pieces, error) {
	data, err := plain(path)
	if err != nil {
		return nil, err
	}
	var words pieces
	for line := range bytes.Lines(data) {
		var row map[string]any
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, fmt.Errorf("reading %s: %w", path, err)
		}
		for _, name := range []string{"question", "answer"} {
			if text, ok := row[name].(string); ok {
				words = append(words, strings.SplitAfter(text, " ")...)
				words = append(words, "\n")
			}
		}
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%s has no question and no answer", path)
	}
	return words, nil
}

// text is a piece whose number of words is log-normal, about as conversations with chat models have them: 40 words to a
// prompt, 160 to an answer in the median, a tenth of them three and a half times as long.
func (p pieces) text(role string, _ int, r *rand.Rand) string {
	median := 160.0
	switch role {
	case "system":
		return ""
	case "user":
		median = 40
	}
	n := min(int(median*math.Exp(r.NormFloat64())), 2000) + 1
	first := r.IntN(len(p))
	return strings.TrimSpace(strings.Join(p[first:min(first+n, len(p))], "")) + "."
}
