package lint

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden module lists")

const root = "../.."

func report(t *testing.T, faults []string) {
	t.Helper()
	slices.Sort(faults)
	for _, f := range faults {
		t.Error(f)
	}
}

func TestSource(t *testing.T) {
	files, err := GoFiles(root)
	if err != nil {
		t.Fatal(err)
	}
	for name, rule := range map[string]func([]File) []string{"sizes": Sizes, "comments": Comments, "names": Names, "calls": Calls, "transforms": Transforms, "formulas": Formulas, "goroutines": Goroutines} {
		t.Run(name, func(t *testing.T) { report(t, rule(files)) })
	}
}

func golist(t *testing.T, args ...string) []byte {
	t.Helper()
	c := exec.Command("go", append([]string{"list"}, args...)...)
	c.Dir = root
	var stderr bytes.Buffer
	c.Stderr = &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	return out
}

func TestLayers(t *testing.T) {
	imports := map[string][]string{}
	for d := json.NewDecoder(bytes.NewReader(golist(t, "-json=ImportPath,Imports", "./..."))); d.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		imports[strings.TrimPrefix(p.ImportPath, module)] = p.Imports
	}
	report(t, Layers(imports))
}

// TestModules compares the modules that each binary links with its golden list: a new dependency is a decision.
func TestModules(t *testing.T) {
	for _, binary := range []string{"profuser", "profuser-trainer"} {
		lines := strings.Fields(string(golist(t, "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/"+binary)))
		slices.Sort(lines)
		got := strings.Join(slices.Compact(lines), "\n") + "\n"
		golden := filepath.Join("testdata", binary+".modules")
		if *update {
			if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s links other modules than %s says; if that is meant: go test ./internal/lint -run TestModules -update\ngot:\n%s", binary, golden, got)
		}
	}
}

// machinePath are absolute paths of somebody's machine; registry are hosts of package registries.
var (
	machinePath = regexp.MustCompile(`(^|[^a-zA-Z0-9_.])/(root|home/[a-z]+|work|farm|tmp)/`)
	registry    = regexp.MustCompile(`proxy\.golang` + `\.org|pypi` + `\.org|registry\.npm` + `js|crates` + `\.io/|repo1\.maven`)
)

