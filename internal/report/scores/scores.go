package scores

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
)

// Epoch is a row of rewards.json: the reward scores of a model's responses after an epoch.
type Epoch struct {
	// Epoch counts over the whole curriculum; 0 is the target before training.
	Epoch int `json:"epoch"`
	// Step is the optimiser step after it, Stage the stage's name.
	Step  int    `json:"step"`
	Stage string `json:"stage"`
	// Responses is their number; Mean and SD are over responses, of the mean over reward models.
	Responses int     `json:"responses"`
	Mean      float64 `json:"mean"`
	SD        float64 `json:"sd"`
}

// Epochs reads a rewards.json, whose epochs rise, and leaves out those without any response; file names it in errors.
func Epochs(r io.Reader, file string) ([]Epoch, error) {
	var all struct {
		Rows []Epoch `json:"rows"`
	}
	if err := json.NewDecoder(r).Decode(&all); err != nil {
		return nil, fmt.Errorf("reading %s: %w: profuser evaluate --reward writes it anew", file, err)
	}
	if len(all.Rows) == 0 {
		return nil, fmt.Errorf("reading %s: it has no rows: profuser evaluate --reward writes it anew", file)
	}
	for i, row := range all.Rows {
		switch {
		case i > 0 && row.Epoch <= all.Rows[i-1].Epoch:
			return nil, fmt.Errorf("reading %s, row %d: epoch %d after epoch %d, want rising ones", file, i+1, row.Epoch, all.Rows[i-1].Epoch)
		case row.Responses < 0:
			return nil, fmt.Errorf("reading %s, row %d: responses is %d, want at least 0", file, i+1, row.Responses)
		case row.SD < 0:
			return nil, fmt.Errorf("reading %s, row %d: sd is %g, want at least 0", file, i+1, row.SD)
		}
	}
	return slices.DeleteFunc(all.Rows, func(e Epoch) bool { return e.Responses == 0 }), nil
}

// Run is the epochs of one run, under a name.
type Run struct {
	Name   string
	Epochs []Epoch
}

// Method is the benchmark score of models that were trained with one advantage method.
type Method struct {
	Name string
	// Score is the mean over seeds, in the benchmark's own unit, at least 0; SD is its standard deviation, NaN where it
	// is not known.
	Score, SD float64
}

// Methods reads a CSV file with a head that names at least method and score; sd may be absent or empty. file names it in
// errors.
func Methods(r io.Reader, file string) ([]Method, error) {
	in := csv.NewReader(r)
	head, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w: want a line with the columns method,score,sd first", file, err)
	}
	name, score, sd := slices.Index(head, "method"), slices.Index(head, "score"), slices.Index(head, "sd")
	if name < 0 || score < 0 {
		return nil, fmt.Errorf("reading %s: the columns are %q, want method, score and sd among them", file, head)
	}
	var out []Method
	for {
		row, err := in.Read()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("reading %s: %w", file, err)
		}
		line, _ := in.FieldPos(0)
		m := Method{Name: row[name], SD: math.NaN()}
		if m.Score, err = number(row[score]); err != nil {
			return nil, fmt.Errorf("reading %s, line %d: score %w", file, line, err)
		}
		if sd >= 0 && row[sd] != "" {
			if m.SD, err = number(row[sd]); err != nil {
				return nil, fmt.Errorf("reading %s, line %d: sd %w", file, line, err)
			}
		}
		out = append(out, m)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("reading %s: it has no rows", file)
	}
	return out, nil
}

// number is a finite number of at least 0.
func number(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, fmt.Errorf("is %q, want a number of at least 0", text)
	}
	return v, nil
}
