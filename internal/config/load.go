package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/profuser/profuser/internal/config/preset"
	"github.com/profuser/profuser/schemas"
)

// Load reads fusion.yaml, applies the --set options (key=value, the value in YAML), resolves paths against the file's
// folder and checks everything. Its error is Faults: everything that is wrong, one a line. A file that cannot be read
// is an error of its own.
func Load(path string, set []string) (*Config, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w (profuser init writes a first one)", err)
	}
	return parse(path, data, set, true)
}

// parse is Load without the file; look says whether files named must be there.
func parse(path string, data []byte, set []string, look bool) (*Config, error) {
	var faults Faults
	r := reader{file: path, faults: &faults}
	root := r.parse(data)
	if root == nil {
		return nil, faults
	}
	if root.kind == mapping {
		r.options(root, set)
	}
	c := &Config{dir: filepath.Dir(path)}
	d := &decoder{faults: &faults, where: map[string]string{}, given: map[string]bool{}}
	d.section(root, "", path+":1", reflect.ValueOf(c).Elem())
	check := checker{c: c, decoder: d, look: look}
	check.names()
	check.objective()
	check.curriculum()
	check.paths(reflect.ValueOf(c).Elem(), "", "")
	if len(faults) > 0 {
		return nil, faults
	}
	return c, nil
}

// options applies the --set options, and the preset that the file or they name. Each beats what stands before it: the file's
// preset, the file, the preset of --set, other options.
func (r reader) options(root *node, set []string) {
	var others []string
	for _, option := range set {
		if strings.HasPrefix(option, "preset=") {
			r.set(root, option)
		} else {
			others = append(others, option)
		}
	}
	if n := root.get("preset"); n != nil && n.kind == scalar {
		if p, ok := preset.Find(n.text); ok {
			commanded := strings.HasPrefix(n.where, "--set ")
			for _, key := range p.Keys {
				r.underlay(root, n.where+presetMark+p.Name+")", key, commanded)
			}
		}
	}
	for _, option := range others {
		r.set(root, option)
	}
}

// presetMark stands in the place of a key that a preset set.
const presetMark = " (preset "

// underlay puts a preset's key where none is, or with replace whatever is there.
func (r reader) underlay(root *node, where string, k preset.Key, replace bool) {
	value := reader{file: where, faults: r.faults}.parse([]byte("value: " + k.Value)).get("value")
	value.rename(where)
	keys := strings.Split(k.Path, ".")
	for _, key := range keys[:len(keys)-1] {
		child := root.get(key)
		if child == nil || child.null() {
			child = &node{where: where, kind: mapping}
			root.put(key, child)
		} else if child.kind != mapping {
			return // the decoder says so
		}
		root = child
	}
	if last := keys[len(keys)-1]; replace || root.get(last) == nil {
		root.put(last, value)
	}
}

// How forcefully a key is set, least first.
const (
	byDefault = iota
	fromPreset
	inFile
	commandedPreset
	commanded
)

// force says how a key got its value.
func (d checker) force(key string) int {
	where := d.where[key]
	option, marked := strings.HasPrefix(where, "--set "), strings.Contains(where, presetMark)
	switch {
	case !d.given[key]:
		return byDefault
	case option && marked:
		return commandedPreset
	case option:
		return commanded
	case marked:
		return fromPreset
	}
	return inFile
}

// checker checks what no single key can: names that refer to models, and files.
type checker struct {
	*decoder
	c    *Config
	look bool
}

func (d checker) fault(key, format string, args ...any) {
	where := d.where[key]
	if where == "" {
		where = d.where[key[:max(0, strings.LastIndexAny(key, ".["))]]
	}
	d.faults.add(where, key, format, args...)
}

