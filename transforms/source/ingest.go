package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
	"github.com/profuser/profuser/transforms/sink"
	"github.com/profuser/profuser/transforms/tally"
)

func init() {
	register.Function1x2(keyByPart)
	register.DoFn5x1[context.Context, int64, func(*Chunk) bool, func(*[]byte) bool, func(sink.Done), error](&writeFn{})
	register.DoFn3x1[context.Context, string, func(*sink.Done) bool, error](&commitFn{})
	register.Function1x2(keyByStep)
	register.Iter1[Chunk]()
	register.Iter1[sink.Done]()
	register.Emitter1[sink.Done]()
}

// Step says what is read and how; sent to workers as JSON.
type Step struct {
	// Files are the input files, JSON lines or Parquet, in order.
	Files []string
	// Columns names the keys of a row.
	Columns Columns
	// Turns is TurnsLast or TurnsEach.
	Turns string
	// PartRows is the number of rows that become one part, 1 or more. Parts do not span files.
	PartRows int
	// Store is the store's address, Output the dataset's name.
	Store, Output string
	// Footer is what every part says of itself: digests.
	Footer dataset.Footer
	// MaxRejects is the reject budget, as in dataset.CommitOptions.
	MaxRejects float64
	// Benchmarks say which prompts are contaminated.
	Benchmarks Benchmarks
	// Revision is the one that is made, 0 and 1 the first. Known are the pieces of each of Files that became parts of it
	// before (Compare finds them): they keep their numbers. The parts below From are there and are not looked at.
	Revision int
	Known    [][]dataset.InputFile
	From     int
}

// stepName is the step's name in messages and rejects.
const stepName = "ingest"

// Ingest writes and commits the dataset of prompts: files -> PCollection<sink.Done>.
func Ingest(s beam.Scope, step Step) beam.PCollection {
	s = s.Scope("source.Ingest")
	files := make([]file, len(step.Files))
	for i, path := range step.Files {
		files[i] = file{Number: int64(i), Path: path}
	}
	indexes := beam.ParDo(s, &indexFn{PartRows: step.PartRows, Known: step.Known}, beam.Reshuffle(s, beam.CreateList(s, files)))
	chunks := beam.Reshuffle(s, beam.ParDo(s, &numberFn{Store: step.Store, Output: step.Output, Revision: step.Revision, Known: step.Known}, beam.GroupByKey(s, indexes)))
	byPart := beam.ParDo(s, keyByPart, chunks)
	fingerprints := beam.ParDo(s, &fingerprintsFn{Columns: step.Columns, Turns: step.Turns}, chunks)
	suspects := beam.ParDo(s, &suspectsFn{}, beam.GroupByKey(s, fingerprints))
	records := beam.ParDo(s, &recordsFn{Columns: step.Columns, Turns: step.Turns}, beam.CoGroupByKey(s, byPart, suspects))
	marks := beam.ParDo(s, &repeatsFn{}, beam.GroupByKey(s, records))
	done := beam.ParDo(s, &writeFn{Step: step}, beam.CoGroupByKey(s, byPart, marks))
	commit := &commitFn{Store: step.Store, Output: step.Output, Revision: step.Revision, MaxRejects: step.MaxRejects}
	beam.ParDo0(s, commit, beam.GroupByKey(s, beam.ParDo(s, keyByStep, done)))
	return done
}

func keyByPart(c Chunk) (int64, Chunk) { return c.Part, c }

func keyByStep(d sink.Done) (string, sink.Done) { return d.Step, d }

// writeFn writes one part of prompts.
type writeFn struct {
	Step  Step
	store dataset.Store
}

