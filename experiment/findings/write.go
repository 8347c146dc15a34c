package findings

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/profuser/profuser/experiment/design"
	"github.com/profuser/profuser/experiment/trial"
)

// Write writes the document and the numbers.
func Write(document, numbers string, d design.Design, results map[string][]*trial.Result, quick bool) error {
	data, err := json.MarshalIndent(results, "", " ")
	if err != nil {
		return err
	}
	files := map[string][]byte{document: Markdown(d, results, quick, time.Now()), numbers: append(data, '\n')}
	methods := filepath.Join(filepath.Dir(numbers), "methods.csv")
	if files[methods] = Methods(d, results); files[methods] == nil {
		delete(files, methods)
	}
	for path, content := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Markdown is the document.
func Markdown(d design.Design, results map[string][]*trial.Result, quick bool, now time.Time) []byte {
	var b bytes.Buffer
	command := "make experiment"
	if quick {
		command += " QUICK=1"
	}
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# The comparison of methods on the demo's world\n")
	say("Written by `%s` on %s (%s/%s), by what data/experiment.yaml says. %s\n", command, now.Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, d.Note)
	say("Numbers are means over up to %d seeds (column seeds) ± their sample standard deviation, in percent where a column is a share. A seed draws the", len(d.Seeds))
	say("%d prompts of each skill, wrong references and the order of the training; the items measured with are the same for all.", d.Prompts)
	say("Rows without ± have one value: they were not trained, or one seed is done. Items also vary: with at most %d in a set, a set's own standard error", d.SetItems)
	say("is up to %.0f points, the average's about %.0f.\n", 100*0.5/math.Sqrt(float64(d.SetItems)), 100*0.5/math.Sqrt(float64(6*d.SetItems)))
	answers(say, d, results)
	curves(say, d, results)
	for _, s := range d.Sections {
		say("## %s\n\n%s\n", s.Title, s.Text)
		if !begun(s, results) {
			say("Not run yet.\n")
			continue
		}
		say("The six benchmark formats:\n")
		table(say, s, results, setColumns())
		say("\nFree answers to held-out questions, the cross-entropy of their references (fuller style, nats a byte), the reward models'")
		say("mean score, and the budget:\n")
		table(say, s, results, freeColumns())
		say("")
	}
	return b.Bytes()
}

// curves is a table of reward models' mean scores by epoch, averaged over seeds.
func curves(say sayer, d design.Design, results map[string][]*trial.Result) {
	if len(d.Curves) == 0 {
		return
	}
	say("## Reward by epoch (the paper's Figure 4)\n\nThe reward models' mean score of the answers to the held-out questions, after each epoch; epoch 0 is the target. In brackets the")
	say("deviation over answers.\n")
	last := 0
	for _, name := range d.Curves {
		for _, r := range results[name] {
			if r != nil && len(r.Curve) > 0 {
				last = max(last, r.Curve[len(r.Curve)-1].Epoch)
			}
		}
	}
	head := "| method |"
	for epoch := range last + 1 {
		head += fmt.Sprintf(" %d |", epoch)
	}
	say("%s\n%s", head, "|---|"+strings.Repeat("---|", last+1))
	for _, name := range d.Curves {
		line := "| " + name[strings.Index(name, "/")+1:] + " |"
		for epoch := range last + 1 {
			at := func(value func(trial.Score) float64) Spread {
				return spread(column{value: func(r *trial.Result) float64 {
					for _, s := range r.Curve {
						if s.Epoch == epoch {
							return value(s)
						}
					}
					return math.NaN()
				}}.of(results[name]))
			}
			mean, sd := at(func(s trial.Score) float64 { return s.Mean }), at(func(s trial.Score) float64 { return s.SD })
			line += fmt.Sprintf(" %s (%.2f) |", column{format: "%.2f"}.cell(mean), sd.Mean)
		}
		say("%s", line)
	}
	say("")
}

// Methods is the section "advantage" as the file that profuser report --methods draws as Figure 3: the average of the six
// sets by method; nil without that section.
func Methods(d design.Design, results map[string][]*trial.Result) []byte {
	for _, s := range d.Sections {
		if s.Name != "advantage" {
			continue
		}
		var b bytes.Buffer
		b.WriteString("method,score,sd\n")
		for _, r := range s.Rows {
			if v := spread(average.of(results[s.Name+"/"+r.Name])); v.N > 1 {
				fmt.Fprintf(&b, "%s,%.6g,%.6g\n", r.Name, v.Mean, v.SD)
			}
		}
		return b.Bytes()
	}
	return nil
}

// begun says that a section has a result.
func begun(s design.Section, results map[string][]*trial.Result) bool {
	for _, r := range s.Rows {
		if slices.ContainsFunc(results[s.Name+"/"+r.Name], func(r *trial.Result) bool { return r != nil }) {
			return true
		}
	}
	return false
}

type sayer func(format string, args ...any)

// table has a row a method.
func table(say sayer, s design.Section, results map[string][]*trial.Result, columns []column) {
	head, rule := []string{"method", "seeds"}, []string{"---", "---"}
	for _, c := range columns {
		head, rule = append(head, c.name), append(rule, "---")
	}
	say("| %s |\n|%s|", strings.Join(head, " | "), strings.Join(rule, "|"))
	for _, r := range s.Rows {
		cells := []string{r.Name, fmt.Sprint(spread(average.of(results[s.Name+"/"+r.Name])).N)}
		for _, c := range columns {
			cells = append(cells, c.cell(spread(c.of(results[s.Name+"/"+r.Name]))))
		}
		say("| %s |", strings.Join(cells, " | "))
	}
}

// number writes a value of the column: a share in percent, anything else by its format.
func (c column) number(x float64) string {
	if c.format == "" {
		return fmt.Sprintf("%.1f", 100*x)
	}
	return fmt.Sprintf(c.format, x)
}

// cell is mean ± deviation.
func (c column) cell(s Spread) string {
	if s.N == 0 {
		return "missing"
	}
	text := c.number(s.Mean)
	if !math.IsNaN(s.SD) && s.SD > 0 {
		text += " ± " + c.number(s.SD)
	}
	return text
}

// answers answers the questions: differences by seed, with a 95 % interval of Student's t.
func answers(say sayer, d design.Design, results map[string][]*trial.Result) {
	if len(d.Questions) == 0 {
		return
	}
	say("## Questions\n\nDifferences, first row minus second, paired by seed, with 95 %% intervals of Student's t over seeds (few: they are wide); **bold**")
	say("where the interval leaves out 0, open elsewhere. It covers prompts and order of training, not the choice of items. Shares are in")
	say("points; fewer nats a byte on the references are better.\n")
	say("| question | first | second | six sets | free answers | nats a byte | reward |\n|---|---|---|---|---|---|---|")
	for _, q := range d.Questions {
		cells := []string{q.Text, q.Row, q.Against}
		if len(q.Over) > 0 {
			cells[0] += " Over " + strings.Join(q.Over, ", ")
		}
		for _, c := range []column{average, free, natsPerByte, reward} {
			cells = append(cells, c.difference(spread(asked(c, q, results))))
		}
		say("| %s |", strings.Join(cells, " | "))
	}
	say("")
}

// asked are a question's differences by seed; those over several sections are their mean, of seeds that all have.
func asked(c column, q design.Question, results map[string][]*trial.Result) (out []float64) {
	pairs := q.Pairs()
	for _, p := range pairs {
		for k, d := range differences(c.of(results[p[0]]), c.of(results[p[1]])) {
			if k == len(out) {
				out = append(out, 0)
			}
			out[k] += d / float64(len(pairs))
		}
	}
	return out
}

// differences pairs by seed; a row with one value has it for every seed.
func differences(a, b []float64) (out []float64) {
	at := func(v []float64, k int) float64 { return v[min(k, len(v)-1)] }
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	for k := range max(len(a), len(b)) {
		out = append(out, at(a, k)-at(b, k))
	}
	return out
}

// difference is a mean difference and its interval, bold where that decides.
func (c column) difference(s Spread) string {
	if s.N == 0 {
		return "missing"
	}
	text := c.number(s.Mean)
	if !math.Signbit(s.Mean) {
		text = "+" + text
	}
	i := s.Interval()
	if math.IsNaN(i) {
		return text
	}
	text += " ± " + c.number(i)
	if math.Abs(s.Mean) > i {
		text = "**" + text + "**"
	}
	return text
}
