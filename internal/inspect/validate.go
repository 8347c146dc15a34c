package inspect

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// Options of Validate.
type Options struct {
	// Checksums compares the files' digests with the manifest's, and the inputs that parts name with what is there.
	Checksums bool
	// Tokenizers are models' directories or tokenizer.json files: rows over one of their vocabularies are checked with it.
	Tokenizers []string
	// Faults bounds the faults listed for all datasets together, 1 or more.
	Faults int
}

// Result is what Validate found.
type Result struct {
	// Faults are the first ones: file, row, column and what is wrong, in order.
	Faults []string
	// More says that the search ended at Options.Faults.
	More bool
	// Files and Rows were checked.
	Files int
	Rows  int64
}

// Validate checks a dataset, all datasets below a folder, or one Parquet file: the manifest against what is there, each
// footer against the header, each row by itself, rows against the prompts of the run (the same order, nobody else's), a
// prompt's rows against each other (none twice), rejected/ against the footers. The error is of what cannot be looked at.
func Validate(ctx context.Context, address string, o Options) (Result, error) {
	where, err := find(ctx, address)
	if err != nil {
		return Result{}, err
	}
	v := &validation{store: where.store, o: o, prompts: map[string]*promptSet{}, vocabularies: map[string]*vocabulary{}}
	for _, path := range o.Tokenizers {
		vocabulary, fingerprint, err := loadVocabulary(path)
		if err != nil {
			return Result{}, err
		}
		v.vocabularies[fingerprint] = vocabulary
	}
	if where.file != "" {
		data, err := where.store.Read(ctx, where.file)
		if err != nil {
			return Result{}, err
		}
		v.rows(where.file, data, nil)
		return v.Result, nil
	}
	for _, name := range where.names {
		if err := v.dataset(ctx, name); err != nil {
			return v.Result, err
		}
	}
	return v.Result, nil
}

// validation is one run of Validate.
type validation struct {
	Result
	store        dataset.Store
	o            Options
	vocabularies map[string]*vocabulary // by fingerprint
	prompts      map[string]*promptSet  // by the run's folder
}

// promptSet are the prompts of a run: nil part lists where there are none.
type promptSet struct {
	order      []map[string]int // by part: id to place
	references map[string]string
}

func (v *validation) fault(where string, err error) {
	if len(v.Faults) < v.o.Faults {
		v.Faults = append(v.Faults, fmt.Sprintf("%s: %v", where, err))
	} else {
		v.More = true
	}
}

// dataset checks one dataset; errors are those of reading what must be readable to go on.
func (v *validation) dataset(ctx context.Context, name string) error {
	d, err := dataset.Open(ctx, v.store, name)
	if err != nil {
		v.fault(name, err)
		return ctx.Err()
	}
	surplus, err := d.Surplus(ctx)
	if err != nil {
		return err
	}
	for _, file := range surplus {
		v.fault(name+"/"+file, fmt.Errorf("is there although the manifest has %d parts", d.Parts()))
	}
	prompts := v.promptsOf(ctx, name, d)
	footers := make([]dataset.Footer, d.Parts())
	whole := true
	for part := range d.Parts() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if len(v.Faults) == v.o.Faults {
			v.More = true
			return nil
		}
		key := d.Key(part)
		data, err := d.Data(ctx, part)
		if err != nil && (data == nil || v.o.Checksums) {
			v.fault(key, err)
			whole = false
			continue
		}
		f, ok := v.rows(key, data, prompts.part(part))
		if !ok {
			whole = false
			continue
		}
		if err := d.CheckFooter(f, part); err != nil {
			v.fault(key, err)
		}
		v.inputs(ctx, key, f)
		footers[part] = f
	}
	if whole {
		if err := d.CheckRejected(ctx, footers); err != nil {
			v.fault(name, err)
		}
	}
	return nil
}

