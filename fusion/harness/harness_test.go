package harness

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/profuser/profuser/schemas"
)

// row reads JSON.
func row(t testing.TB, text string) Row {
	t.Helper()
	r := Row{}
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func named(t testing.TB, name string) Task {
	t.Helper()
	task, err := Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return task
}

const (
	arcRow     = `{"question":"Is it?","choices":{"text":["no","yes","naïve"],"label":["1","2","3"]},"answerKey":"2"}`
	hellaRow   = `{"activity_label":"Cats","ctx_a":"[header] How [title] Sit.  A cat","ctx_b":"the CAT sits","endings":[" jumps [x] off  now","b"],"label":"1"}`
	mmluRow    = `{"question":" Is it? ","choices":["w","x","y","z"],"answer":2,"subject":"high_school_art"}`
	truthRow   = `{"question":"Is it?","mc1_targets":{"choices":["yes","no"],"labels":[1,0]},"mc2_targets":{"choices":["yes","so","no"],"labels":[1,1,0]}}`
	winoRow    = `{"sentence":"The cup fell on the rug as the _ was wet.","option1":"cup","option2":"rug","answer":"2"}`
	gsmRow     = `{"question":"2 + 2?","answer":"It is 2 + 2.\n#### 1,004"}`
	truthTable = `{"Question":"Is it?","Best Answer":"yes; or so","Correct Answers":"yes; so;","Incorrect Answers":"no; ; never"}`
)

// TestDocuments: what each task makes of an item. The same items as lm_eval's are compared in pipelines/exam.
func TestDocuments(t *testing.T) {
	for _, c := range []struct {
		task, row string
		want      Document
	}{
		{"arc_challenge", arcRow, Document{Questions: []string{"Question: Is it?\nAnswer:"}, Answers: []string{"no", "yes", "naïve"}, Gold: 1}},
		{"hellaswag", hellaRow, Document{Questions: []string{"Cats: How. Sit. A cat The cat sits"}, Answers: []string{"jumps off now", "b"}, Gold: 1}},
		{"mmlu", mmluRow, Document{
			Subject: "high_school_art", Description: "The following are multiple choice questions (with answers) about high school art.\n\n",
			Questions: []string{"Is it?\nA. w\nB. x\nC. y\nD. z\nAnswer:"}, Answers: letters, Gold: 2,
		}},
		{"mmlu", strings.Replace(mmluRow, ":2,", `:"D",`, 1), Document{
			Subject: "high_school_art", Description: "The following are multiple choice questions (with answers) about high school art.\n\n",
			Questions: []string{"Is it?\nA. w\nB. x\nC. y\nD. z\nAnswer:"}, Answers: letters, Gold: 3,
		}},
		{"truthfulqa_mc1", truthRow, Document{Questions: []string{primer + "Is it?\nA:"}, Answers: []string{"yes", "no"}}},
		{"truthfulqa_mc2", truthRow, Document{Questions: []string{primer + "Is it?\nA:"}, Answers: []string{"yes", "so", "no"}, True: []bool{true, true, false}}},
		{"truthfulqa_mc1", truthTable, Document{Questions: []string{primer + "Is it?\nA:"}, Answers: []string{"yes; or so", "no", "never"}}},
		{"truthfulqa_mc2", truthTable, Document{Questions: []string{primer + "Is it?\nA:"}, Answers: []string{"yes", "so", "no", "never"}, True: []bool{true, true, false, false}}},
		{"winogrande", winoRow, Document{
			Questions: []string{"The cup fell on the rug as the cup", "The cup fell on the rug as the rug"}, Answers: []string{"was wet.", "was wet."}, Gold: 1,
		}},
		{"gsm8k", gsmRow, Document{Questions: []string{"Question: 2 + 2?\nAnswer:"}, Answers: []string{"It is 2 + 2.\n#### 1,004"}}},
	} {
		got, err := named(t, c.task).Document(row(t, c.row))
		got.Raw = ""
		if err != nil {
			t.Errorf("%s: %v", c.task, err)
		} else if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.task, d)
		}
	}
}

