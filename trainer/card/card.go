// Package card owns the model card: README.md of a trained model, as model hubs show it.
//
// Flow in: what was fused into what, the datasets with their digests, the keys of the configuration that the result
// depends on, and the training's metrics.jsonl; flow out: Markdown with a YAML head. It holds no clock and no path of this
// machine, so that equal trainings have equal cards.
//
// Not here: the folder that the card goes to (trainer/result), and what a training depends on (trainer/identity).
package card

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/dataset"
)

// About says what was fused.
type About struct {
	// Target is the name of the model that is trained.
	Target string
	// Models are all models with a part in it, in order.
	Models []Model
}

// Model is a line of the card's table.
type Model struct {
	// Name is the configuration's, Role is target, source or reward model, Is says what it is: a folder's name, or the name
	// that a server knows it by.
	Name, Role, Is string
}

// Set is a dataset that the training read.
type Set struct {
	// Name is such as fusion/training.
	Name string
	// Parts and Rows are its size, Digest is one checksum over all its parts.
	Parts  int
	Rows   int64
	Digest string
}

// SetOf describes a dataset by its manifest.
func SetOf(d *dataset.Dataset) Set {
	s := Set{Name: d.Name(), Parts: d.Parts()}
	h := sha256.New()
	for part, entry := range d.Manifest.Parts {
		s.Rows += entry.Rows
		fmt.Fprintln(h, d.Input(part).SHA256)
	}
	s.Digest = hex.EncodeToString(h.Sum(nil))
	return s
}

// Card is everything that stands in it.
type Card struct {
	About
	// Sets are the datasets.
	Sets []Set
	// Settings are keys of the configuration with their values.
	Settings map[string]string
	// Metrics is the path of metrics.jsonl.
	Metrics string
	// Adapter says that the folder holds an adapter, of this rank; 0 is a whole model.
	Adapter int
	// Digest stands for all that the result depends on.
	Digest string
}

// Reading is one reading of the held-out prompts, as metrics.jsonl has it.
type Reading struct {
	Step  int    `json:"step"`
	Epoch int    `json:"epoch"`
	Stage string `json:"stage"`
	// HeldOut are the losses by mode.
	HeldOut map[string]Loss `json:"held_out"`
}

// Loss is a mode's loss on the held-out prompts, in nats, and the number of its examples.
type Loss struct {
	Loss     float64 `json:"loss"`
	SFT      float64 `json:"sft"`
	KL       float64 `json:"kl"`
	Examples int     `json:"examples"`
}

// Losses are the losses by mode.
func (r Reading) Losses() map[string]float64 {
	out := map[string]float64{}
	for mode, l := range r.HeldOut {
		out[mode] = l.Loss
	}
	return out
}

// Readings are all readings of the held-out prompts in a metrics.jsonl, and the number of steps there. An absent file has none.
func Readings(path string) (readings []Reading, steps int, err error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	} else if err != nil {
		return nil, 0, fmt.Errorf("reading metrics: %w", err)
	}
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, len(b)+1)
	for lines.Scan() {
		var r Reading
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, 0, fmt.Errorf("reading %s: %w", path, err)
		}
		steps = max(steps, r.Step)
		if len(r.HeldOut) > 0 && !bytes.Contains(lines.Bytes(), []byte(`"decision":`)) {
			readings = append(readings, r)
		}
	}
	return readings, steps, lines.Err()
}

// Markdown is the card.
func (c Card) Markdown() ([]byte, error) {
	readings, steps, err := Readings(c.Metrics)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	c.head(&b)
	c.sources(&b)
	c.data(&b)
	trained(&b, readings, steps)
	fmt.Fprintf(&b, "\n## Configuration\n\nThe keys of `fusion.yaml` that the result depends on; the digest over them, the datasets and the target's files is `%.12s`.\n\n| key | value |\n|---|---|\n", c.Digest)
	for _, key := range slices.Sorted(maps.Keys(c.Settings)) {
		if place(key) {
			continue
		}
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, cell(c.Settings[key]))
	}
	return b.Bytes(), nil
}

// place says whether a key's value is a path, which may be this machine's.
func place(key string) bool {
	return strings.HasPrefix(key, "models.") && (strings.HasSuffix(key, ".path") || strings.HasSuffix(key, ".tokenizer"))
}

// head is the YAML that hubs read, the title and how to load it.
func (c Card) head(b *bytes.Buffer) {
	library := "transformers"
	if c.Adapter > 0 {
		library = "peft"
	}
	fmt.Fprintf(b, "---\nlibrary_name: %s\npipeline_tag: text-generation\ntags: [profuser, model-fusion]\nbase_model: %s\n---\n\n# %s, fused\n\n", library, quote(c.Target), cell(c.Target))
	fmt.Fprintf(b, "`profuser-trainer train` trained %s on what several models know: on their best answers, by the votes of reward models, and on references, with the token distributions of the model that predicts each best.\n\n", cell(c.Target))
	if c.Adapter > 0 {
		fmt.Fprintf(b, "This folder holds a low-rank adapter (rank %d) in PEFT's format, to load over the target, or to merge by `profuser-trainer merge-adapter`:\n\n    from peft import PeftModel\n    model = PeftModel.from_pretrained(base, \"this folder\")\n\n", c.Adapter)
		return
	}
	b.WriteString("    from transformers import AutoModelForCausalLM, AutoTokenizer\n    model = AutoModelForCausalLM.from_pretrained(\"this folder\")\n    tokenizer = AutoTokenizer.from_pretrained(\"this folder\")\n\n")
}

func (c Card) sources(b *bytes.Buffer) {
	b.WriteString("## Models\n\n| name | role | what it is |\n|---|---|---|\n")
	for _, m := range c.Models {
		fmt.Fprintf(b, "| %s | %s | %s |\n", cell(m.Name), m.Role, cell(m.Is))
	}
}

func (c Card) data(b *bytes.Buffer) {
	b.WriteString("\n## Data\n\n| dataset | rows | parts | SHA-256 over its parts |\n|---|---|---|---|\n")
	for _, s := range c.Sets {
		fmt.Fprintf(b, "| %s | %d | %d | `%s` |\n", s.Name, s.Rows, s.Parts, s.Digest)
	}
}

// trained is the table of held-out losses.
func trained(b *bytes.Buffer, readings []Reading, steps int) {
	fmt.Fprintf(b, "\n## Training\n\n%d steps.", steps)
	if len(readings) == 0 {
		b.WriteString(" No prompts were held out.\n")
		return
	}
	b.WriteString(" Losses on held-out prompts, in nats: the training's own (loss), cross-entropy a token, divergence from the teacher a position.\n\n| step | epoch | stage | mode | loss | cross-entropy | divergence | examples |\n|---|---|---|---|---|---|---|---|\n")
	for _, r := range readings {
		for _, mode := range slices.Sorted(maps.Keys(r.HeldOut)) {
			l := r.HeldOut[mode]
			fmt.Fprintf(b, "| %d | %d | %s | %s | %.4f | %.4f | %.4f | %d |\n", r.Step, r.Epoch, cell(r.Stage), mode, l.Loss, l.SFT, l.KL, l.Examples)
		}
	}
}

// cell is a text that stays in its cell.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(s)
}

// quote is a YAML string.
func quote(s string) string {
	b, _ := json.Marshal(s) // a string always has JSON, and JSON strings are YAML
	return string(b)
}
