package browser

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/fusion/advantage"
	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/internal/report/invented"
	"github.com/profuser/profuser/internal/report/tokens"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// hostile are texts that would leave the page's data, or run in it, if anything were taken as HTML.
var hostile = []string{
	`</script><script>document.title = "broken"</script>`, `<img src=x onerror='document.title = "broken"'>`, "<!-- <script>", "a\u2028b\u2029c", "\x00\x01\x7f\u202e", `&lt;b&gt; &amp;`,
	"naïve 🦉 漢字 \u0065\u0301", "`${1}` \\ ' \" \\u003c", strings.Repeat("word ", 300), " \n\t ",
}

// hostileText gives a hostile text to every answer and reference, and the number to every prompt, so that ids differ.
func hostileText(role string, n int, _ *rand.Rand) string {
	switch role {
	case "system":
		return ""
	case "user":
		return fmt.Sprintf("Prompt %d. %s", n, hostile[n%len(hostile)])
	}
	return hostile[(n+len(role))%len(hostile)]
}

// target is the demo's tokenizer.
func target(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	vocabulary, err := tokenizer.Load("../../../data/tokenizers/llama")
	if err != nil {
		t.Fatal(err)
	}
	return vocabulary
}

// configured is a configuration of three models and two reward models.
func configured() *config.Config {
	c := &config.Config{
		Models: []config.Model{{Name: "target", Path: "../../../data/tokenizers/llama"}}, Target: config.Target{Model: "target", Compete: true}, Sources: []string{"reckoner", "sage"},
		Reward: config.Reward{Models: []string{"judge-a", "judge-b"}}, Report: config.Report{BrowserPrompts: 10000, BrowserTokens: 1000},
	}
	c.Advantage.CrossEntropy, c.Advantage.Inference.Method = "per_byte", advantage.Vote
	return c
}