// TestFaults: an error names the field.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ task, row, old, new, want string }{
		{"arc_challenge", arcRow, `"answerKey":"2"`, `"answerKey":"E"`, "field answerKey: is \"E\""},
		{"arc_challenge", arcRow, `"label":["1",`, `"label":[`, "field choices.label: has 2 values"},
		{"arc_challenge", arcRow, `"text":["no"`, `"text":[7`, "field choices.text: its value 0 is 7"},
		{"arc_challenge", arcRow, `"choices"`, `"options"`, "field choices.text: is missing"},
		{"arc_challenge", arcRow, `Is it`, `Is \u0000it`, "NUL"},
		{"hellaswag", hellaRow, `"label":"1"`, `"label":""`, "field label: "},
		{"hellaswag", hellaRow, `"label":"1"`, `"label":2`, "field label: is 2, want a whole number from 0 to 1"},
		{"mmlu", mmluRow, `:2,`, `:"E",`, "field answer: is E"},
		{"mmlu", mmluRow, `,"z"]`, `]`, "field choices: "},
		{"mmlu", mmluRow, `"subject"`, `"topic"`, "--subject"},
		{"truthfulqa_mc1", truthRow, `"labels":[1,0]`, `"labels":[1,1]`, "field mc1_targets.labels: marks 2"},
		{"truthfulqa_mc2", truthRow, `[1,1,0]`, `[1,2,0]`, "field mc2_targets.labels: its value 1 is 2"},
		{"truthfulqa_mc2", truthRow, `[1,1,0]`, `[0,0,0]`, "marks 0"},
		{"truthfulqa_mc2", truthTable, `"yes; so;"`, `" "`, "field Correct Answers: is empty"},
		{"winogrande", winoRow, "_", "cup", "field sentence: is"},
		{"winogrande", winoRow, `"answer":"2"`, `"answer":""`, "test split"},
		{"gsm8k", gsmRow, `"answer"`, `"solution"`, "field answer: is missing"},
	} {
		text := strings.Replace(c.row, c.old, c.new, 1)
		if _, err := named(t, c.task).Document(row(t, text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s with %s: error %v, want one with %q", c.task, c.new, err, c.want)
		}
	}
	if _, err := Named("boolq"); err == nil || !strings.Contains(err.Error(), "winogrande") {
		t.Errorf("error %v, want one that lists the tasks", err)
	}
}

