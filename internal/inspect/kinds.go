package inspect

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/profuser/profuser/fusion/spelling"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// record is what the row types have in common.
type record interface {
	Schema() string
	Validate() error
}

// kind is what the commands do with one record type: read a part's rows.
type kind func(data []byte) (rows []record, f dataset.Footer, err error)

// rowsOf is the kind of T.
func rowsOf[T any, P interface {
	*T
	record
}](data []byte,
) ([]record, dataset.Footer, error) {
	rows, f, err := dataset.DecodePart[T](data)
	out := make([]record, len(rows))
	for i := range rows {
		out[i] = P(&rows[i])
	}
	return out, f, err
}

// kinds are all records, by schema name without version.
var kinds = map[string]kind{
	"prompt":          rowsOf[schemas.Prompt],
	"generation":      rowsOf[schemas.Generation],
	"teacher_forcing": rowsOf[schemas.TeacherForcing],
	"reward":          rowsOf[schemas.Reward],
	"verdict":         rowsOf[schemas.Verdict],
	"selection":       rowsOf[schemas.Selection],
	"fusion_example":  examples,
	"evaluation":      rowsOf[schemas.Evaluation],
	"rejected":        rowsOf[schemas.Rejected],
}

// examples reads fusion examples, with chunks where the file has them.
func examples(data []byte) ([]record, dataset.Footer, error) {
	d, err := dataset.Describe(data)
	if err != nil {
		return nil, dataset.Footer{}, err
	}
	if slices.ContainsFunc(d.Columns, func(c dataset.Column) bool { return strings.HasPrefix(c.Path, "chunk_") }) {
		return rowsOf[schemas.ChunkedExample](data)
	}
	return rowsOf[schemas.FusionExample](data)
}

// decode reads the rows of any part of ours.
func decode(data []byte) ([]record, dataset.Footer, error) {
	f, _, err := dataset.DecodeFooter(data)
	if err != nil {
		return nil, f, err
	}
	name, _, err := schemas.SplitVersion(f.Schema)
	if err != nil {
		return nil, f, err
	}
	read, ok := kinds[name]
	if !ok {
		return nil, f, fmt.Errorf("schema %s is unknown to this build", f.Schema)
	}
	return read(data)
}

// identity says which row of a prompt a row is: id, mode, source and sample as far as it has them.
func identity(r record) (id, rest string) {
	switch r := r.(type) {
	case *schemas.Prompt:
		return r.ID, ""
	case *schemas.Generation:
		return r.ID, fmt.Sprint(r.Source, " ", r.Sample)
	case *schemas.TeacherForcing:
		return r.ID, fmt.Sprint(r.Source, " ", r.Sample)
	case *schemas.Reward:
		return r.ID, fmt.Sprint(r.Source, " ", r.Sample)
	case *schemas.Verdict:
		return r.ID, fmt.Sprint(r.First, " ", r.FirstSample, " ", r.Second, " ", r.SecondSample)
	case *schemas.Selection:
		return r.ID, r.Mode
	case *schemas.FusionExample:
		return r.ID, fmt.Sprint(r.Source, " ", r.Sample)
	case *schemas.ChunkedExample:
		return identity(&r.FusionExample)
	case *schemas.Evaluation:
		return r.ID, r.Model
	}
	return "", ""
}

// vocabulary is a tokenizer and the model's number of ids.
type vocabulary struct {
	spelling.Vocabulary
	limit int
}

// loadVocabulary reads a tokenizer, and beside it config.json for the model's number of ids, which may be larger.
func loadVocabulary(path string) (v *vocabulary, fingerprint string, err error) {
	t, err := tokenizer.Load(path)
	if err != nil {
		return nil, "", fmt.Errorf("reading tokenizer %s: %w", path, err)
	}
	v = &vocabulary{t, t.Size()}
	data, err := os.ReadFile(filepath.Join(path, "config.json"))
	if err != nil {
		return v, t.Fingerprint(), nil // a tokenizer by itself
	}
	var config struct {
		VocabSize int `json:"vocab_size"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return nil, "", fmt.Errorf("reading %s: %w", filepath.Join(path, "config.json"), err)
	}
	v.limit = max(v.limit, config.VocabSize)
	return v, t.Fingerprint(), nil
}

// spelled checks a row's tokens with the vocabulary that they are of; references are by prompt id.
func (v *vocabulary) spelled(r record, references map[string]string) error {
	switch r := r.(type) {
	case *schemas.Generation:
		return spelling.Check(v, "generation", r.ID, r.Text, r.FinishReason == schemas.FinishStop, &r.TokenDistributions, v.limit)
	case *schemas.TeacherForcing:
		if text, ok := references[r.ID]; ok {
			return spelling.Check(v, "teacher_forcing", r.ID, text, true, &r.TokenDistributions, v.limit)
		}
	case *schemas.FusionExample:
		for column, ids := range map[string][]int32{"prompt_ids": r.PromptIDs, "text_ids": r.TextIDs, "ids": r.IDs} {
			for i, id := range ids {
				if int(id) >= v.limit {
					return &schemas.Fault{
						Record: "fusion_example", ID: r.ID, Column: fmt.Sprintf("%s[%d]", column, i), Value: fmt.Sprint(id), Want: fmt.Sprintf("an id of the target's vocabulary, below %d", v.limit),
					}
				}
			}
		}
		return spelling.Text(v, "fusion_example", r.ID, r.Text, r.TextIDs)
	case *schemas.ChunkedExample:
		return v.spelled(&r.FusionExample, references)
	}
	return nil
}
