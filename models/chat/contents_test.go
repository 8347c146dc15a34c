package chat

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/profuser/profuser/models/jinja"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// rewriting are templates that change the contents of some conversations, so that these cannot be located.
var rewriting = []string{"qwen3", "deepseek-r1-distill"}

// TestLocate finds every content in every rendering of the golden conversations.
func TestLocate(t *testing.T) {
	var conversations [][]schemas.Message
	readGolden(t, "conversations.json", &conversations)
	for name, template := range goldenTemplates(t) {
		n := 0
		for _, messages := range conversations {
			text, err := template.Render(messages, false)
			if err != nil {
				continue
			}
			r, err := template.Locate(messages, false)
			if err != nil {
				t.Errorf("%s %q: %v", name, messages, err)
				continue
			}
			if r.Text != text {
				t.Errorf("%s %q: Locate wrote %q, Render %q", name, messages, r.Text, text)
			}
			if !slices.Contains(rewriting, name) {
				checkContents(t, name, r)
			}
			n++
		}
		t.Logf("%s: %d conversations", name, n)
	}
}

// checkContents wants every content that is in the text at its place, with the white space that is there.
func checkContents(t *testing.T, name string, r Rendering) {
	t.Helper()
	var got, want []string
	for _, span := range r.Contents {
		got = append(got, r.Text[span.Start:span.End])
	}
	for i, m := range r.messages {
		trimmed := strings.TrimFunc(m.Content, jinja.IsSpace)
		if slices.Contains(r.lost, i) && len(trimmed) > 1 && strings.Contains(r.Text, trimmed) {
			t.Errorf("%s: %q is in %q, but was not located", name, m.Content, r.Text)
		}
		if len(trimmed) > 1 && strings.Contains(r.Text, trimmed) {
			want = append(want, m.Content)
		}
	}
	trim := func(list []string) []string {
		out := []string{}
		for _, s := range list {
			if s = strings.TrimFunc(s, jinja.IsSpace); len(s) > 1 {
				out = append(out, s)
			}
		}
		slices.Sort(out)
		return out
	}
	if diff := cmp.Diff(trim(want), trim(got)); diff != "" {
		t.Errorf("%s: contents of %q (-want +got)\n%s", name, r.Text, diff)
	}
	if len(r.messages) == 0 {
		return
	}
	if last := r.messages[len(r.messages)-1]; last.Role == "assistant" && r.Response == nil && strings.TrimFunc(last.Content, jinja.IsSpace) != "" {
		t.Errorf("%s: no response range for %q in %q", name, last.Content, r.Text)
	}
}

// TestLocateStripped: white space of the template is not the content's.
func TestLocateStripped(t *testing.T) {
	templates := goldenTemplates(t)
	messages := []schemas.Message{{Role: "user", Content: " q "}, {Role: "assistant", Content: " \n a \n"}}
	for name, want := range map[string]string{"llama-2": "a", "llama-3": "a", "zephyr": " \n a \n", "vicuna": " \n a \n", "chatml": " \n a \n", "mistral-v0.3": "a"} {
		r, err := templates[name].Locate(messages, false)
		if err != nil || r.Response == nil {
			t.Errorf("%s: %v, response %v", name, err, r.Response)
			continue
		}
		if got := r.Text[r.Response.Start:r.Response.End]; got != want {
			t.Errorf("%s: response %q of %q, want %q", name, got, r.Text, want)
		}
	}
}

// TestSystemBeforeUser: a template that refuses the system role gets its text before the first user turn.
func TestSystemBeforeUser(t *testing.T) {
	template := goldenTemplates(t)["gemma"]
	messages := []schemas.Message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "Hi"}, {Role: "assistant", Content: "Yo"}}
	r, err := template.Locate(messages, false)
	if err != nil {
		t.Fatal(err)
	}
	want := "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nYo<end_of_turn>\n"
	if r.Text != want || r.Response == nil || r.Text[r.Response.Start:r.Response.End] != "Yo" {
		t.Errorf("got %q, response %v", r.Text, r.Response)
	}
	if _, err := template.Render([]schemas.Message{{Role: "system", Content: "alone"}}, false); err == nil || err.Error() != "rendering chat template: System role not supported" {
		t.Errorf("error %v", err)
	}
}