// TestTables: CSV with a header, MMLU's without.
func TestTables(t *testing.T) {
	got, err := named(t, "mmlu").Rows([][]string{{"q", "a", "b", "c", "d", "B"}})
	if d := cmp.Diff([]Row{{"question": "q", "choices": []any{"a", "b", "c", "d"}, "answer": "B"}}, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	got, err = named(t, "gsm8k").Rows([][]string{{"\ufeffquestion", "answer"}, {"q", "a"}})
	if d := cmp.Diff([]Row{{"question": "q", "answer": "a"}}, got); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	if _, err = named(t, "mmlu").Rows([][]string{{"question", "answer"}, {"q"}}); err == nil || !strings.Contains(err.Error(), "record 2 has 1 columns") {
		t.Errorf("error %v", err)
	}
}

// TestRequests: examples before the item, as text and as turns.
func TestRequests(t *testing.T) {
	documents := map[string]Document{}
	for name, text := range map[string]string{"arc_challenge": arcRow, "mmlu": mmluRow, "winogrande": winoRow, "gsm8k": gsmRow} {
		d, err := named(t, name).Document(row(t, text))
		if err != nil {
			t.Fatal(err)
		}
		documents[name] = d
	}
	for name, want := range map[string]Request{
		"arc_challenge": {[]string{"Question: Is it?\nAnswer: yes\n\nQuestion: Is it?\nAnswer:"}, []string{" no", " yes", " naïve"}},
		"mmlu": {[]string{
			"The following are multiple choice questions (with answers) about high school art.\n\n" +
				"Is it?\nA. w\nB. x\nC. y\nD. z\nAnswer: C\n\nIs it?\nA. w\nB. x\nC. y\nD. z\nAnswer:",
		}, []string{" A", " B", " C", " D"}},
		"winogrande": {[]string{
			"The cup fell on the rug as the rug was wet.\n\nThe cup fell on the rug as the cup",
			"The cup fell on the rug as the rug was wet.\n\nThe cup fell on the rug as the rug",
		}, []string{" was wet.", " was wet."}},
		"gsm8k": {[]string{"Question: 2 + 2?\nAnswer: It is 2 + 2.\n#### 1,004\n\nQuestion: 2 + 2?\nAnswer:"}, nil},
	} {
		d := documents[name]
		got, err := named(t, name).Request(d, []Document{d}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
	got, err := named(t, "mmlu").Request(documents["mmlu"], nil, func(turns []schemas.Message) (string, error) {
		return turns[0].Role + turns[1].Role, nil
	})
	if d := cmp.Diff(Request{[]string{"systemuser"}, letters}, got); err != nil || d != "" {
		t.Errorf("with a template: %v\n%s", err, d)
	}
	context, continuation := MoveSpace("a \u00a0\x1c", " b")
	if context != "a" || continuation != " \u00a0\x1c b" {
		t.Errorf("%q %q", context, continuation)
	}
}

func TestExamples(t *testing.T) {
	var pool []Document
	for _, name := range strings.Split("abcde", "") {
		pool = append(pool, Document{Raw: name})
	}
	items := []Document{{Raw: "a"}, {Raw: "x"}}
	for _, c := range []struct{ task, how, want string }{
		{"arc_challenge", FirstN, "ab ab"},
		{"mmlu", Sampled, "ab ab"},
		{"winogrande", FirstN, "bc ab"},
		{"arc_challenge", Sampled, "da ae"}, // random.Random(1234): sample("abcde", 2) twice
		{"winogrande", Sampled, "de ae"},    // sample("abcde", 3) twice, which gives dae and aec; a is the first item
	} {
		got, err := named(t, c.task).Examples(c.how, items, pool, 2)
		var names []string
		for _, examples := range got {
			names = append(names, examples[0].Raw+examples[1].Raw)
		}
		if s := strings.Join(names, " "); s != c.want || err != nil {
			t.Errorf("%s %s: %s %v, want %s", c.task, c.how, s, err, c.want)
		}
	}
	if _, err := named(t, "arc_challenge").Examples(FirstN, items, pool, 6); err == nil || !strings.Contains(err.Error(), "--shots") {
		t.Errorf("error %v", err)
	}
	twice := []Document{{Raw: "a"}, {Raw: "a"}, {Raw: "b"}}
	if got, err := named(t, "winogrande").Examples(Sampled, items[:1], twice, 1); err != nil || got[0][0].Raw != "b" {
		t.Errorf("an item that came twice: %v %v", got, err)
	}
	if _, err := named(t, "winogrande").Examples(FirstN, items[:1], twice, 2); err == nil {
		t.Error("an item is its own example")
	}
}

func TestChosen(t *testing.T) {
	d := Document{Answers: []string{"ab", "éééééé", "c"}, Gold: 1}
	for _, c := range []struct {
		lls  []float64
		want Verdict
	}{
		{[]float64{-2, -3, -4}, Verdict{Acc: 0, AccNorm: 1}},
		{[]float64{-3, -2, -2}, Verdict{Acc: 1, AccNorm: 1}},   // the first of equal ones
		{[]float64{-0.1, -2, -4}, Verdict{Acc: 0, AccNorm: 0}}, // -0.05, -1/3, -4
	} {
		got, err := named(t, "arc_challenge").Chosen(d, c.lls)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%v: %v\n%s", c.lls, err, diff)
		}
	}
	many := Document{Answers: []string{"a", "b", "c"}, True: []bool{true, false, true}}
	for _, shift := range []float64{0, -2000} { // where exp is 0 the shares are those of the differences
		got, err := named(t, "truthfulqa_mc2").Chosen(many, []float64{math.Log(0.5) + shift, math.Log(0.2) + shift, math.Log(0.1) + shift})
		if diff := cmp.Diff(Verdict{Acc: 0.75}, got, cmpopts.EquateApprox(0, 1e-12)); err != nil || diff != "" {
			t.Errorf("mc2: %v\n%s", err, diff)
		}
	}
	for _, lls := range [][]float64{{-1}, {-1, math.NaN(), -1}, {-1, 1, -1}} {
		if _, err := named(t, "arc_challenge").Chosen(d, lls); err == nil {
			t.Errorf("%v was marked", lls)
		}
	}
}

func TestWritten(t *testing.T) {
	d := Document{Answers: []string{"Sum.\n#### 1,004"}}
	for text, want := range map[string]Verdict{
		"It is.\n#### 1004":        {Strict: 1, Flexible: 1},
		"#### 1,004. And 7":        {Strict: 1, Flexible: 0},
		"It is $1,004.":            {Strict: 0, Flexible: 1},
		"#### -1004":               {Strict: 0, Flexible: 0},
		"no":                       {Strict: 0, Flexible: 0},
		"####1004":                 {Strict: 0, Flexible: 1},
		"#### 5 no, #### 1004":     {Strict: 0, Flexible: 1},
		"the 1,004 of them":        {Strict: 0, Flexible: 1},
		"#### 1004\n\nQuestion: 5": {Strict: 1, Flexible: 0},
	} {
		if diff := cmp.Diff(want, named(t, "gsm8k").Written(d, text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	if got := CutAtStops("one Question: two", Stops); got != "one " {
		t.Errorf("cut to %q", got)
	}
	// Python's \.$ also takes a stop before a last line feed.
	if !SameAnswer("5.\n", "#### 5\n") || SameAnswer("5", "6") || SameAnswer(Invalid, "#### 5") {
		t.Error("answers are compared otherwise than in Python")
	}
}

// TestMeans: small numbers by hand, the pooled one from lm_eval's formula in Python.
func TestMeans(t *testing.T) {
	mean, stderr := Mean([]float64{1, 0, 1, 1})
	if mean != 0.75 || stderr != 0.25 {
		t.Errorf("mean %g, error %g", mean, stderr)
	}
	if _, stderr := Mean([]float64{1}); !math.IsNaN(stderr) {
		t.Errorf("the error of one value is %g", stderr)
	}
	if got := Pooled([]float64{0.25, 0.1}, []int{4, 9}); math.Abs(got-0.10138895541290621) > 1e-15 {
		t.Errorf("pooled error %g", got)
	}
	if got := MeanOfMeans([]float64{0.3, 0.4}); math.Abs(got-0.25) > 1e-15 {
		t.Errorf("error of the mean over subjects %g", got)
	}
}

// FuzzDocument: whatever a row says, there is an item that can be asked and marked, or an error.
func FuzzDocument(f *testing.F) {
	for _, text := range []string{arcRow, hellaRow, mmluRow, truthRow, truthTable, winoRow, gsmRow, `{}`, `{"choices":{"text":null}}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := Row{}
		if json.Unmarshal([]byte(text), &r) != nil {
			return
		}
		for _, task := range Tasks {
			d, err := task.Document(r)
			if err != nil {
				continue
			}
			request, err := task.Request(d, []Document{d, d}, nil)
			if err != nil {
				t.Fatal(err)
			}
			item := schemas.BenchmarkItem{Task: task.Name, Contexts: request.Contexts, Continuations: request.Continuations, Answers: d.Answers, Gold: int32(d.Gold), Right: d.True}
			if err := item.Validate(); err != nil {
				t.Fatalf("%s: %v", task.Name, err)
			}
			if task.Generates {
				task.Written(d, text)
				continue
			}
			if _, err := task.Chosen(d, make([]float64, len(d.Answers))); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// FuzzAnswer: a text is always marked, and what is extracted is part of it.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"#### 5", "It is $1,004.", "-", "####  ", "5.\n", "#### -.,."} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range []string{StrictAnswer(text), FlexibleAnswer(text)} {
			if got != Invalid && !strings.Contains(text, got) {
				t.Errorf("%q is not in %q", got, text)
			}
		}
		if !SameAnswer(text, text) {
			t.Errorf("%q differs from itself", text)
		}
		if cut := CutAtStops(text, Stops); !strings.HasPrefix(text, cut) || strings.Contains(cut, Stops[0]) {
			t.Errorf("%q was cut to %q", text, cut)
		}
	})
}
