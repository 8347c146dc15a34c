package chat

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/profuser/profuser/models/tokenizer"
	"github.com/profuser/profuser/schemas"
)

// Options choose between what a model's directory says and something else; "" is "auto".
type Options struct {
	// ChatTemplate is auto (the model's own), a built-in name (see BuiltinNames), or the name of one of
	// several templates in tokenizer_config.json.
	ChatTemplate string
	// EndOfTurn is auto (the special token that the template puts after an answer) or a token.
	EndOfTurn string
	// BOS is auto (what the template writes, or the tokenizer for the built-in vicuna), always or never.
	BOS string
}

// Format is one model's way of turning conversations into its tokens. It may be used by many
// goroutines at once.
type Format struct {
	tokenizer *tokenizer.Tokenizer
	template  *Template
	bos       []int32 // put before every rendering that does not begin with them
	neverBOS  []int32 // taken off every rendering that begins with them
	endOfTurn int32
	stops     []int32
	glue      string   // what the template puts between the generation prompt and an answer
	leads     [][]byte // what may precede an answer's text in generated ids, longest first
	digest    string
}

// Load reads a model's directory. It needs tokenizer.json, and a chat template unless one is chosen.
func Load(dir string, o Options) (*Format, error) {
	t, err := tokenizer.Load(dir)
	if err != nil {
		return nil, err
	}
	d, err := readDirectory(dir)
	if err != nil {
		return nil, fmt.Errorf("loading chat format: %w", err)
	}
	d.completeSpecials(t)
	f := &Format{tokenizer: t}
	source, name, err := d.chooseTemplate(o.ChatTemplate)
	if err != nil {
		return nil, fmt.Errorf("loading chat format: %w", err)
	}
	if f.template, err = ParseTemplate(source, d.specials); err != nil {
		return nil, fmt.Errorf("loading chat format of %s: %w", dir, err)
	}
	if err := f.chooseBOS(o.BOS, builtinWithoutBOS[name], d.specials["bos_token"]); err != nil {
		return nil, fmt.Errorf("loading chat format of %s: %w", dir, err)
	}
	if err := f.chooseEndOfTurn(o.EndOfTurn, d.eosIDs); err != nil {
		return nil, fmt.Errorf("loading chat format of %s: %w", dir, err)
	}
	if err := f.findGlue(); err != nil {
		return nil, fmt.Errorf("loading chat format of %s: %w", dir, err)
	}
	if err := f.findLeads(); err != nil {
		return nil, fmt.Errorf("loading chat format of %s: %w", dir, err)
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s bos %v never %v stops %v",
		t.Fingerprint(), f.template.Digest(), f.bos, f.neverBOS, f.stops))
	f.digest = hex.EncodeToString(sum[:])
	return f, nil
}

// chooseBOS decides what stands before a rendering: what the tokenizer puts before a text, or the token
// that the model's files name.
func (f *Format) chooseBOS(rule string, withTokenizer bool, token string) error {
	ids := f.tokenizer.Specials()
	if id, ok := f.tokenizer.ID(token); ok && len(ids) == 0 {
		ids = []int32{id}
	}
	switch rule {
	case "", "auto":
		if withTokenizer {
			f.bos = ids
		}
	case "always":
		if len(ids) == 0 {
			return fmt.Errorf("bos: always, but neither tokenizer.json's post_processor nor bos_token says which token that is; set bos: auto")
		}
		f.bos = ids
	case "never":
		f.neverBOS = ids
	default:
		return fmt.Errorf("bos %q is not one of auto, always, never", rule)
	}
	return nil
}

// probe is a conversation that every template takes.
var probe = []schemas.Message{{Role: "user", Content: "a"}}

// chooseEndOfTurn finds the special token after an answer, and the ids that end a generation.
func (f *Format) chooseEndOfTurn(token string, eos []int32) error {
	if token != "" && token != "auto" {
		id, ok := f.tokenizer.ID(token)
		if !ok {
			return fmt.Errorf("end_of_turn %q is not a token of the model", token)
		}
		f.endOfTurn = id
	} else {
		around, err := f.around(probe)
		if err != nil {
			return err
		}
		after := around.after
		at := slices.IndexFunc(f.tokenizer.Encode(after), f.tokenizer.Special)
		if at < 0 {
			return fmt.Errorf("the template puts %q after an answer, which has no special token; set end_of_turn to the token that ends an answer", after)
		}
		f.endOfTurn = f.tokenizer.Encode(after)[at]
	}
	f.stops = []int32{f.endOfTurn}
	for _, id := range eos {
		if id < 0 || int(id) >= f.tokenizer.Size() {
			return fmt.Errorf("eos_token_id %d is not in the vocabulary of %d tokens", id, f.tokenizer.Size())
		}
		if !slices.Contains(f.stops, id) {
			f.stops = append(f.stops, id)
		}
	}
	slices.Sort(f.stops[1:])
	return nil
}

// findGlue finds out what stands between the generation prompt and an answer, such as a space.
func (f *Format) findGlue() error {
	prompt, err := f.template.Render(probe, true)
	if err != nil {
		return err
	}
	around, err := f.around(probe)
	if err != nil {
		return err
	}
	if strings.HasPrefix(around.before, prompt) {
		f.glue = around.before[len(prompt):]
	}
	return nil
}

// findLeads finds out which bytes of template or dummy prefix a generation begins with: those between the
// generation prompt and the text, and those that share the text's first token.
func (f *Format) findLeads() error {
	prompt, err := f.Prompt(probe)
	if err != nil {
		return err
	}
	encoded, err := f.Encode(probe, "a", false)
	if err != nil {
		return err
	}
	if len(encoded.TextIDs) == 0 {
		return fmt.Errorf("the tokenizer has no token for the letter a")
	}
	common := 0
	for common < len(prompt) && common < len(encoded.PromptIDs) && prompt[common] == encoded.PromptIDs[common] {
		common++
	}
	first := f.tokenizer.Bytes(encoded.TextIDs[0])
	lead := first[:min(max(0, -int(encoded.Starts[0])), len(first))]
	var glue []byte
	for _, id := range encoded.PromptIDs[common:] {
		glue = append(glue, f.tokenizer.Bytes(id)...)
	}
	glue = append(glue, lead...)
	f.leads = nil
	for _, bytes := range [][]byte{glue, lead} {
		if len(bytes) > 0 {
			f.leads = append(f.leads, bytes)
		}
	}
	return nil
}

// Tokenizer is the model's tokenizer.
func (f *Format) Tokenizer() *tokenizer.Tokenizer { return f.tokenizer }

// EndOfTurn is the special token that the template puts after an answer.
func (f *Format) EndOfTurn() int32 { return f.endOfTurn }

// StopIDs are the ids that end a generation: end-of-turn first, then every end-of-text id of
// generation_config.json and config.json.
func (f *Format) StopIDs() []int32 { return slices.Clone(f.stops) }

// Digest is a SHA-256, in hex, of everything that decides which tokens a conversation becomes.
func (f *Format) Digest() string { return f.digest }
