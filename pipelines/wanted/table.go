package wanted

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/profuser/profuser/internal/config"
	"github.com/profuser/profuser/internal/dataset"
	"github.com/profuser/profuser/schemas"
)

// Dataset is one dataset as the configuration wants it.
type Dataset struct {
	// Step is the step that makes it, Name its folder.
	Step, Name string
	// Header is the one that it must have, revision aside. Without known models ConfigDigest is "" and Depends lacks the
	// digests of files.
	Header dataset.Header
	// Sources are the datasets that part k is made from part k of; the first says how many parts there are.
	Sources []string
	// Files are the input files, FilesKey the configuration's key of them, for a dataset that is made from files.
	Files    []string
	FilesKey string
}

// filesItem is the item of Depends that holds the digest of a model's files.
func filesItem(model string) string { return "models." + model + " files" }

// Table lists the datasets of a configuration, each after those that it is made from. models are those that are known;
// nil where none were looked at. benchmarks is the digest of the files of prompts.decontaminate, "" where there are none or
// they were not looked at. fused says that there is a trained model.
func Table(c *config.Config, models map[string]Model, benchmarks string, fused bool) []Dataset {
	t := &table{c: c, models: models}
	t.prompts(Prompts, "ingest", "prompts.files", c.Prompts.Files)
	t.contaminating(benchmarks)
	t.sources()
	t.fuse()
	if len(c.Evaluate.Files) == 0 {
		return t.list
	}
	t.prompts(Items, "evaluate", "evaluate.files", c.Evaluate.Files)
	names := atHand(c)
	if fused {
		names = append(names, Fused)
	}
	for _, name := range names {
		t.add("evaluate", Evaluation(name), t.header(schemas.EvaluationSchema, "evaluate", name, false), Items)
	}
	return t.list
}

type table struct {
	c      *config.Config
	models map[string]Model
	list   []Dataset
}

func (t *table) add(step, name string, h dataset.Header, sources ...string) {
	t.list = append(t.list, Dataset{Step: step, Name: name, Header: h, Sources: sources})
}

func (t *table) prompts(name, step, key string, files []string) {
	h := dataset.Header{Schema: schemas.PromptSchema}
	t.depend(&h, "ingest")
	t.list = append(t.list, Dataset{Step: step, Name: name, Header: h, Files: files, FilesKey: key})
}

// contaminating adds what benchmark files hold to what the prompts depend on.
func (t *table) contaminating(benchmarks string) {
	if benchmarks == "" || t.models == nil {
		return
	}
	h := &t.list[0].Header
	h.Depends["prompts.decontaminate files"] = "digest " + benchmarks[:16]
	sum := sha256.Sum256([]byte(h.ConfigDigest + "\x1f" + benchmarks))
	h.ConfigDigest = hex.EncodeToString(sum[:16])
}

// atHand are the competitors that can be asked.
func atHand(c *config.Config) []string {
	return slices.DeleteFunc(c.Competitors(), func(name string) bool {
		m, _ := c.Model(name)
		return m.Imported
	})
}

// sources adds what the models say.
func (t *table) sources() {
	var generations, competing []string
	for _, name := range t.c.Competitors() {
		generations = append(generations, Generations(name))
		if name != t.c.Target.Model || t.c.Target.Compete {
			competing = append(competing, Generations(name))
		}
		t.add("generate", Generations(name), t.header(schemas.GenerationSchema, "generate", name, true), Prompts)
	}
	for _, name := range t.c.Reward.Models {
		t.add("reward", Rewards(name), t.header(schemas.RewardSchema, "reward", name, false), append([]string{Prompts}, generations...)...)
	}
	for _, name := range atHand(t.c) {
		t.add("crossentropy", CrossEntropy(name), t.header(schemas.TeacherForcingSchema, "crossentropy", name, true), Prompts)
	}
	if Reads(t.c) {
		for _, name := range t.c.Competitors() {
			h := t.header(schemas.TeacherForcingSchema, "crossentropy", t.c.Target.Model, true)
			t.depend(&h, "crossentropy-responses", append([]string{t.c.Target.Model}, t.c.Competitors()...)...)
			t.add("crossentropy-responses", TargetReadings(name), h, Prompts, Generations(name))
		}
	}
	if judge := t.c.Advantage.Inference.Judge; Judges(t.c) {
		h := dataset.Header{Schema: schemas.VerdictSchema, SourceModel: judge}
		t.depend(&h, "judge", append([]string{judge}, t.c.Competitors()...)...)
		t.add("judge", Verdicts, h, append([]string{Prompts}, competing...)...)
	}
}

// fuse adds selections and examples.
func (t *table) fuse() {
	sources := []string{Prompts}
	for _, d := range t.list[1:] {
		sources = append(sources, d.Name)
	}
	target := t.models[t.c.Target.Model]
	h := dataset.Header{Schema: schemas.SelectionSchema}
	t.depend(&h, "fuse", append(t.c.Competitors(), t.c.Reward.Models...)...)
	t.add("fuse", Selections, h, sources...)
	h.Schema, h.TargetTokenizer, h.ChatTemplate = schemas.FusionExampleSchema, target.Fingerprint, target.Template
	for _, mode := range schemas.Modes {
		t.add("fuse", Fusion(mode), h, sources...)
	}
}

// header is that of a model's dataset.
func (t *table) header(schema, step, model string, distributions bool) dataset.Header {
	m := t.models[model]
	h := dataset.Header{Schema: schema, SourceModel: model, ChatTemplate: m.Template}
	if distributions {
		h.SourceTokenizer = m.Fingerprint
	}
	t.depend(&h, step+"/"+model, model)
	return h
}

// depend fills in what a step depends on: its configuration and the files of its models.
func (t *table) depend(h *dataset.Header, step string, models ...string) {
	h.Depends = maps.Clone(t.c.Depends(step))
	if t.models == nil {
		return
	}
	parts := []string{t.c.Digest(step)}
	for _, name := range models {
		digest := t.models[name].Digest
		parts = append(parts, name, digest)
		sum := sha256.Sum256([]byte(digest)) // a served model's digest is a list of texts
		h.Depends[filesItem(name)] = "digest " + hex.EncodeToString(sum[:8])
	}
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x1f")))
	h.ConfigDigest = hex.EncodeToString(sum[:16])
}
