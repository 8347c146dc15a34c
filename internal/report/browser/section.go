package browser

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	_ "embed" // the page's part
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

//go:embed browser.html
var sectionText string

//go:embed browser.css
var style string

//go:embed browser.js
var program string

var section = template.Must(template.New("browser").Funcs(template.FuncMap{"grouped": grouped}).Parse(sectionText))

// chunkPrompts is how many prompts are compressed together, and read together when one of them is looked at.
const chunkPrompts = 64

// index is what the page reads at once; its lists are over the prompts in the order of the run.
type index struct {
	Models     []string         `json:"models"` // the competitors, then the mixture if it wins
	Judges     []string         `json:"judges"`
	Target     string           `json:"target"`
	Method     string           `json:"method"`  // of inference mode
	Measure    string           `json:"measure"` // of training mode
	Tags       []string         `json:"tags"`
	Chunk      int              `json:"chunk"`
	Beginnings []string         `json:"beginnings"` // of the last user turns
	Tag        []int            `json:"tag"`        // first tag, -1 without
	Flags      []int            `json:"flags"`
	Winners    map[string][]int `json:"winners"` // by mode: model, -1 without
	IDs        []string         `json:"ids"`
}

// tokenChunk is the tokens of a chunk's prompts, by their number in the index, then mode.
type tokenChunk struct {
	Vocabulary []string                 `json:"vocabulary"`
	Strips     map[int]map[string]strip `json:"strips"`
}

// view is what browser.html shows.
type view struct {
	Style              template.CSS
	Program            template.JS
	Shown, All, Tokens int
	Limit              int // of prompts with tokens; 0 where no limit was met
	Note               string
	Index              template.HTML // all three are base64, which HTML takes as it is
	Prompts            []template.HTML
	TokenChunks        map[int]template.HTML
}

// Section makes the browser of a run's prompts, for an HTML page that sets the report's colours; nothing for a run without
// prompts, or where report.browser_prompts is 0. It reads parts one after another and keeps what is shown, compressed.
func Section(ctx context.Context, c *config.Config, store dataset.Store) (template.HTML, error) {
	d, err := open(ctx, c, store)
	if err != nil || d.prompts == nil || c.Report.BrowserPrompts == 0 {
		return "", err
	}
	ids, err := d.ids(ctx)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	b := &builder{config: c, view: view{Style: template.CSS(style), Program: template.JS(program), All: len(ids), TokenChunks: map[int]template.HTML{}}}
	shown, tokens := among(ids, c.Report.BrowserPrompts), among(ids, min(c.Report.BrowserPrompts, c.Report.BrowserTokens))
	if b.tokenizer = b.targetTokenizer(d); b.tokenizer == nil {
		tokens = among(nil, 0)
	} else if c.Report.BrowserTokens < min(len(ids), c.Report.BrowserPrompts) {
		b.view.Limit = c.Report.BrowserTokens
	}
	b.begin()
	for k := range d.prompts.Parts() {
		p, err := d.read(ctx, c, k, tokens)
		if err != nil {
			return "", err
		}
		for _, x := range p.prompts {
			if !shown(x.ID) {
				continue
			}
			if err := b.add(p, x); err != nil {
				return "", err
			}
		}
	}
	return b.finish()
}

// builder makes the section prompt by prompt.
type builder struct {
	config    *config.Config
	tokenizer *tokenizer.Tokenizer // the target's; nil where tokens cannot be drawn
	view      view
	index     index
	tags      map[string]int
	records   []record // of the chunk that is not full
	words     vocabulary
	strips    map[int]map[string]strip
}

// targetTokenizer loads it if there are examples that it fits, and notes why tokens are not drawn.
func (b *builder) targetTokenizer(d *datasets) *tokenizer.Tokenizer {
	m, _ := b.config.Model(b.config.Target.Model)
	for _, mode := range schemas.Modes {
		set := d.fusion[mode]
		if set == nil {
			continue
		}
		t, err := tokenizer.Load(cmp.Or(m.Path, m.Tokenizer))
		if err == nil && set.Header.TargetTokenizer != "" {
			err = set.CheckTargetTokenizer(t.Fingerprint())
		}
		if err != nil {
			b.view.Note = fmt.Sprintf("Aligned tokens are not drawn: %v.", err)
			return nil
		}
		return t
	}
	b.view.Note = "There are no aligned tokens yet: profuser fuse makes them."
	return nil
}