// written is an invented run.
func written(t *testing.T, run invented.Run) dataset.Store {
	t.Helper()
	ctx := context.Background()
	store, err := dataset.OpenStore(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Write(ctx, store); err != nil {
		t.Fatal(err)
	}
	return store
}

// hostileRun is one of several parts and chunks whose texts are hostile.
func hostileRun(t *testing.T) invented.Run {
	c := configured()
	return invented.Run{
		Prompts: 2*chunkPrompts + 7, PartRows: 50, Models: c.Competitors(), Judges: c.Reward.Models, Tags: []string{"a<b", "c"}, Text: hostileText, Tokenizer: target(t), Entries: 7, Seed: 3,
	}
}

// sectionOf makes the section.
func sectionOf(t *testing.T, c *config.Config, store dataset.Store) string {
	t.Helper()
	html, err := Section(context.Background(), c, store)
	if err != nil {
		t.Fatal(err)
	}
	return string(html)
}

// unpacked reads a piece of data back; false if the page has none of that name.
func unpacked(t *testing.T, html, name string, into any) bool {
	t.Helper()
	found := regexp.MustCompile(`<script type="text/plain" id="browser-` + name + `">([A-Za-z0-9+/=]*)</script>`).FindStringSubmatch(html)
	if found == nil {
		return false
	}
	data, err := base64.StdEncoding.DecodeString(found[1])
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(into); err != nil {
		t.Fatal(err)
	}
	return true
}

// records reads all prompts of a page back.
func records(t *testing.T, html string) []record {
	t.Helper()
	var all []record
	for k := 0; ; k++ {
		var chunk []record
		if !unpacked(t, html, fmt.Sprint("prompts-", k), &chunk) {
			return all
		}
		all = append(all, chunk...)
	}
}

func TestHostileTexts(t *testing.T) {
	run := hostileRun(t)
	html := sectionOf(t, configured(), written(t, run))
	if n := strings.Count(html, "<script"); n != 1+3+3+1 {
		t.Errorf("%d script elements, want the index, three chunks of prompts, three of tokens, and the program", n)
	}
	for _, text := range hostile[:7] {
		if strings.Contains(html, text) {
			t.Errorf("the page has %q as it is", text)
		}
	}
	all := records(t, html)
	if len(all) != run.Prompts {
		t.Fatalf("%d prompts, want %d", len(all), run.Prompts)
	}
	for n, r := range all {
		want := [][2]string{{"user", hostileText("user", n, nil)}}
		if d := cmp.Diff(want, r.Messages); d != "" {
			t.Errorf("prompt %d (-want +got):\n%s", n, d)
		}
		if r.Reference == nil || *r.Reference != hostileText("reference", n, nil) {
			t.Errorf("prompt %d: the reference differs", n)
		}
		for m, name := range run.Models {
			if r.Responses[m].Text != hostileText(name, n, nil) || r.Responses[m].Model != m {
				t.Errorf("prompt %d: the response of %s differs", n, name)
			}
		}
	}
	var head index
	if !unpacked(t, html, "index", &head) {
		t.Fatal("no index")
	}
	if d := cmp.Diff([]string{"a<b", "c"}, head.Tags); d != "" || len(head.IDs) != run.Prompts || len(head.Flags) != run.Prompts || len(head.Winners["training"]) != run.Prompts {
		t.Errorf("index: %s %d ids, %d flags", d, len(head.IDs), len(head.Flags))
	}
}

// TestTokens compares the tokens of every prompt with its fusion examples.
func TestTokens(t *testing.T) {
	ctx := context.Background()
	store := written(t, hostileRun(t))
	html := sectionOf(t, configured(), store)
	var head index
	unpacked(t, html, "index", &head)
	examples := map[string]map[string]schemas.FusionExample{}
	for _, mode := range schemas.Modes {
		examples[mode] = map[string]schemas.FusionExample{}
		d, err := dataset.Open(ctx, store, "fusion/"+mode)
		if err != nil {
			t.Fatal(err)
		}
		for k := range d.Parts() {
			rows, _, err := dataset.Rows[schemas.FusionExample](ctx, d, k)
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range rows {
				examples[mode][x.ID] = x
			}
		}
	}
	vocabulary := target(t)
	for k := 0; k*chunkPrompts < len(head.IDs); k++ {
		var chunk tokenChunk
		if !unpacked(t, html, fmt.Sprint("tokens-", k), &chunk) {
			t.Fatalf("chunk %d has no tokens", k)
		}
		for n := k * chunkPrompts; n < min((k+1)*chunkPrompts, len(head.IDs)); n++ {
			for _, mode := range schemas.Modes {
				sameStrip(t, vocabulary, chunk, chunk.Strips[n][mode], examples[mode][head.IDs[n]])
			}
		}
	}
}

// sameStrip compares a strip with its example.
func sameStrip(t *testing.T, vocabulary *tokenizer.Tokenizer, chunk tokenChunk, s strip, x schemas.FusionExample) {
	t.Helper()
	if len(s.Tokens) != len(x.TextIDs) || len(s.Status) != len(x.TextIDs) || len(s.Own) != len(x.TextIDs) || !slices.EqualFunc(s.Counts, x.Counts, func(a int, b int32) bool { return a == int(b) }) {
		t.Fatalf("prompt %s: lists of %d, %d, %d positions, want %d", x.ID, len(s.Tokens), len(s.Status), len(s.Own), len(x.TextIDs))
	}
	first, from := 0, 0
	for i, id := range x.TextIDs {
		if got := chunk.Vocabulary[s.Tokens[i]]; got != tokens.Visible(vocabulary, id, 0) || int32(s.Status[i]-'0') != x.Status[i] {
			t.Errorf("prompt %s, position %d: %q with status %c, want %q with %d", x.ID, i, got, s.Status[i], tokens.Visible(vocabulary, id, 0), x.Status[i])
		}
		n := int(x.Counts[i])
		for k := range min(entriesShown, n) {
			if chunk.Vocabulary[s.IDs[from+k]] != tokens.Visible(vocabulary, x.IDs[first+k], 0) {
				t.Errorf("prompt %s, position %d: another entry %d", x.ID, i, k)
			}
		}
		if at := slices.Index(x.IDs[first:first+n], id); (at < 0) != (s.Own[i] < 0) || at >= 0 && at < entriesShown && s.Own[i] != s.Shares[from+at] {
			t.Errorf("prompt %s, position %d: the text's token has %d", x.ID, i, s.Own[i])
		}
		first, from = first+n, from+min(entriesShown, n)
	}
	if from != len(s.IDs) || from != len(s.Shares) {
		t.Errorf("prompt %s: %d entries, want %d", x.ID, len(s.IDs), from)
	}
}

// TestLimits: the prompts shown, and those with tokens, are the ones with the smallest ids.
func TestLimits(t *testing.T) {
	store, c := written(t, hostileRun(t)), configured()
	var all index
	unpacked(t, sectionOf(t, c, store), "index", &all)
	c.Report = config.Report{BrowserPrompts: 70, BrowserTokens: 9}
	html := sectionOf(t, c, store)
	var some index
	unpacked(t, html, "index", &some)
	smallest := slices.Sorted(slices.Values(all.IDs))
	if d := cmp.Diff(smallest[:70], slices.Sorted(slices.Values(some.IDs))); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var tokens []string
	for i, id := range some.IDs {
		if some.Flags[i]&hasTokens != 0 {
			tokens = append(tokens, id)
		}
	}
	slices.Sort(tokens)
	if d := cmp.Diff(smallest[:9], tokens); d != "" {
		t.Errorf("tokens (-want +got):\n%s", d)
	}
	for _, want := range []string{"70 of the run's 135 prompts", "9 of them with the aligned tokens (report.browser_tokens is 9)"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	c.Report.BrowserTokens = 0
	if html := sectionOf(t, c, store); strings.Contains(html, "browser-tokens-") {
		t.Error("tokens in spite of browser_tokens 0")
	}
	c.Report.BrowserPrompts = 0
	if html := sectionOf(t, c, store); html != "" {
		t.Errorf("%d bytes in spite of browser_prompts 0", len(html))
	}
}

// TestUnfinishedRuns: every state of a run has a browser of what is there.
func TestUnfinishedRuns(t *testing.T) {
	ctx := context.Background()
	store := written(t, hostileRun(t))
	for _, step := range []struct {
		removed string
		check   func(r record) bool
		note    string
	}{
		{"fusion/", func(r record) bool { return len(r.Won) == 2 }, "There are no aligned tokens yet"},
		{"selections/", func(r record) bool { return len(r.Won) == 0 && len(r.Responses[0].Scores) == 2 }, ""},
		{"rewards/", func(r record) bool {
			return r.Responses[0].Scores[0] == nil && len(r.Responses[0].Best) == 0 && r.Nats[0] != nil
		}, ""},
		{"crossentropy/", func(r record) bool { return r.Nats[0] == nil && len(r.Responses) == 3 }, ""},
		{"generations/", func(r record) bool { return len(r.Responses) == 0 && len(r.Messages) == 1 }, ""},
	} {
		keys, err := store.List(ctx, step.removed)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			if err := store.Remove(ctx, key); err != nil {
				t.Fatal(err)
			}
		}
		html := sectionOf(t, configured(), store)
		all := records(t, html)
		if len(all) != 2*chunkPrompts+7 || !step.check(all[0]) || !strings.Contains(html, step.note) {
			t.Errorf("without %s: %d prompts, the first is %+v", step.removed, len(all), all[0])
		}
	}
	keys, err := store.List(ctx, "prompts/")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if err := store.Remove(ctx, key); err != nil {
			t.Fatal(err)
		}
	}
	if html := sectionOf(t, configured(), store); html != "" {
		t.Errorf("%d bytes without prompts", len(html))
	}
}

