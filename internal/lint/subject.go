package lint

import (
	"fmt"
	"go/ast"
	"regexp"
	"strings"
)

// Formulas finds exported functions of fusion and the objective whose comment shows a formula and not where it is from.
func Formulas(files []File) []string {
	var faults []string
	for _, f := range files {
		if f.Test() || !strings.HasPrefix(f.Path, "fusion/") && !strings.HasPrefix(f.Path, "trainer/objective/") && !strings.HasPrefix(f.Path, "trainer/merge/") {
			continue
		}
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() || fn.Doc == nil || !formula(fn.Doc.Text()) || strings.Contains(fn.Doc.Text(), "Source:") {
				continue
			}
			faults = append(faults, fmt.Sprintf("%s:%d: the formula of %s has no line \"Source: …\": name the paper, page or library, and how we differ", f.Path, f.Line(fn.Pos()), fn.Name.Name))
		}
	}
	return faults
}

// equation is a line of a formula: indented, something named, an equals sign, a value.
var equation = regexp.MustCompile(`(?m)^(\t|    ).*[\pL\pN)\]}] = \S`)

// formula says whether a comment shows one.
func formula(comment string) bool { return equation.MatchString(comment) }

// Goroutines finds go statements in transforms outside inflight.
func Goroutines(files []File) []string {
	var faults []string
	for _, f := range files {
		if f.Test() || !strings.HasPrefix(f.Path, "transforms/") || strings.HasPrefix(f.Path, "transforms/inflight/") {
			continue
		}
		ast.Inspect(f.Syntax, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				faults = append(faults, fmt.Sprintf("%s:%d: a goroutine: transforms start them only in inflight, use it", f.Path, f.Line(g.Pos())))
			}
			return true
		})
	}
	return faults
}

// Transforms finds exported PTransforms whose scope or comment breaks the rule.
func Transforms(files []File) []string {
	var faults []string
	for _, f := range files {
		if f.Test() || !strings.HasPrefix(f.Path, "transforms/") {
			continue
		}
		for _, d := range f.Syntax.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok || !fn.Name.IsExported() || fn.Recv != nil || !takesScope(fn) {
				continue
			}
			want := fmt.Sprintf("s = s.Scope(%q)", f.Syntax.Name.Name+"."+fn.Name.Name)
			body := string(f.Source[fn.Body.Lbrace-1 : fn.Body.Rbrace])
			if first := strings.TrimSpace(strings.SplitN(strings.TrimPrefix(strings.TrimSpace(body), "{"), "\n", 3)[1]); first != want {
				faults = append(faults, fmt.Sprintf("%s: func %s opens with %q, must open with %s", f.Path, fn.Name.Name, first, want))
			}
			if !strings.Contains(fn.Doc.Text(), "PCollection<") {
				faults = append(faults, fmt.Sprintf("%s: the comment of %s must give its element types as PCollection<…> -> PCollection<…>", f.Path, fn.Name.Name))
			}
		}
	}
	return faults
}

func takesScope(fn *ast.FuncDecl) bool {
	if len(fn.Type.Params.List) == 0 {
		return false
	}
	s, ok := fn.Type.Params.List[0].Type.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Scope"
}
