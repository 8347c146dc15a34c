// Package design reads the file that fixes an experiment before it is run: seeds, sizes, models, conditions, rows, budgets
// and the questions that the rows are to answer.
//
// Flow in: YAML, read strictly (an unknown key is a fault, with its line); flow out: the trainings to make, each a
// configuration of profuser with one seed and one condition, by section of the table.
//
// It runs nothing and knows no results.
package design

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/goccy/go-yaml"

	"github.com/profuser/profuser/data/world"
)

// Design is the file.
type Design struct {
	// Note stands at the document's head.
	Note string `yaml:"note"`
	// Seeds of the repetitions: each draws the prompts, the wrong references and the order of the training anew.
	Seeds []int64 `yaml:"seeds"`
	// Items is the seed of the held-out items and sets, the same for all repetitions.
	Items int64 `yaml:"items_seed"`
	// Prompts and HeldOut are numbers of items a skill, SetItems the most of one benchmark's set.
	Prompts  int `yaml:"prompts_per_skill"`
	HeldOut  int `yaml:"held_out_per_skill"`
	SetItems int `yaml:"set_items"`
	// Jobs run side by side, one processor each.
	Jobs int `yaml:"jobs"`
	// Lesson teaches the chat models the benchmarks' formats before everything else.
	Lesson Lesson `yaml:"lesson"`
	// Models are the chat models by name.
	Models map[string]Model `yaml:"models"`
	// Sources are those that answer in every section; a section's target comes to them.
	Sources []string `yaml:"sources"`
	// Configuration is the text of all rows' fusion.yaml (docs/configuration.md) without version, out, seed, models and
	// target, which the experiment adds, as it writes the files prompts.jsonl and heldout.jsonl.
	Configuration string `yaml:"configuration"`
	// Judges are the reward models' folders by name.
	Judges map[string]string `yaml:"judges"`
	// Sections are the tables.
	Sections []Section `yaml:"sections"`
	// Curves are the rows, "section/row", whose answers are scored by reward models after every epoch (the paper's Figure 4).
	Curves []string `yaml:"curves"`
	// Questions are what is read from the tables.
	Questions []Question `yaml:"questions"`
}

// Lesson is how the formats are taught.
type Lesson struct {
	// Conversations of the text, Tokens and LearningRate of its training.
	Conversations int     `yaml:"conversations"`
	Tokens        int     `yaml:"tokens"`
	LearningRate  float64 `yaml:"learning_rate"`
}

// Model is a chat model.
type Model struct {
	// Path is the folder that the lesson starts from.
	Path string `yaml:"path"`
	// Mixture names what it knows, Fuller is the share of its lesson's answers in the references' style.
	Mixture string  `yaml:"mixture"`
	Fuller  float64 `yaml:"fuller"`
}

// Section is one table: rows under one condition.
type Section struct {
	// Name is short, Title heads the table, Text explains it.
	Name  string `yaml:"name"`
	Title string `yaml:"title"`
	Text  string `yaml:"text"`
	// Wrong is the share of wrong references, Short says that references are in the models' own style.
	Wrong float64 `yaml:"wrong_references"`
	Short bool    `yaml:"short_references"`
	// Formatted is the share of prompts that are asked as the benchmarks ask.
	Formatted float64 `yaml:"formatted_prompts"`
	// Target is the model to train.
	Target string `yaml:"target"`
	// Rows are the methods.
	Rows []Row `yaml:"rows"`
}

// Row is one method: a training (Set), a model as it is (Model) or a merge (Merge).
type Row struct {
	// Name stands in the table.
	Name string `yaml:"name"`
	// Set are key=value options that differ from the common configuration, as on the command line.
	Set []string `yaml:"set"`
	// Model names a chat model that is measured untrained.
	Model string `yaml:"model"`
	// Merge is the text of a merge file (docs/merging.md); {NAME} in it is a chat model's folder.
	Merge string `yaml:"merge"`
}

// Question compares two rows of one section, one row in two sections, or two rows over several sections.
type Question struct {
	// Text is the question.
	Text string `yaml:"text"`
	// Row and Against are "section/row", or with Over names of rows.
	Row     string `yaml:"row"`
	Against string `yaml:"against"`
	// Over are the sections whose differences are averaged, seed by seed.
	Over []string `yaml:"over"`
}

// Pairs are the "section/row" that are compared.
func (q Question) Pairs() (pairs [][2]string) {
	if len(q.Over) == 0 {
		return [][2]string{{q.Row, q.Against}}
	}
	for _, section := range q.Over {
		pairs = append(pairs, [2]string{section + "/" + q.Row, section + "/" + q.Against})
	}
	return pairs
}