func TestOtherTokenizer(t *testing.T) {
	c := configured()
	c.Models[0].Path = t.TempDir()
	html := sectionOf(t, c, written(t, hostileRun(t)))
	if !strings.Contains(html, "Aligned tokens are not drawn: loading tokenizer") || strings.Contains(html, "browser-tokens-") {
		t.Error("the page does not say that the tokenizer is missing")
	}
}

// TestRecord: favourites, votes, filters, right answers and the bits of the index, by hand.
func TestRecord(t *testing.T) {
	c := configured()
	c.Advantage.Inference.Filters.Empty = true
	messages := []schemas.Message{{Role: "user", Content: "2 + 5?"}}
	id, reference, margin := schemas.PromptID(messages), "Seven. #### 7", 0.5
	x := schemas.Prompt{ID: id, Messages: messages, Reference: &reference}
	key := func(source string, sample int32) schemas.ResponseKey {
		return schemas.ResponseKey{ID: id, Source: source, Sample: sample}
	}
	answer := func(source string, sample int32, text string) schemas.Generation {
		return schemas.Generation{ID: id, Source: source, Sample: sample, Text: text}
	}
	p := &part{
		generations: map[string][]schemas.Generation{id: {answer("target", 0, "#### 7"), answer("reckoner", 0, ""), answer("sage", 0, "#### 8"), answer("sage", 1, "#### 8")}},
		nats:        map[string]map[string]float64{"target": {id: 0.123456}, "sage": {id: 0.2}},
		scores: map[string]map[schemas.ResponseKey]float64{
			"judge-a": {key("target", 0): 1, key("reckoner", 0): 9, key("sage", 0): 0, key("sage", 1): 0}, "judge-b": {key("target", 0): -1, key("sage", 0): 0.55555, key("sage", 1): 0.55555},
		},
		selections: map[string]map[string]schemas.Selection{
			schemas.ModeInference: {id: {ID: id, Mode: schemas.ModeInference, Source: "sage", Margin: &margin, Candidates: []schemas.Candidate{{Source: "target", Value: 0.1, Votes: 1}, {Source: "sage", Value: 0.2, Votes: 1}}}},
			schemas.ModeTraining:  {id: {ID: id, Mode: schemas.ModeTraining, Source: "target", Candidates: []schemas.Candidate{{Source: "target", Value: 0.123456}}}},
		},
	}
	got, flags := newRecord(c, append(c.Competitors(), schemas.MixedSource), p, x)
	number := func(x float64) *float64 { return &x }
	yes, no := true, false
	want := record{
		ID: id, Messages: [][2]string{{"user", "2 + 5?"}}, Reference: &reference, Answer: "7", Nats: []*float64{number(0.1235), nil, number(0.2)},
		Responses: []response{
			{Model: 0, Text: "#### 7", Right: &yes, Scores: []*float64{number(1), number(-1)}, Best: []int{0}, Votes: number(1), Value: number(0.1)},
			{Model: 1, Right: &no, Dropped: "empty", Scores: []*float64{number(9), nil}, Best: []int{}},
			{Model: 2, Text: "#### 8", Right: &no, Scores: []*float64{number(0), number(0.5556)}, Best: []int{1}, Votes: number(1), Value: number(0.2)},
			{Model: 2, Sample: 1, Text: "#### 8", Right: &no, Dropped: "repeats an earlier answer", Scores: []*float64{number(0), number(0.5556)}, Best: []int{}},
		},
		Won: map[string]won{
			schemas.ModeInference: {Model: 2, Margin: &margin, Of: 2, Value: number(0.2)}, schemas.ModeTraining: {Model: 0, Of: 1, Value: number(0.1235)},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if want := modesDisagree | judgesDisagree | judgesKnown | hasKey | someRight | someWrong; flags != want {
		t.Errorf("flags %b, want %b", flags, want)
	}
}

func TestBeginning(t *testing.T) {
	for text, want := range map[string]string{
		"  two\n words ": "two words", strings.Repeat("é", 110): strings.Repeat("é", 110), strings.Repeat("é", 111): strings.Repeat("é", 110) + "…", "": "",
	} {
		if got := beginning(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// driver uses the page as a reader does and writes what it finds into it.
const driver = `<pre id="seen"></pre><script>
setTimeout(async () => {
  const browser = document.getElementById('browser'), form = browser.querySelector('form'), list = browser.querySelector('.list'), seen = [];
  const wait = ms => new Promise(done => setTimeout(done, ms));
  const status = () => browser.querySelector('.status').textContent, title = () => browser.querySelector('h3').firstChild.textContent;
  const ask = async (name, value) => { form.elements[name].value = value; form.dispatchEvent(new Event('input')); await wait(200); seen.push(name + ' ' + value + ': ' + status()); };
  const key = async (element, name) => { element.dispatchEvent(new KeyboardEvent('keydown', { key: name, bubbles: true })); await wait(200); };
  seen.push(status(), title(), 'rows: ' + browser.querySelectorAll('.row').length);
  await key(list, 'ArrowDown'); seen.push('down: ' + title());
  await key(list, 'End'); seen.push('end: ' + title());
  await ask('query', 'prompt 13'); await ask('query', '"prompt 13."'); seen.push('rows: ' + browser.querySelectorAll('.row').length);
  await ask('query', 'onerror zebra'); await ask('query', 'ID'); await ask('query', ''); await ask('tag', '1'); await ask('winner', '2'); await ask('mode', 'both'); await ask('agreement', 'modes');
  form.reset(); await wait(100); seen.push('reset: ' + status());
  await key(list, 'Home');
  seen.push('turn: ' + browser.querySelector('.turn').lastChild.textContent, 'elements in texts: ' + browser.querySelectorAll('.turn img, .turn script, .text img, .text script').length);
  const tokens = browser.querySelector('.tokens');
  tokens.focus(); await key(tokens, 'ArrowRight');
  seen.push('token: ' + browser.querySelector('.entries').firstChild.textContent, 'document: ' + document.title);
  location.hash = '#prompt-WHOLE'; await wait(200); seen.push('address: ' + title());
  document.getElementById('seen').textContent = seen.join('\n');
}, 1500);
</script>`

// TestInChromium uses the page in a browser, where there is one.
func TestInChromium(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil || testing.Short() {
		t.Skip("needs chromium, and takes some seconds")
	}
	run := hostileRun(t)
	store := written(t, run)
	dir := t.TempDir()
	path := filepath.Join(dir, "page.html")
	var head index
	section := sectionOf(t, configured(), store)
	unpacked(t, section, "index", &head)
	page := "<!DOCTYPE html><meta charset=utf-8><title>whole</title><body>" + section + strings.NewReplacer("'ID'", "'"+head.IDs[20][:8]+"'", "WHOLE", head.IDs[20]).Replace(driver)
	if err := os.WriteFile(path, []byte(page), 0o666); err != nil {
		t.Fatal(err)
	}
	// In virtual time, so that waiting costs nothing.
	out, err := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"), "--virtual-time-budget=20000", "--dump-dom", "file://"+path).Output()
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(out), `<pre id="seen">`)
	seen, _, _ := strings.Cut(after, "</pre>")
	both, disagree := 0, 0
	for i, tag := range head.Tag {
		if tag == 1 && head.Winners["inference"][i] == 2 && head.Winners["training"][i] == 2 {
			both++
		}
	}
	want := []string{
		"135 of 135 prompts.", "Prompt 1", "down: Prompt 2", "end: Prompt 135", "query prompt 13: 7 of 135 prompts.", "query &quot;prompt 13.&quot;: 1 of 135 prompts.", "rows: 1",
		"query onerror zebra: 0 of 135 prompts.", "query " + head.IDs[20][:8] + ": 1 of 135 prompts.", "query : 135 of 135 prompts.", "tag 1: 67 of 135 prompts.", fmt.Sprintf("mode both: %d of 135 prompts.", both), fmt.Sprintf("agreement modes: %d of 135 prompts.", disagree),
		"reset: 135 of 135 prompts.", "turn: Prompt 0. &lt;/script&gt;&lt;script&gt;document.title = \"broken\"&lt;/script&gt;", "elements in texts: 0", "token: Token 2 of ", "document: whole", "address: Prompt 21",
	}
	for _, line := range want {
		if !strings.Contains(strings.ReplaceAll(seen, `"`, "&quot;"), strings.ReplaceAll(line, `"`, "&quot;")) {
			t.Errorf("the page does not show %q; it shows:\n%s", line, seen)
		}
	}
}
