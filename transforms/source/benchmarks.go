package source

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/profuser/profuser/fusion/contamination"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// Benchmarks names files whose texts no prompt may share a run of words with.
type Benchmarks struct {
	// Files are Parquet files, JSON lines (.jsonl, .ndjson, .json), CSV (.csv, .tsv) or, with any other name, plain text in
	// which blank lines divide items.
	Files []string
	// Words is the length of a run, see contamination.NewIndex.
	Words int
	// Digest is that of the files' contents.
	Digest string
}

// NewBenchmarks reads the files, so that a fault in one is known before any work, and takes their digest. Without files
// it is the zero value.
func NewBenchmarks(ctx context.Context, files []string, words int) (Benchmarks, error) {
	if len(files) == 0 {
		return Benchmarks{}, nil
	}
	b := Benchmarks{Files: files, Words: words}
	sum := sha256.New()
	for _, file := range files {
		r, size, done, err := openInput(ctx, file)
		if err != nil {
			return b, fmt.Errorf("benchmark file: %w", err)
		}
		fmt.Fprintf(sum, "%d\x1f", size)
		_, err = io.Copy(sum, io.NewSectionReader(r, 0, size))
		if err = errors.Join(err, done()); err != nil {
			return b, fmt.Errorf("benchmark file %s: %w", file, err)
		}
	}
	b.Digest = hex.EncodeToString(sum.Sum(nil))
	_, err := b.load(ctx)
	return b, err
}

// Over adds what the files hold to a configuration's digest; without files it is unchanged.
func (b Benchmarks) Over(digest string) string {
	if b.Digest == "" {
		return digest
	}
	sum := sha256.Sum256([]byte(digest + "\x1f" + b.Digest))
	return hex.EncodeToString(sum[:16])
}

// indexes are those of this process, by files, contents and words.
var indexes sync.Map

// load reads the files once a process; nil without files.
func (b Benchmarks) load(ctx context.Context) (*contamination.Index, error) {
	if len(b.Files) == 0 {
		return nil, nil
	}
	read := func() (*contamination.Index, error) { return b.read(context.WithoutCancel(ctx)) }
	once, _ := indexes.LoadOrStore(fmt.Sprint(b.Words, b.Digest, b.Files), sync.OnceValues(read))
	return once.(func() (*contamination.Index, error))()
}

// read reads the files into an index: every text of every item counts by itself, question, answer and choices alike.
func (b Benchmarks) read(ctx context.Context) (*contamination.Index, error) {
	x, err := contamination.NewIndex(b.Words)
	if err != nil {
		return nil, err
	}
	for _, file := range b.Files {
		x.Begin(file)
		if err := eachText(ctx, file, x.Add); err != nil {
			return nil, fmt.Errorf("benchmark file %s: %w", file, err)
		}
		if f := x.Files()[len(x.Files())-1]; f.Texts == 0 {
			return nil, fmt.Errorf("benchmark file %s has no texts", file)
		}
	}
	return x, nil
}

// eachText calls add for every text in a file.
func eachText(ctx context.Context, file string, add func(text string)) error {
	r, size, done, err := openInput(ctx, file)
	if err != nil {
		return err
	}
	all := io.NewSectionReader(r, 0, size)
	switch ext := strings.ToLower(path.Ext(file)); {
	case isParquet(r):
		err = dataset.EachAnyRow(r, size, 0, 1<<62, func(row any) error {
			texts(row, add)
			return ctx.Err()
		})
	case ext == ".jsonl", ext == ".ndjson", ext == ".json":
		err = jsonTexts(ctx, all, add)
	case ext == ".csv", ext == ".tsv":
		err = csvTexts(ctx, all, ext, add)
	default:
		err = paragraphs(ctx, all, add)
	}
	return errors.Join(err, done())
}

// jsonTexts reads JSON values one after another, lines or not.
func jsonTexts(ctx context.Context, r io.Reader, add func(text string)) error {
	decoder := json.NewDecoder(bufio.NewReaderSize(r, 1<<20))
	for number := 1; ctx.Err() == nil; number++ {
		var value any
		if err := decoder.Decode(&value); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("item %d: malformed JSON: %w", number, err)
		}
		texts(value, add)
	}
	return ctx.Err()
}

// csvTexts reads the cells of a table.
func csvTexts(ctx context.Context, r io.Reader, ext string, add func(text string)) error {
	table := csv.NewReader(r)
	table.FieldsPerRecord, table.ReuseRecord, table.LazyQuotes = -1, true, ext == ".tsv"
	if ext == ".tsv" {
		table.Comma = '\t'
	}
	for ctx.Err() == nil {
		row, err := table.Read()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		for _, cell := range row {
			if cell != "" {
				add(cell)
			}
		}
	}
	return ctx.Err()
}

// paragraphs reads what stands between blank lines.
func paragraphs(ctx context.Context, r io.Reader, add func(text string)) error {
	var paragraph strings.Builder
	end := func() {
		if paragraph.Len() > 0 {
			add(paragraph.String())
			paragraph.Reset()
		}
	}
	err := eachLine(ctx, r, func(line []byte, _, _ int64) error {
		if blank(string(line)) {
			end()
		} else {
			paragraph.Write(line)
		}
		return nil
	})
	end()
	return err
}

// texts calls add for every text in a value of JSON's kinds.
func texts(value any, add func(text string)) {
	switch v := value.(type) {
	case string:
		if v != "" {
			add(v)
		}
	case []byte:
		texts(string(v), add)
	case []any:
		for _, x := range v {
			texts(x, add)
		}
	case map[string]any:
		for _, x := range v {
			texts(x, add)
		}
	}
}

// contaminated is the fault of a prompt of which a message or the reference shares a run of words with a benchmark, in
// the field of the file's name; nil if it shares none.
func contaminated(x *contamination.Index, p *schemas.Prompt) *fault {
	if x == nil {
		return nil
	}
	all := make([]string, 0, len(p.Messages)+1)
	for _, m := range p.Messages {
		all = append(all, m.Content)
	}
	if p.Reference != nil {
		all = append(all, *p.Reference)
	}
	for _, text := range all {
		if file, run, ok := x.Find(text); ok {
			return &fault{schemas.CodeContaminated, file, fmt.Sprintf("shares %d words with it: %q", x.Words(), run)}
		}
	}
	return nil
}

// Report tells, a line for each file, what was read and how many prompts of a committed dataset shared words with it first.
func (b Benchmarks) Report(ctx context.Context, store dataset.Store, name string) (lines []string, err error) {
	x, err := b.load(ctx)
	if x == nil || err != nil {
		return nil, err
	}
	d, err := dataset.Open(ctx, store, name)
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for part, info := range d.Manifest.Parts {
		if info.Rejects == 0 {
			continue
		}
		f, _, err := dataset.PartFooter(ctx, store, name, part)
		if err != nil {
			return nil, err
		}
		for _, reject := range f.Rejects {
			at := slices.IndexFunc(b.Files, func(file string) bool { return strings.HasPrefix(reject.Message, file+": ") })
			if reject.Code == schemas.CodeContaminated && at >= 0 {
				counts[b.Files[at]]++
			}
		}
	}
	for _, f := range x.Files() {
		lines = append(lines, fmt.Sprintf("%6d prompts share %d words with %s (%d texts, %d of them shorter; %d runs)", counts[f.Name], b.Words, f.Name, f.Texts, f.Short, f.Runs))
	}
	return lines, nil
}