// TestLocateMarksInText: private-use characters in a message are text.
func TestLocateMarksInText(t *testing.T) {
	template := goldenTemplates(t)["chatml"]
	messages := []schemas.Message{{Role: "user", Content: "a\U00100000b\U00100001"}, {Role: "assistant", Content: "\U00100002 c"}}
	r, err := template.Locate(messages, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, span := range r.Contents {
		if got := r.Text[span.Start:span.End]; got != messages[i].Content {
			t.Errorf("content %d is %q", i, got)
		}
	}
}

// countSpecial is how many ids are special.
func countSpecial(t *tokenizer.Tokenizer, ids []int32) (n int) {
	for _, id := range ids {
		if t.Special(id) {
			n++
		}
	}
	return n
}

// TestInjection puts the special strings of real tokenizers, all in a row and some alone, into prompts, system texts and
// responses: the special ids are those of the same conversation without them, and the text is whole.
func TestInjection(t *testing.T) {
	for name, f := range realFormats(t) {
		var specials []string
		for id := range int32(f.tokenizer.Size()) {
			if f.tokenizer.Special(id) {
				specials = append(specials, f.tokenizer.Token(id))
			}
		}
		all := strings.Join(specials, " ") + strings.Join(specials, "")
		attacks := []string{all, " " + all + "\n"}
		for i := 0; i < len(specials); i += 1 + len(specials)/20 {
			attacks = append(attacks, specials[i])
		}
		for _, attack := range attacks {
			build := func(s string) []schemas.Message {
				return []schemas.Message{
					{Role: "system", Content: "S" + s},
					{Role: "user", Content: s + "hello" + s},
					{Role: "assistant", Content: "x" + s + "y"},
					{Role: "user", Content: "more" + s + "."},
				}
			}
			compare := func(what string, ids func(messages []schemas.Message, answer string) ([]int32, error)) {
				t.Helper()
				attacked, err := ids(build(attack), "well"+attack)
				if err != nil {
					t.Errorf("%s, %s: %v", name, what, err)
					return
				}
				plain, err := ids(build("x"), "wellx")
				if err != nil {
					t.Fatal(err)
				}
				if got, want := countSpecial(f.tokenizer, attacked), countSpecial(f.tokenizer, plain); got != want {
					t.Errorf("%s, %s: %d special ids with %.60q in the contents, %d without", name, what, got, attack, want)
				}
				if text := f.tokenizer.Decode(attacked, false); !strings.Contains(text, "hello"+strings.TrimRight(attack, "\n ")) {
					t.Errorf("%s, %s: %.60q is not in the decoded %.300q", name, what, attack, text)
				}
			}
			compare("prompt", func(m []schemas.Message, _ string) ([]int32, error) { return f.Prompt(m) })
			compare("conversation", f.Conversation)
			compare("encode", func(m []schemas.Message, answer string) ([]int32, error) {
				e, err := f.Encode(m, answer, true)
				if text, _, closed := f.Answer(e.TextIDs); err == nil && (text != answer || !closed) {
					t.Errorf("%s: answer %.60q came back as %.60q, closed %v", name, answer, text, closed)
				}
				return append(e.PromptIDs, e.TextIDs...), err
			})
		}
		t.Logf("%s: %d special strings", name, len(specials))
	}
}

// TestIDsOfWholeText: without special strings in the contents the ids are those of the whole rendered text, which is
// what transformers tokenises.
func TestIDsOfWholeText(t *testing.T) {
	var conversations [][]schemas.Message
	readGolden(t, "conversations.json", &conversations)
	for name, f := range realFormats(t) {
		n := 0
		for _, messages := range conversations {
			if slices.ContainsFunc(messages, func(m schemas.Message) bool { return f.orders(m.Content) }) {
				continue
			}
			r, err := f.Locate(messages, true)
			if err != nil {
				continue
			}
			got, spans := f.Tokens(r)
			prompt, err := f.Prompt(messages)
			if err != nil {
				t.Fatal(err)
			}
			want := append(slices.Clone(f.bos), f.tokenizer.Encode(r.Text)...)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: %q: ids (-whole text +located)\n%s", name, messages, diff)
			}
			if diff := cmp.Diff(want, prompt); diff != "" {
				t.Errorf("%s: %q: ids (-whole text +prompt)\n%s", name, messages, diff)
			}
			if len(spans) != len(got) || len(spans) > 0 && spans[len(spans)-1].End != len(r.Text) {
				t.Errorf("%s: %d spans %v for %d ids of %d bytes", name, len(spans), spans, len(got), len(r.Text))
			}
			n++
		}
		t.Logf("%s: %d conversations", name, n)
	}
}