// begin sets what all prompts share.
func (b *builder) begin() {
	c := b.config
	b.tags = map[string]int{}
	b.index = index{
		Models: append(slices.Clone(c.Competitors()), schemas.MixedSource), Judges: c.Reward.Models, Target: c.Target.Model,
		Method: c.Advantage.Inference.Method, Measure: "nats " + strings.ReplaceAll(c.Advantage.CrossEntropy, "_", " "), Chunk: chunkPrompts, Tags: []string{}, Winners: map[string][]int{},
	}
	b.beginChunk()
}

func (b *builder) beginChunk() {
	b.records, b.strips = nil, map[int]map[string]strip{}
	b.words = vocabulary{tokenizer: b.tokenizer, place: map[int32]int{}}
}

// add takes the next prompt.
func (b *builder) add(p *part, x schemas.Prompt) error {
	r, flags := newRecord(b.config, b.index.Models, p, x)
	number := b.view.Shown
	b.view.Shown++
	for _, mode := range schemas.Modes {
		winner := -1
		if w, ok := r.Won[mode]; ok {
			winner = w.Model
		}
		b.index.Winners[mode] = append(b.index.Winners[mode], winner)
		example, ok := p.examples[mode][x.ID]
		if !ok {
			continue
		}
		if b.strips[number] == nil {
			b.strips[number] = map[string]strip{}
			b.view.Tokens++
		}
		b.strips[number][mode] = newStrip(&b.words, example)
		flags |= hasTokens
	}
	b.index.Flags = append(b.index.Flags, flags)
	b.index.IDs = append(b.index.IDs, x.ID)
	b.index.Beginnings = append(b.index.Beginnings, beginning(x.Messages[len(x.Messages)-1].Content))
	b.index.Tag = append(b.index.Tag, b.tag(x.Tags))
	b.records = append(b.records, r)
	if len(b.records) == chunkPrompts {
		return b.endChunk()
	}
	return nil
}

// tag numbers a prompt's first tag.
func (b *builder) tag(tags []string) int {
	if len(tags) == 0 {
		return -1
	}
	n, ok := b.tags[tags[0]]
	if !ok {
		n = len(b.index.Tags)
		b.tags[tags[0]] = n
		b.index.Tags = append(b.index.Tags, tags[0])
	}
	return n
}

// endChunk compresses the chunk.
func (b *builder) endChunk() error {
	number := len(b.view.Prompts)
	text, err := pack(b.records)
	if err != nil {
		return err
	}
	b.view.Prompts = append(b.view.Prompts, text)
	if len(b.strips) > 0 {
		if b.view.TokenChunks[number], err = pack(tokenChunk{b.words.texts, b.strips}); err != nil {
			return err
		}
	}
	b.beginChunk()
	return nil
}

// finish writes the section.
func (b *builder) finish() (template.HTML, error) {
	if len(b.records) > 0 {
		if err := b.endChunk(); err != nil {
			return "", err
		}
	}
	if !slices.Contains(b.index.Winners[schemas.ModeTraining], len(b.index.Models)-1) {
		b.index.Models = b.index.Models[:len(b.index.Models)-1]
	}
	var err error
	if b.view.Index, err = pack(b.index); err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := section.Execute(&out, b.view); err != nil {
		return "", fmt.Errorf("drawing the browser of prompts: %w", err)
	}
	return template.HTML(out.String()), nil
}

// pack compresses JSON and writes it in characters that mean nothing to HTML.
func pack(value any) (template.HTML, error) {
	var b strings.Builder
	characters := base64.NewEncoder(base64.StdEncoding, &b)
	z := gzip.NewWriter(characters)
	e := json.NewEncoder(z)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return "", fmt.Errorf("packing prompts: %w", err)
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	if err := characters.Close(); err != nil {
		return "", err
	}
	return template.HTML(b.String()), nil
}

// beginning is what the list shows of a text.
func beginning(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	n := 0
	for at := range text {
		if n++; n > 110 {
			return text[:at] + "…"
		}
	}
	return text
}

// grouped writes 10000 as 10,000.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for at := len(text) - 3; at > 0; at -= 3 {
		text = text[:at] + "," + text[at:]
	}
	return text
}
