package harness

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Version is the release of PyPI's lm_eval whose prompts and metrics these are.
const Version = "0.4.13"

// Kinds of metrics, as summaries name them.
const (
	// Acc is 1 where the most probable answer is right; for truthfulqa_mc2 the right answers' share of the probability.
	Acc = "acc"
	// AccNorm is 1 where the answer most probable by character is right.
	AccNorm = "acc_norm"
	// Strict is 1 where the number after the first "####" is right.
	Strict = "strict-match"
	// Flexible is 1 where the last number is right.
	Flexible = "flexible-extract"
)

// Task is one benchmark.
type Task struct {
	// Name is the harness's.
	Name string
	// Shots is the usual number of examples; a task without examples has 0 and Fixed.
	Shots int
	// Fixed says that the number of examples may not be another.
	Fixed bool
	// Generates says that the model writes the answer, instead of choosing one.
	Generates bool
	// FirstOnly says that the examples are always the first ones.
	FirstOnly bool
	// Excludes says that an item is never its own example: the harness takes these tasks' files for one.
	Excludes bool
	// Metrics are those that are reported.
	Metrics []string
	// Revision is the harness's own version of the task.
	Revision float64
	// read makes a document from a row.
	read func(r Row) (Document, error)
	// table reads CSV without a header line, nil for tasks that have one.
	table func(records [][]string) ([]Row, bool)
}

// Tasks are all benchmarks, by name.
var Tasks = []Task{
	{Name: "arc_challenge", Shots: 25, Metrics: []string{Acc, AccNorm}, Revision: 1, read: readARC},
	{Name: "gsm8k", Shots: 5, Generates: true, Metrics: []string{Flexible, Strict}, Revision: 3, read: readGSM8K},
	{Name: "hellaswag", Shots: 10, Excludes: true, Metrics: []string{Acc, AccNorm}, Revision: 1, read: readHellaSwag},
	{Name: "mmlu", Shots: 5, FirstOnly: true, Metrics: []string{Acc}, Revision: 1, read: readMMLU, table: tableMMLU},
	{Name: "truthfulqa_mc1", Fixed: true, Metrics: []string{Acc}, Revision: 2, read: readTruthfulQA1},
	{Name: "truthfulqa_mc2", Fixed: true, Metrics: []string{Acc}, Revision: 3, read: readTruthfulQA2},
	{Name: "winogrande", Shots: 5, Excludes: true, Metrics: []string{Acc}, Revision: 1, read: readWinoGrande},
}

// Named finds a task; an error lists all names.
func Named(name string) (Task, error) {
	var names []string
	for _, t := range Tasks {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Task{}, fmt.Errorf("there is no task %q: want %s", name, strings.Join(names, ", "))
}

// Has says whether the task reports a metric.
func (t Task) Has(metric string) bool { return slices.Contains(t.Metrics, metric) }

// Document is one item as the task asks it.
type Document struct {
	// Subject is MMLU's, with underscores; "" elsewhere.
	Subject string
	// Description stands before everything, "" for none.
	Description string
	// Questions is the text before the answer: one for all answers, or one for each (WinoGrande).
	Questions []string
	// Answers are the texts to choose from, without the space before; WinoGrande has the same one twice, GSM8K only the
	// worked solution.
	Answers []string
	// Gold is the right answer's place in Answers.
	Gold int
	// True says of each answer whether it is right, where several are (TruthfulQA MC2); nil elsewhere.
	True []bool
	// Raw is the row as JSON, by which the same item is known again; "" for a row that JSON cannot have.
	Raw string
}

// Document reads an item. Errors name the field, what it has and what is wanted.
func (t Task) Document(r Row) (Document, error) {
	d, err := t.read(r)
	if err != nil {
		return Document{}, err
	}
	for _, text := range slices.Concat(d.Questions, d.Answers, []string{d.Subject}) {
		if strings.ContainsRune(text, 0) {
			return Document{}, fmt.Errorf("a text of the item has a NUL character")
		}
	}
	if raw, err := json.Marshal(r); err == nil {
		d.Raw = string(raw)
	}
	return d, nil
}

// Rows turns the records of a CSV file into rows: the first line has the columns' names, except in MMLU's own files.
func (t Task) Rows(records [][]string) ([]Row, error) {
	if len(records) == 0 {
		return nil, nil
	}
	if t.table != nil {
		if rows, ok := t.table(records); ok {
			return rows, nil
		}
	}
	names := records[0]
	var rows []Row
	for i, record := range records[1:] {
		if len(record) != len(names) {
			return nil, fmt.Errorf("record %d has %d columns, the header %d", i+2, len(record), len(names))
		}
		row := Row{}
		for k, name := range names {
			row[strings.TrimPrefix(name, "\ufeff")] = record[k]
		}
		rows = append(rows, row)
	}
	return rows, nil
}
