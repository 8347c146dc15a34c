package scores

import (
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const rewards = `{"rows":[{"epoch":0,"step":0,"stage":"","model":"data/models/target","responses":250,"mean":-0.5,"sd":0.9,"rewards":{"judge-a":{"mean":1,"sd":2}}},
{"epoch":1,"step":30,"stage":"inference","model":"y","responses":0,"mean":0,"sd":0},
{"epoch":2,"step":60,"stage":"inference","model":"x","responses":250,"mean":1.5,"sd":0}]}`

func TestEpochs(t *testing.T) {
	got, err := Epochs(strings.NewReader(rewards), "rewards.json")
	want := []Epoch{{0, 0, "", 250, -0.5, 0.9}, {2, 60, "inference", 250, 1.5, 0}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for text, fault := range map[string]string{
		"":             "reading r.json: EOF",
		"{}":           "it has no rows",
		`{"rows":[1]}`: "cannot unmarshal",
		`{"rows":[{"epoch":1,"responses":1},{"epoch":1,"responses":1}]}`: "row 2: epoch 1 after epoch 1",
		`{"rows":[{"epoch":1,"responses":-1}]}`:                          "row 1: responses is -1",
		`{"rows":[{"epoch":1,"responses":2,"sd":-1}]}`:                   "row 1: sd is -1",
	} {
		if _, err := Epochs(strings.NewReader(text), "r.json"); err == nil || !strings.Contains(err.Error(), fault) {
			t.Errorf("%s: want %q, got %v", text, fault, err)
		}
	}
}

func TestMethods(t *testing.T) {
	got, err := Methods(strings.NewReader("sd,method,score,n\n0.5,vote,60.5,3\n,\"single, judge-a\",58,3\n"), "m.csv")
	want := []Method{{"vote", 60.5, 0.5}, {"single, judge-a", 58, math.NaN()}}
	if d := cmp.Diff(want, got, cmpopts.EquateNaNs()); d != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	for text, fault := range map[string]string{
		"":                             "want a line with the columns method,score,sd first",
		"name,score\n":                 `the columns are ["name" "score"]`,
		"method,score\n":               "it has no rows",
		"method,score\nvote,high\n":    `line 2: score is "high"`,
		"method,score\nvote,NaN\n":     `line 2: score is "NaN"`,
		"method,score,sd\nvote,1,-2\n": `line 2: sd is "-2"`,
		"method,score\nvote\n":         "wrong number of fields",
	} {
		if _, err := Methods(strings.NewReader(text), "m.csv"); err == nil || !strings.Contains(err.Error(), fault) || !strings.Contains(err.Error(), "m.csv") {
			t.Errorf("%q: want %q, got %v", text, fault, err)
		}
	}
}

// FuzzRead: what is accepted can be drawn.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{rewards, "method,score,sd\nvote,1,\n", "{}", ""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		epochs, err := Epochs(strings.NewReader(text), "r")
		for i, e := range epochs {
			if err != nil || e.SD < 0 || i > 0 && e.Epoch <= epochs[i-1].Epoch {
				t.Errorf("accepted %+v with %v", epochs, err)
			}
		}
		methods, err := Methods(strings.NewReader(text), "m")
		for _, m := range methods {
			if err != nil || !(m.Score >= 0) || math.IsInf(m.Score, 0) {
				t.Errorf("accepted %+v with %v", methods, err)
			}
		}
	})
}