// names checks models and the references to them.
func (d checker) names() {
	var known []string
	for i, m := range d.c.Models {
		key := fmt.Sprintf("models[%d]", i)
		if m.Name != "" && (strings.ContainsAny(m.Name, `/\`+"\x00") || strings.HasPrefix(m.Name, ".")) {
			d.fault(key+".name", "is %q, want a name that can be a folder: no slash, no dot at the start", m.Name)
		}
		if slices.Contains(known, m.Name) {
			d.fault(key+".name", "is %q, which an earlier model has too", m.Name)
		}
		known = append(known, m.Name)
		switch {
		case m.Endpoint != nil && m.Path != "":
			d.fault(key+".endpoint", "stands beside path, want one of the two")
		case m.Endpoint != nil && m.Tokenizer == "" && (!d.readsText(m) || slices.Contains(d.c.Competitors(), m.Name)):
			d.fault(key+".tokenizer", "is missing, want the directory of the served model's tokenizer")
		case m.Endpoint != nil && len(m.Endpoint.URLs) == 0:
			d.fault(key+".endpoint.urls", "is empty, want the base address of a server")
		case m.Endpoint != nil && m.Imported:
			d.fault(key+".imported", "is true beside endpoint, want one of the two: a model that is at hand can read what is imported")
		case m.Endpoint != nil:
		case m.Imported && m.Path != "":
			d.fault(key+".imported", "is true beside path, want one of the two: a model that is at hand can read what is imported")
		case m.Imported && m.Name == d.c.Target.Model:
			d.fault(key+".imported", "is true of the target, want its directory: it is trained")
		case m.Path == "" && !m.Imported:
			d.fault(key+".path", "is missing, want a Hugging Face model directory")
		}
	}
	refer := func(key, name string) {
		if name != "" && !slices.Contains(known, name) {
			d.fault(key, "is %q, want a name from models: %s", name, strings.Join(known, ", "))
		}
	}
	refer("target.model", d.c.Target.Model)
	d.references("sources", d.c.Sources, refer)
	d.references("reward.models", d.c.Reward.Models, refer)
	if i := slices.Index(d.c.Sources, d.c.Target.Model); i >= 0 && d.c.Target.Model != "" {
		d.fault(fmt.Sprintf("sources[%d]", i), "is the target, which competes anyway (target.compete), want other models")
	}
	for i, m := range d.c.Plan.Models {
		refer(fmt.Sprintf("plan.models[%d].name", i), m.Name)
	}
	d.advantage()
	d.runner()
}

// readsText says whether a served model is asked in words only.
func (d checker) readsText(m Model) bool {
	in := d.c.Advantage.Inference
	return m.Endpoint.ReadsText() || in.Method == "judge" && in.Judge == m.Name && !slices.Contains(d.c.Reward.Models, m.Name)
}

// advantage checks who is asked, and what goes with what.
func (d checker) advantage() {
	in := d.c.Advantage.Inference
	if in.Method == "single" && !slices.Contains(d.c.Reward.Models, in.Single) {
		d.fault("advantage.inference.single", "is %q, want one of reward.models: %s", in.Single, strings.Join(d.c.Reward.Models, ", "))
	}
	if in.Method == "judge" && !slices.ContainsFunc(d.c.Models, func(m Model) bool { return m.Name == in.Judge }) {
		d.fault("advantage.inference.judge", "is %q, want a chat model's name from models: method judge asks it", in.Judge)
	}
	for i, name := range in.Filters.Scripts {
		if unicode.Scripts[name] == nil {
			d.fault(fmt.Sprintf("advantage.inference.filters.scripts[%d]", i), "is %q, want a name of Unicode's, such as Latin, Cyrillic or Han", name)
		}
	}
	if f := in.Filters; f.MaxBytes > 0 && f.MaxBytes < f.MinBytes {
		d.fault("advantage.inference.filters.max_bytes", "is %d, want 0 or at least min_bytes, %d", f.MaxBytes, f.MinBytes)
	}
	if d.c.Objective.ExampleWeights == "reward" && d.c.Fuse.Keep != "all" {
		d.fault("objective.example_weights", "is reward, which needs fuse.keep all, want equal, or fuse.keep all")
	}
	for i, name := range d.c.Competitors() {
		if name == schemas.MixedSource && d.c.Advantage.Training.Method == "average" {
			key := "target.model"
			if i > 0 {
				key = fmt.Sprintf("sources[%d]", i-1)
			}
			d.fault(key, "is %q, the name of averaged distributions, want another", name)
		}
	}
}

func (d checker) references(key string, names []string, refer func(key, name string)) {
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", key, i)
		refer(at, name)
		if slices.Index(names, name) < i {
			d.fault(at, "is %q, which stands in the list already", name)
		}
	}
}

// paths resolves and checks every value whose tag has a path, at any depth.
func (d checker) paths(v reflect.Value, key, want string) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			d.paths(v.Elem(), key, want)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if name, ok := field.Tag.Lookup("yaml"); ok {
				d.paths(v.Field(i), join(key, name), field.Tag.Get("path"))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			d.paths(v.Index(i), fmt.Sprintf("%s[%d]", key, i), want)
		}
	case reflect.String:
		if want != "" && v.String() != "" && !strings.Contains(v.String(), "://") {
			v.SetString(d.c.resolve(v.String()))
			d.exists(v.String(), key, want)
		}
	}
}

// resolve makes a path relative to the configuration file's folder.
func (c *Config) resolve(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(c.dir, path)
}

func (d checker) exists(path, key, want string) {
	if !d.look || want == "out" {
		return
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.fault(key, "is %s, which does not exist, want a %s", path, map[string]string{"dir": "directory", "file": "file"}[want])
	case err != nil:
		d.fault(key, "is %s, which cannot be read: %v", path, err)
	case info.IsDir() != (want == "dir"):
		d.fault(key, "is %s, want a %s", path, map[string]string{"dir": "directory", "file": "file"}[want])
	}
}

// ReadsText says that a reward model is asked with texts, which its server renders: it needs no tokenizer here.
func (e *Endpoint) ReadsText() bool { return e.Reward == "score" || e.Reward == "judge" }

// Model returns the entry of models with a name; Load has checked that those referred to are there.
func (c *Config) Model(name string) (Model, bool) {
	i := slices.IndexFunc(c.Models, func(m Model) bool { return m.Name == name })
	if i < 0 {
		return Model{}, false
	}
	return c.Models[i], true
}

// Competitors returns the names of the models that answer and read every prompt, in the order of ties: the target,
// then the sources. With target.compete false the target is among them but cannot win.
func (c *Config) Competitors() []string {
	return append([]string{c.Target.Model}, c.Sources...)
}