// Read reads a file; quick takes the sizes and sections of its key quick.
func Read(path string, quick bool) (Design, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return Design{}, fmt.Errorf("reading the experiment: %w", err)
	}
	d, err := Parse(data, quick)
	if err != nil {
		return Design{}, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

// file is a design with what a quick run has instead.
type file struct {
	Design `yaml:",inline"`
	Quick  struct {
		Seeds    []int64  `yaml:"seeds"`
		Prompts  int      `yaml:"prompts_per_skill"`
		HeldOut  int      `yaml:"held_out_per_skill"`
		SetItems int      `yaml:"set_items"`
		Tokens   int      `yaml:"lesson_tokens"`
		Sections []string `yaml:"sections"`
	} `yaml:"quick"`
}

// Parse reads a design.
func Parse(data []byte, quick bool) (Design, error) {
	var f file
	if err := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict()).Decode(&f); err != nil {
		return Design{}, err
	}
	if q := f.Quick; quick {
		f.Seeds, f.Prompts, f.HeldOut, f.SetItems, f.Design.Lesson.Tokens = q.Seeds, q.Prompts, q.HeldOut, q.SetItems, q.Tokens
		f.Curves = nil // they take half as long as the trainings
		f.Sections = slices.DeleteFunc(f.Sections, func(s Section) bool { return !slices.Contains(q.Sections, s.Name) })
		f.Questions = slices.DeleteFunc(f.Questions, func(q Question) bool { return f.findAll(q) != nil })
	}
	return f.Design, f.check()
}

// check finds everything wrong.
func (d Design) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if len(d.Seeds) == 0 {
		fault("seeds: is empty, want at least one number")
	}
	for _, n := range []struct {
		key   string
		value int
	}{{"prompts_per_skill", d.Prompts}, {"held_out_per_skill", d.HeldOut}, {"set_items", d.SetItems}, {"jobs", d.Jobs}, {"lesson.tokens", d.Lesson.Tokens}, {"lesson.conversations", d.Lesson.Conversations}} {
		if n.value < 1 {
			fault("%s: is %d, want 1 or more", n.key, n.value)
		}
	}
	for name, m := range d.Models {
		if _, ok := world.Mixtures[m.Mixture]; !ok {
			fault("models.%s.mixture: is %q, want a mixture of the demo's world", name, m.Mixture)
		}
	}
	for _, name := range d.Sources {
		if _, ok := d.Models[name]; !ok {
			fault("sources: %q is no name of models", name)
		}
	}
	seen := map[string]bool{}
	for _, s := range d.Sections {
		if seen[s.Name] || s.Name == "" {
			fault("sections: name %q is empty or there twice", s.Name)
		}
		seen[s.Name] = true
		if _, ok := d.Models[s.Target]; !ok {
			fault("section %s: target is %q, want a name of models", s.Name, s.Target)
		}
		faults = append(faults, d.checkRows(s)...)
	}
	for _, row := range d.Curves {
		if err := d.find(row); err != nil {
			fault("curves: %w", err)
		}
	}
	for _, q := range d.Questions {
		if err := d.findAll(q); err != nil {
			fault("question %q: %w", q.Text, err)
		}
	}
	return errors.Join(faults...)
}

func (d Design) checkRows(s Section) (faults []error) {
	seen := map[string]bool{}
	for _, r := range s.Rows {
		kinds := 0
		for _, is := range []bool{r.Set != nil, r.Model != "", r.Merge != ""} {
			if is {
				kinds++
			}
		}
		if r.Name == "" || seen[r.Name] || kinds != 1 {
			faults = append(faults, fmt.Errorf("section %s, row %q: wants a name of its own and one of set, model, merge", s.Name, r.Name))
		}
		seen[r.Name] = true
		if _, ok := d.Models[r.Model]; r.Model != "" && !ok {
			faults = append(faults, fmt.Errorf("section %s, row %s: model is %q, want a name of models", s.Name, r.Name, r.Model))
		}
	}
	return faults
}

// findAll says whether all rows of a question are there.
func (d Design) findAll(q Question) (err error) {
	for _, pair := range q.Pairs() {
		err = errors.Join(err, d.find(pair[0]), d.find(pair[1]))
	}
	return err
}

// find says whether "section/row" is there.
func (d Design) find(name string) error {
	for _, s := range d.Sections {
		for _, r := range s.Rows {
			if s.Name+"/"+r.Name == name {
				return nil
			}
		}
	}
	return fmt.Errorf("%q is no section/row", name)
}
