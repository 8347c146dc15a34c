package spelling_test

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/profuser/profuser/fusion/spelling"
	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// row makes the row that a text has with a tokenizer, closed by the last id.
func row(t *tokenizer.Tokenizer, text string) *schemas.TokenDistributions {
	ids, spans := t.EncodeMidSpans(text)
	d := &schemas.TokenDistributions{}
	add := func(id int32, start int) {
		d.TokenIDs, d.StartBytes, d.TextRank = append(d.TokenIDs, id), append(d.StartBytes, int32(start)), append(d.TextRank, 0)
		d.TokenLogProbs, d.Counts, d.IDs, d.LogProbs = append(d.TokenLogProbs, -0.5), append(d.Counts, 1), append(d.IDs, id), append(d.LogProbs, -0.5)
	}
	for i, id := range ids {
		add(id, spans[i].Start)
	}
	add(0, len(text))
	return d
}

func load(t *testing.T, name string) *tokenizer.Tokenizer {
	t.Helper()
	v, err := tokenizer.Load("../../models/tokenizer/testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestOwnTokensSpell: whatever the text, a tokenizer's own tokens of it pass, also where it normalises.
func TestOwnTokensSpell(t *testing.T) {
	for _, name := range []string{"gpt2-nfc.json", "llama3.json", "qwen2.json", "prepend.json", "metaspace-split.json"} {
		v := load(t, name)
		rapid.Check(t, func(t *rapid.T) {
			text := rapid.OneOf(rapid.String(), rapid.StringMatching(`( ?[a-eé\n]{0,4}(e\x{301})?){0,6}`)).Draw(t, "text")
			d := row(v, text)
			if err := spelling.Check(v, "generation", "x", text, true, d, v.Size()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := spelling.Text(v, "fusion_example", "x", text, d.TokenIDs[:len(d.TokenIDs)-1]); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if len(d.TokenIDs) < 2 || len(v.Bytes(d.TokenIDs[0])) == 0 {
				return
			}
			if err := spelling.Check(v, "generation", "x", text+"!", true, d, v.Size()); err == nil {
				t.Fatalf("%s: tokens of %q pass for another text", name, text)
			}
			var fault *schemas.Fault
			if err := spelling.Text(v, "fusion_example", "x", text+"!", d.TokenIDs[:len(d.TokenIDs)-1]); !errors.As(err, &fault) || fault.Column != "text_ids" {
				t.Fatalf("%s: tokens of %q pass for another text: %v", name, text, err)
			}
		})
	}
}

// TestFaults: each says where.
func TestFaults(t *testing.T) {
	v := load(t, "gpt2-nfc.json")
	for column, change := range map[string]func(d *schemas.TokenDistributions) (text string){
		"token_ids[1]": func(d *schemas.TokenDistributions) string {
			d.TokenIDs[1], d.IDs[1] = int32(v.Size()), int32(v.Size())
			return "a cafe\u0301"
		},
		"ids[0]": func(d *schemas.TokenDistributions) string {
			d.Counts[0], d.IDs, d.LogProbs, d.TextRank[0] = 2, append([]int32{70000}, d.IDs...), append([]float32{-0.25}, d.LogProbs...), -1
			d.LogProbs[1] = -3
			return "a cafe\u0301"
		},
		"token_ids":   func(*schemas.TokenDistributions) string { return "a caf\u00e9." },
		"counts":      func(d *schemas.TokenDistributions) string { d.Counts = d.Counts[1:]; return "a cafe\u0301" },
		"logprobs[0]": func(d *schemas.TokenDistributions) string { d.LogProbs[0] = 0.5; return "a cafe\u0301" },
	} {
		d := row(v, "a cafe\u0301")
		text := change(d)
		err := spelling.Check(v, "generation", "x", text, true, d, 65536)
		var fault *schemas.Fault
		if !errors.As(err, &fault) || fault.Column != column || fault.Record != "generation" || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", column, err)
		}
	}
}
