package exam

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/profuser/profuser/fusion/harness"
	"github.com/profuser/profuser/internal/dataset"
)

// maxLine is the longest line of a JSON lines file, in bytes.
const maxLine = 64 << 20

// Documents reads a file of items: .jsonl, .csv or .parquet. subject, if not "", is that of rows without one, and of rows
// with one it takes only its own. Errors name the file, the row and the field.
func Documents(t harness.Task, path, subject string) ([]harness.Document, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading items: %w", err)
	}
	rows, err := rowsOf(t, path, data)
	if err != nil {
		return nil, fmt.Errorf("reading items of %s: %w", path, err)
	}
	var all []harness.Document
	for i, row := range rows {
		if subject != "" {
			if own, ok := row["subject"].(string); ok && own != "" && own != subject {
				continue
			}
			row["subject"] = subject
		}
		d, err := t.Document(row)
		if err != nil {
			return nil, fmt.Errorf("reading items of %s: row %d: %w", path, i+1, err)
		}
		all = append(all, d)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("reading items of %s: it has no items%s", path, strings.TrimRight(" of subject "+subject, " "))
	}
	return all, nil
}

// rowsOf reads the rows of a file by the ending of its name.
func rowsOf(t harness.Task, path string, data []byte) ([]harness.Row, error) {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".jsonl":
		return linesOf(data)
	case ".csv":
		records := csv.NewReader(bytes.NewReader(data))
		records.FieldsPerRecord = -1
		all, err := records.ReadAll()
		if err != nil {
			return nil, err
		}
		return t.Rows(all)
	case ".parquet":
		count, err := dataset.AnyCount(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return nil, err
		}
		found, err := dataset.AnyRows(data, int(count))
		var rows []harness.Row
		for i, value := range found {
			row, ok := value.(map[string]any)
			if !ok {
				return nil, fmt.Errorf("row %d is %T, want columns with names", i+1, value)
			}
			rows = append(rows, row)
		}
		return rows, err
	}
	return nil, fmt.Errorf("the name ends in %q, want .jsonl, .csv or .parquet", filepath.Ext(path))
}

// linesOf reads JSON lines.
func linesOf(data []byte) ([]harness.Row, error) {
	var rows []harness.Row
	lines := bufio.NewScanner(bytes.NewReader(data))
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		row := harness.Row{}
		if err := json.Unmarshal(line, &row); err != nil {
			return nil, fmt.Errorf("line %d: %w; want one JSON object a line", n, err)
		}
		rows = append(rows, row)
	}
	return rows, lines.Err()
}
