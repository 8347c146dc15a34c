package lint

import (
	"fmt"
	"strings"
)

// module is our import path.
const module = "github.com/profuser/profuser/"

// mayImport says which of our trees a tree may import, besides itself.
var mayImport = []struct {
	tree    string
	allowed []string
}{
	{"schemas", nil},
	{"fusion", []string{"schemas", "fusion"}},
	{"models", []string{"schemas", "fusion", "models"}},
	{"internal/dataset", []string{"schemas"}},
	{"internal/config", []string{"schemas", "fusion", "models", "internal/dataset", "trainer/curriculum"}},
	{"internal/report", []string{"schemas", "fusion", "models", "internal/dataset", "internal/config"}},
	{"internal/export", []string{"schemas", "fusion", "internal/dataset", "internal/config"}},
	{"internal/inspect", []string{"schemas", "fusion", "models", "internal/dataset"}},
	{"internal/lint", nil},
	{"transforms", []string{"schemas", "fusion", "models", "internal/dataset", "transforms"}},
	{"pipelines", []string{"schemas", "fusion", "models", "internal/dataset", "internal/config", "internal/report", "transforms"}},
	{"trainer", []string{"schemas", "fusion", "models", "internal/dataset", "internal/config", "trainer"}},
	{"cmd/profuser-trainer", []string{"trainer", "internal/config", "internal/dataset", "models", "schemas"}},
	{"cmd/profuser", []string{"pipelines", "transforms", "internal/config", "internal/report", "internal/inspect", "internal/export", "internal/dataset", "models", "fusion", "schemas"}},
	{"experiment", []string{"schemas", "fusion", "data", "internal/dataset", "internal/config", "experiment"}},
	{"data", []string{"schemas", "fusion", "models", "data", "internal/dataset"}},
}

// mayLink says where a library may be imported.
var mayLink = []struct {
	library string
	trees   []string
}{
	{"github.com/apache/beam/", []string{"transforms", "pipelines", "cmd/profuser"}},
	{"github.com/gomlx/", []string{"models/processor", "models/decoder", "models/engine", "trainer"}},
	{"github.com/parquet-go/", []string{"internal/dataset"}},
	{"github.com/sugarme/", []string{"models/tokenizer/sugarme"}},
}

// under says whether a package path lies in a tree.
func under(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

// Layers checks the imports of every package, given as package path (ours without the module) to import paths.
func Layers(imports map[string][]string) []string {
	var faults []string
	for pkg, list := range imports {
		for _, i := range list {
			if fault := edge(pkg, i); fault != "" {
				faults = append(faults, fault)
			}
		}
	}
	return faults
}

// edge checks one import.
func edge(pkg, imported string) string {
	if ours, ok := strings.CutPrefix(imported, module); ok {
		for _, rule := range mayImport {
			if !under(pkg, rule.tree) {
				continue
			}
			for _, a := range append([]string{rule.tree}, rule.allowed...) {
				if under(ours, a) {
					return ""
				}
			}
			return fmt.Sprintf("%s imports %s: %s may import %v only; declare a small interface instead", pkg, ours, rule.tree, rule.allowed)
		}
		return fmt.Sprintf("%s is in no layer: add it to internal/lint/layers.go", pkg)
	}
	if pkg == "schemas" && strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
		return fmt.Sprintf("schemas imports %s: it may use the standard library only", imported)
	}
	for _, rule := range mayLink {
		if !strings.HasPrefix(imported, rule.library) {
			continue
		}
		for _, tree := range rule.trees {
			if under(pkg, tree) {
				return ""
			}
		}
		return fmt.Sprintf("%s imports %s: that library belongs in %v", pkg, imported, rule.trees)
	}
	return ""
}
