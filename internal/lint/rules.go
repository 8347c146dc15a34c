package lint

import (
	"fmt"
	"go/ast"
	"path"
	"slices"
	"strings"
)

// Bounds of sizes, in lines of code.
const (
	maxFile     = 400
	maxJob      = 150
	maxFunction = 60
	maxFiles    = 10
	minComment  = 5
)

// manyFiles are packages that may have more: schemas has a file for each record, which is its point.
var manyFiles = []string{"schemas"}

// Sizes finds files, functions and packages that are too long. A package's doc.go does not count as a file.
func Sizes(files []File) []string {
	var faults []string
	count := map[string]int{}
	for _, f := range files {
		if f.Test() {
			continue
		}
		if path.Base(f.Path) != "doc.go" {
			count[f.Dir()]++
		}
		limit := maxFile
		if strings.HasPrefix(f.Path, "pipelines/") || path.Base(f.Path) == "main.go" {
			limit = maxJob
		}
		if n := f.codeLines(1, 1<<30); n > limit {
			faults = append(faults, fmt.Sprintf("%s has %d lines of code, at most %d: split it by concept", f.Path, n, limit))
		}
		for _, d := range f.Syntax.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok {
				if n := f.codeLines(f.Line(fn.Pos()), f.Line(fn.End())); n > maxFunction {
					faults = append(faults, fmt.Sprintf("%s:%d: func %s has %d lines of code, at most %d: name its parts", f.Path, f.Line(fn.Pos()), fn.Name.Name, n, maxFunction))
				}
			}
		}
	}
	for dir, n := range count {
		if n > maxFiles && !slices.Contains(manyFiles, dir) {
			faults = append(faults, fmt.Sprintf("%s has %d files besides tests, at most %d: split the package", dir, n, maxFiles))
		}
	}
	return faults
}

// Comments finds packages without a comment of five lines and exported names without one.
func Comments(files []File) []string {
	var faults []string
	longest := map[string]int{}
	for _, f := range files {
		if f.Test() {
			continue
		}
		longest[f.Dir()] = max(longest[f.Dir()], 0)
		if f.Syntax.Doc != nil {
			longest[f.Dir()] = max(longest[f.Dir()], f.Line(f.Syntax.Doc.End())-f.Line(f.Syntax.Doc.Pos())+1)
		}
		for _, d := range f.Syntax.Decls {
			for _, name := range undocumented(d) {
				faults = append(faults, fmt.Sprintf("%s:%d: %s is exported and has no comment: say what it is, its shape and unit", f.Path, f.Line(d.Pos()), name))
			}
		}
	}
	for dir, n := range longest {
		if n < minComment {
			faults = append(faults, fmt.Sprintf("package in %s has a comment of %d lines, at least %d: what it owns, what flows in and out, what it does not do", dir, n, minComment))
		}
	}
	return faults
}

// undocumented lists the exported names of a declaration that have no comment.
func undocumented(d ast.Decl) []string {
	var out []string
	switch d := d.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) {
			out = append(out, d.Name.Name)
		}
	case *ast.GenDecl:
		for _, s := range d.Specs {
			switch s := s.(type) {
			case *ast.TypeSpec:
				if d.Doc == nil && s.Doc == nil && s.Name.IsExported() {
					out = append(out, s.Name.Name)
				}
			case *ast.ValueSpec:
				for _, n := range s.Names {
					if d.Doc == nil && s.Doc == nil && s.Comment == nil && n.IsExported() {
						out = append(out, n.Name)
					}
				}
			}
		}
	}
	return out
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

var vagueNames = []string{"util", "utils", "common", "helper", "helpers", "misc", "base", "types", "manager"}

// Names finds vague package and file names, and two packages with one name.
func Names(files []File) []string {
	var faults []string
	dirs := map[string]string{}
	for _, f := range files {
		name := f.Syntax.Name.Name
		if slices.Contains(vagueNames, name) || slices.Contains(vagueNames, strings.TrimSuffix(path.Base(f.Path), ".go")) {
			faults = append(faults, fmt.Sprintf("%s: a name that says nothing: name the concept it holds", f.Path))
		}
		if f.Test() || name == "main" {
			continue
		}
		if other, ok := dirs[name]; ok && other != f.Dir() {
			faults = append(faults, fmt.Sprintf("%s and %s are both package %s: one name for one thing", other, f.Dir(), name))
			continue
		}
		dirs[name] = f.Dir()
	}
	return faults
}

// Calls finds calls that end the process or depend on chance or time where they must not.
func Calls(files []File) []string {
	var faults []string
	for _, f := range files {
		if f.Test() {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			c, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			name := callName(c)
			if remedy := forbidden(f, name); remedy != "" {
				faults = append(faults, fmt.Sprintf("%s:%d: %s: %s", f.Path, f.Line(c.Pos()), name, remedy))
			}
			return true
		})
	}
	return faults
}

func callName(c *ast.CallExpr) string {
	switch fn := c.Fun.(type) {
	case *ast.Ident:
		return fn.Name
	case *ast.SelectorExpr:
		if x, ok := fn.X.(*ast.Ident); ok {
			return x.Name + "." + fn.Sel.Name
		}
	}
	return ""
}

// unseeded are the functions of math/rand that draw from a generator without our seed.
var unseeded = map[string]bool{
	"rand.Int": true, "rand.IntN": true, "rand.Intn": true, "rand.Int32": true, "rand.Int32N": true, "rand.Int64": true, "rand.Int64N": true,
	"rand.Int63": true, "rand.Uint32": true, "rand.Uint64": true, "rand.N": true, "rand.Float32": true, "rand.Float64": true,
	"rand.NormFloat64": true, "rand.ExpFloat64": true, "rand.Perm": true, "rand.Shuffle": true,
}

// forbidden gives the remedy for a call that its file may not make, "" for others.
func forbidden(f File, name string) string {
	in := func(dirs ...string) bool {
		return slices.ContainsFunc(dirs, func(d string) bool { return strings.HasPrefix(f.Path, d+"/") })
	}
	main := f.Syntax.Name.Name == "main"
	switch {
	case name == "panic" && !main && !in("models/decoder", "trainer", "transforms", "pipelines", "data/world"):
		return "return an error; only graph functions and Beam construction may panic"
	case (name == "os.Exit" || strings.HasPrefix(name, "log.Fatal")) && !main:
		return "return an error; only main ends the process"
	case name == "time.Now" && in("fusion", "transforms") && !in("transforms/tally"):
		return "the result must not depend on the clock: pass what is needed"
	case unseeded[name] && in("fusion", "transforms", "trainer", "models", "data/world"):
		return "use a seeded generator, rand.New(rand.NewPCG(seed, stream))"
	}
	return ""
}
