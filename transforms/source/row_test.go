package source

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/schemas"
)

var columns = Columns{Messages: "messages", Reference: "reference", ExternalID: "id", Tags: "tags"}

// TestFaults: every kind of bad row is refused with its code, its field and what is wrong.
func TestFaults(t *testing.T) {
	const user = `{"role":"user","content":"Hello?"}`
	tests := []struct{ name, line, code, want string }{
		{"malformed", `{"messages": [`, CodeJSON, "malformed JSON at byte"},
		{"two objects", `{} {}`, CodeJSON, "malformed JSON at byte"},
		{"a list", `[1]`, CodeJSON, "want a JSON object"},
		{"null", `null`, CodeJSON, "want a JSON object, found null"},
		{"no messages", `{"reference":"x"}`, CodeMessages, "messages: missing"},
		{"empty messages", `{"messages":[]}`, CodeMessages, "messages: "},
		{"empty content", `{"messages":[{"role":"user","content":""}]}`, CodeMessages, "messages[0].content: "},
		{"two user turns", `{"messages":[` + user + `,` + user + `]}`, CodeMessages, "messages[1].role: is \"user\""},
		{"assistant first", `{"messages":[{"role":"assistant","content":"x"},` + user + `]}`, CodeMessages, "messages[0].role: is \"assistant\""},
		{"system later", `{"messages":[` + user + `,{"role":"system","content":"x"}]}`, CodeMessages, "messages[1].role: is \"system\""},
		{"unknown role", `{"messages":[{"role":"tool","content":"x"}]}`, CodeMessages, "messages[0].role: is \"tool\""},
		{"no content", `{"messages":[{"role":"user"}]}`, CodeMessages, "messages[0]: role or content is missing"},
		{"messages a number", `{"messages":7}`, CodeJSON, "messages: want a list"},
		{"empty reference", `{"messages":[` + user + `],"reference":""}`, CodeReference, "reference: empty"},
		{"blank reference", `{"messages":[` + user + `],"reference":" \n"}`, CodeReference, "reference: empty"},
		{"reference twice", `{"messages":[` + user + `,{"role":"assistant","content":"x"}],"reference":"y"}`, CodeReference, "reference: given twice"},
		{"reference a number", `{"messages":[` + user + `],"reference":3}`, CodeJSON, "reference: want a string"},
		{"not UTF-8", "{\"messages\":[{\"role\":\"user\",\"content\":\"caf\xe9\"}]}", CodeUTF8, "messages: bytes that are not UTF-8, the first at byte 30"},
		{"id a list", `{"messages":[` + user + `],"id":[]}`, CodeJSON, "id: want a string or a number"},
		{"tags a number", `{"messages":[` + user + `],"tags":1}`, CodeJSON, "tags: want a string"},
		{"an empty tag", `{"messages":[` + user + `],"tags":[""]}`, CodeRow, "tags[0]: "},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := entries([]byte(test.line), columns, TurnsLast)
			if len(got) != 1 || got[0].fault == nil {
				t.Fatalf("no fault: %+v", got)
			}
			if f := got[0].fault; f.code != test.code || !strings.HasPrefix(f.Error(), test.want) {
				t.Errorf("%s %q, want %s %q", f.code, f.Error(), test.code, test.want)
			}
		})
	}
}

// TestRows: the forms of a good row.
func TestRows(t *testing.T) {
	answer := "Four."
	question := []schemas.Message{{Role: "user", Content: "2+2?"}}
	tests := []struct {
		name, line string
		want       schemas.Prompt
	}{
		{"a string", `{"messages":"2+2?"}`, schemas.Prompt{Messages: question}},
		{"column", `{"messages":[{"role":"user","content":"2+2?"}],"reference":"Four.","id":7,"tags":"sums"}`, schemas.Prompt{Messages: question, Reference: &answer, ExternalID: "7", Tags: []string{"sums"}}},
		{"trailing turn", `{"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"Four."}],"reference":null}`, schemas.Prompt{Messages: question, Reference: &answer}},
		{"ShareGPT", `{"conversations":[{"from":"human","value":"2+2?"},{"from":"gpt","value":"Four."}],"b":1,"a":[2]}`, schemas.Prompt{Messages: question, Reference: &answer, Meta: `{"a":[2],"b":1}`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := entries([]byte(test.line), columns, TurnsLast)
			if len(got) != 1 || got[0].fault != nil {
				t.Fatalf("entries %+v, fault %v", got, got[0].fault)
			}
			test.want.ID = schemas.PromptID(test.want.Messages)
			if diff := cmp.Diff(test.want, got[0].prompt); diff != "" {
				t.Errorf("prompt (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTurnsEach: one prompt for every user turn, the next answer is its reference.
func TestTurnsEach(t *testing.T) {
	line := `{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"a"},{"role":"assistant","content":"A"},{"role":"user","content":"b"}],"reference":"B"}`
	got := entries([]byte(line), columns, TurnsEach)
	if len(got) != 2 {
		t.Fatalf("%d prompts, want 2", len(got))
	}
	for i, want := range []string{"A", "B"} {
		if p := got[i].prompt; got[i].fault != nil || *p.Reference != want || len(p.Messages) != 2+2*i || p.SystemHash == "" || got[i].turn != i {
			t.Errorf("prompt %d: %+v, fault %v", i, p, got[i].fault)
		}
	}
}

// FuzzEntries: no line makes a prompt that its schema refuses, and none a panic.
func FuzzEntries(f *testing.F) {
	for _, line := range []string{
		`{"messages":"x"}`, `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, `{"conversations":[{"from":"human","value":"x"}],"x":[{}]}`,
		`{"messages":[{"role":"user","content":"\ud800"}],"id":1e400,"tags":["a","b"]}`, "\xff", `{"messages":null}`,
	} {
		f.Add([]byte(line), true)
		f.Add([]byte(line), false)
	}
	f.Fuzz(func(t *testing.T, line []byte, each bool) {
		turns := TurnsLast
		if each {
			turns = TurnsEach
		}
		got := entries(line, columns, turns)
		if len(got) == 0 {
			t.Error("a line became nothing, not even a fault")
		}
		for _, e := range got {
			if e.fault != nil {
				if e.fault.code == "" || e.fault.Error() == "" {
					t.Errorf("fault %+v says nothing", e.fault)
				}
				continue
			}
			if err := e.prompt.Validate(); err != nil {
				t.Error(err)
			}
			if e.prompt.Meta != "" && !json.Valid([]byte(e.prompt.Meta)) {
				t.Errorf("meta %q is no JSON", e.prompt.Meta)
			}
		}
	})
}