// ProcessElement reads the part's lines again and creates its file, only if absent.
func (f *writeFn) ProcessElement(ctx context.Context, part int64, chunks func(*Chunk) bool, marks func(*[]byte) bool, emit func(sink.Done)) error {
	if f.store == nil {
		store, err := dataset.OpenStore(ctx, f.Step.Store)
		if err != nil {
			return sink.Fault(err)
		}
		f.store = store
	}
	var chunk Chunk
	if !chunks(&chunk) {
		return sink.Fault(fmt.Errorf("part %d was marked but not numbered", part))
	}
	refused := map[int]*fault{}
	var list []byte
	for marks(&list) {
		mark(list, refused)
	}
	var counts tally.Tally
	key := f.Step.Output + "/" + dataset.PartFile(int(part), f.Step.Revision)
	there := int(part) < f.Step.From
	if !there {
		var err error
		if there, err = f.store.Exists(ctx, key); err != nil {
			return sink.Fault(err)
		}
	}
	if !there {
		if err := f.write(ctx, key, chunk, refused, &counts); err != nil {
			return sink.Fault(fmt.Errorf("ingest part %d: %w", part, err))
		}
	}
	counts.Part()
	sink.Report(ctx, &counts)
	emit(sink.Done{Step: stepName, Number: part, Skipped: there})
	return nil
}

// mark translates the marks of repeatsFn into faults by ordinal; a conflict is worse than a duplicate.
func mark(list []byte, refused map[int]*fault) {
	for ; len(list) >= 8; list = list[8:] {
		m := binary.BigEndian.Uint64(list)
		ordinal := int(m >> 1)
		if m&1 == 1 {
			refused[ordinal] = &fault{CodeConflict, "external id", "an earlier row with this id has other messages"}
		} else if refused[ordinal] == nil {
			refused[ordinal] = &fault{schemas.CodeDuplicate, "messages", "an earlier row has the same"}
		}
	}
}

func (f *writeFn) write(ctx context.Context, key string, chunk Chunk, refused map[int]*fault, counts *tally.Tally) error {
	var prompts []schemas.Prompt
	footer := f.Step.Footer
	footer.Part = int(chunk.Part)
	benchmarks, err := f.Step.Benchmarks.load(ctx)
	if err != nil {
		return err
	}
	ordinal := 0
	err = chunk.lines(ctx, func(line []byte, number int64) error {
		for _, e := range entries(line, f.Step.Columns, f.Step.Turns) {
			bad := e.fault
			if bad == nil {
				bad = refused[ordinal]
			}
			ordinal++
			if bad == nil {
				bad = contaminated(benchmarks, &e.prompt)
			}
			if bad == nil {
				prompts = append(prompts, e.prompt)
				counts.Row()
				continue
			}
			where := fmt.Sprintf("%s:%d", chunk.Path, number)
			if bad.code == schemas.CodeContaminated {
				where, bad.field = bad.field, where // the benchmark first: Contaminated counts by it
			}
			reject := sink.Reject(stepName, e.prompt.ID, "", bad.code, "%s: %v", where, bad)
			footer.Rejects = append(footer.Rejects, *reject)
			counts.Row(reject)
		}
		return nil
	})
	if err != nil {
		return err
	}
	data, err := dataset.EncodePart(prompts, footer)
	if err != nil {
		return err
	}
	if err := f.store.Create(ctx, key, data); err != nil && !errors.Is(err, dataset.ErrExists) {
		return fmt.Errorf("writing %s: %w", key, err)
	}
	return nil
}

// commitFn runs once, after the last part.
type commitFn struct {
	Store, Output string
	Revision      int
	MaxRejects    float64
}

// ProcessElement writes the manifest. Too many rejects are no error here: the job's caller calls Commit to learn why.
func (f *commitFn) ProcessElement(ctx context.Context, _ string, done func(*sink.Done) bool) error {
	var d sink.Done
	for done(&d) {
		continue // the parts are counted where they lie
	}
	store, err := dataset.OpenStore(ctx, f.Store)
	if err != nil {
		return sink.Fault(err)
	}
	_, err = Commit(ctx, store, f.Output, dataset.CommitOptions{Revision: f.Revision, MaxRejects: f.MaxRejects})
	var over *dataset.RejectsError
	if err != nil && !errors.As(err, &over) {
		return sink.Fault(err)
	}
	return nil
}

// Commit writes the manifest of a dataset whose parts are all there; parts and inputs are those of its list of files.
func Commit(ctx context.Context, store dataset.Store, name string, o dataset.CommitOptions) (dataset.Manifest, error) {
	files, _, err := Files(ctx, store, name, o.Revision)
	if err != nil {
		return dataset.Manifest{}, err
	}
	o.Inputs, o.Parts = files, 0
	for _, f := range files {
		o.Parts += f.Parts
	}
	return dataset.Commit(ctx, store, name, o)
}