// rows checks the rows of one file; prompts say their order, nil where it is not known.
func (v *validation) rows(key string, data []byte, prompts *promptPart) (f dataset.Footer, ok bool) {
	rows, f, err := decode(data)
	if err != nil {
		v.fault(key, err)
		return f, false
	}
	v.Files++
	v.Rows += int64(len(rows))
	for i := range f.Rejects {
		if err := f.Rejects[i].Validate(); err != nil {
			v.fault(fmt.Sprintf("%s, reject %d", key, i), err)
		}
	}
	vocabulary := v.vocabularies[cmp.Or(f.SourceTokenizer, f.TargetTokenizer)]
	references := prompts.references()
	if strings.Contains(key, "crossentropy-responses/") {
		references = nil // those texts are in generations/
	}
	seen := map[[2]string]int{}
	last := 0
	for i, r := range rows {
		where := fmt.Sprintf("%s, row %d", key, i)
		if err := r.Validate(); err != nil {
			v.fault(where, err)
			continue
		}
		if vocabulary != nil {
			if err := vocabulary.spelled(r, references); err != nil {
				v.fault(where, err)
			}
		}
		id, rest := identity(r)
		if id == "" {
			continue
		}
		if first, twice := seen[[2]string{id, rest}]; twice {
			v.fault(where, fmt.Errorf("column id: %q (%s) stands in row %d already", id, rest, first))
		}
		seen[[2]string{id, rest}] = i
		if prompts == nil {
			continue
		}
		at, ok := prompts.order[id]
		switch {
		case !ok:
			v.fault(where, fmt.Errorf("column id: %q is no prompt of this part", id))
		case at < last:
			v.fault(where, fmt.Errorf("column id: %q stands after a prompt that follows it in prompts/", id))
		default:
			last = at
		}
	}
	return f, true
}

// inputs compares the parts that a part names as its inputs with what their datasets' manifests say now.
func (v *validation) inputs(ctx context.Context, key string, f dataset.Footer) {
	if !v.o.Checksums {
		return
	}
	for _, in := range f.Inputs {
		name := path.Dir(in.Path)
		d, err := dataset.Open(ctx, v.store, path.Join(v.root(key), name))
		if err != nil {
			continue // an input file from elsewhere, or one that was not kept
		}
		if f.Part < d.Parts() && d.Input(f.Part).SHA256 != in.SHA256 {
			v.fault(key, fmt.Errorf("profuser.inputs: %s has another checksum now: the part is stale; remove it and run the step again", in.Path))
		}
	}
}

// root is the folder of the run that a key lies in: the one that has prompts/, else "".
func (v *validation) root(key string) string {
	for dir := path.Dir(key); dir != "."; {
		dir = path.Dir(dir)
		if p, ok := v.prompts[dir]; ok && p != nil {
			return dir
		}
	}
	return ""
}

// promptPart is one part of a promptSet.
type promptPart struct {
	order map[string]int
	set   *promptSet
}

func (p *promptSet) part(n int) *promptPart {
	if p == nil || n >= len(p.order) {
		return nil
	}
	return &promptPart{p.order[n], p}
}

func (p *promptPart) references() map[string]string {
	if p == nil {
		return nil
	}
	return p.set.references
}

// promptsOf reads the prompts of the run that a dataset belongs to: those of the nearest folder above it that has
// prompts/ with as many parts. Evaluations are of other prompts.
func (v *validation) promptsOf(ctx context.Context, name string, d *dataset.Dataset) *promptSet {
	if d.Header.Schema == schemas.EvaluationSchema || path.Base(name) == "items" {
		return nil
	}
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		set, known := v.prompts[dir]
		if !known {
			set = v.readPrompts(ctx, path.Join(dir, "prompts"))
			v.prompts[dir] = set
		}
		if set != nil && len(set.order) == d.Parts() {
			return set
		}
		if dir == "." {
			return nil
		}
	}
}

// readPrompts reads a dataset of prompts; nil where there is none. Its faults are found when its turn comes.
func (v *validation) readPrompts(ctx context.Context, name string) *promptSet {
	d, err := dataset.Open(ctx, v.store, name)
	if err != nil {
		return nil
	}
	set := &promptSet{references: map[string]string{}}
	for part := range d.Parts() {
		rows, _, err := dataset.Rows[schemas.Prompt](ctx, d, part)
		if err != nil {
			return nil
		}
		order := map[string]int{}
		for i, p := range rows {
			order[p.ID] = i
			if p.Reference != nil {
				set.references[p.ID] = *p.Reference
			}
		}
		set.order = append(set.order, order)
	}
	return set
}