func TestTree(t *testing.T) {
	var data int64
	err := Walk(root, func(name string, info fs.FileInfo) error {
		inData := strings.HasPrefix(name, "data/")
		if inData {
			data += info.Size()
		} else if info.Size() > 1<<20 {
			t.Errorf("%s has %d bytes: no file over 1 MiB outside data/", name, info.Size())
		}
		switch filepath.Ext(name) {
		case ".go", ".md", ".mk", ".yaml", ".py", ".sh", ".txtar", ".html", ".css", ".js", ".json", "":
			b, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				return err
			}
			if m := machinePath.Find(b); m != nil && name != "internal/lint/lint_test.go" {
				t.Errorf("%s names a path of one machine (%s): make it relative", name, m)
			}
			if m := registry.Find(b); m != nil {
				t.Errorf("%s names a registry host (%s): name the package instead", name, m)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if data > 25_000_000 {
		t.Errorf("data/ has %d bytes, at most 25 MB", data)
	}
}

// TestRecords: every record of schemas/ has a row in the README's data map, a golden schema and a round trip; every job
// of pipelines/ stands in its test.
func TestRecords(t *testing.T) {
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	records := regexp.MustCompile(`func \(\*(\w+)\) Schema\(\) string \{ return \w+ \}`).FindAllStringSubmatch(read("schemas/version.go"), -1)
	if len(records) < 8 {
		t.Fatalf("%d records found in schemas/version.go: has the form of its Schema methods changed?", len(records))
	}
	versions := regexp.MustCompile(`(\w+)Schema += "(\w+)/\d+"`).FindAllStringSubmatch(read("schemas/version.go"), -1)
	name := map[string]string{}
	for _, v := range versions {
		name[v[1]] = v[2]
	}
	readme, goldens, roundTrips := read("README.md"), read("internal/dataset/testdata/schemas"), read("internal/dataset/codec_test.go")
	for _, r := range records {
		if !strings.Contains(readme, "\n| `"+r[1]+"` |") {
			t.Errorf("README.md: the data map has no row of %s: say what a row is, who makes and who reads it", r[1])
		}
		if !strings.Contains(goldens, name[r[1]]) {
			t.Errorf("internal/dataset/testdata/schemas has no golden of %s: go test ./internal/dataset -rewrite", name[r[1]])
		}
		if !strings.Contains(roundTrips, `t.Run("`+name[r[1]]+`"`) {
			t.Errorf("internal/dataset/codec_test.go has no round trip of %s", name[r[1]])
		}
	}
	jobs := regexp.MustCompile(`var Steps = \[\]string\{([^}]*)\}`).FindStringSubmatch(read("pipelines/run.go"))
	if jobs == nil {
		t.Fatal("pipelines/run.go has no list of steps")
	}
	for job := range strings.SplitSeq(jobs[1], ", ") {
		if !strings.Contains(read("pipelines/pipelines_test.go"), "\n\t\t\t{"+job+", ") {
			t.Errorf("pipelines/pipelines_test.go does not run the job %s on Prism", job)
		}
	}
}

// TestRulesFind shows every rule a small bad example.
func TestRulesFind(t *testing.T) {
	long := strings.Repeat("\tx++\n", 61)
	for name, c := range map[string]struct {
		path, source string
		rule         func([]File) []string
		want         string
	}{
		"long function":   {"fusion/a/a.go", "package a\n\nfunc f(x int) {\n" + long + "}\n", Sizes, "func f has 63 lines"},
		"long job":        {"pipelines/a.go", "package pipelines\n\nvar x = []int{\n" + strings.Repeat("\t1,\n", 150) + "}\n", Sizes, "at most 150"},
		"no comment":      {"fusion/a/a.go", "// Package a.\npackage a\n", Comments, "at least 5"},
		"undocumented":    {"fusion/a/a.go", "package a\n\ntype B struct{}\n", Comments, "B is exported"},
		"vague":           {"fusion/util/a.go", "package util\n", Names, "says nothing"},
		"panic":           {"fusion/a/a.go", "package a\n\nfunc f() { panic(1) }\n", Calls, "return an error"},
		"exit":            {"trainer/a/a.go", "package a\n\nfunc f() { os.Exit(1) }\n", Calls, "only main"},
		"clock":           {"transforms/a/a.go", "package a\n\nfunc f() { time.Now() }\n", Calls, "clock"},
		"chance":          {"fusion/a/a.go", "package a\n\nfunc f() { rand.IntN(3) }\n", Calls, "seeded"},
		"formula":         {"fusion/a/a.go", "package a\n\n// Mean is the mean.\n//\n//\tm = Σ x / n\nfunc Mean() {}\n", Formulas, "Source:"},
		"goroutine":       {"transforms/a/a.go", "package a\n\nfunc f() { go f() }\n", Goroutines, "inflight"},
		"scope":           {"transforms/a/a.go", "package a\n\n// Do.\nfunc Do(s beam.Scope) {\n\tx()\n}\n", Transforms, "must open with"},
		"scope's comment": {"transforms/a/a.go", "package a\n\n// Do.\nfunc Do(s beam.Scope) {\n\ts = s.Scope(\"a.Do\")\n}\n", Transforms, "PCollection<"},
	} {
		f, err := Parse(c.path, []byte(c.source))
		if err != nil {
			t.Fatal(name, err)
		}
		if faults := strings.Join(c.rule([]File{f}), "\n"); !strings.Contains(faults, c.want) {
			t.Errorf("%s: want %q, got %q", name, c.want, faults)
		}
	}
	for _, c := range []struct{ pkg, imported, want string }{
		{"fusion/dist", module + "models/engine", "may import"},
		{"trainer/loop", "github.com/apache/beam/sdks/v2/go/pkg/beam", "belongs in"},
		{"transforms/fuse", "github.com/gomlx/gomlx/core/graph", "belongs in"},
		{"schemas", "github.com/google/go-cmp/cmp", "standard library"},
		{"other", module + "schemas", "no layer"},
	} {
		if faults := strings.Join(Layers(map[string][]string{c.pkg: {c.imported}}), "\n"); !strings.Contains(faults, c.want) {
			t.Errorf("%s importing %s: want %q, got %q", c.pkg, c.imported, c.want, faults)
		}
	}
}
