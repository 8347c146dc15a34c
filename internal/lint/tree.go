package lint

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// File is one parsed Go file of the tree.
type File struct {
	// Path is relative to the repository, with slashes.
	Path string
	// Source is its text.
	Source []byte
	// Syntax is its syntax tree with comments.
	Syntax *ast.File

	set *token.FileSet
}

// Dir is the file's folder.
func (f File) Dir() string { return path.Dir(f.Path) }

// Test says whether it is a test file.
func (f File) Test() bool { return strings.HasSuffix(f.Path, "_test.go") }

// Line is the line of a position.
func (f File) Line(p token.Pos) int { return f.set.Position(p).Line }

// Parse reads one file.
func Parse(name string, source []byte) (File, error) {
	set := token.NewFileSet()
	syntax, err := parser.ParseFile(set, name, source, parser.ParseComments)
	return File{Path: name, Source: source, Syntax: syntax, set: set}, err
}

// skipped folders hold nothing of ours.
var skipped = map[string]bool{".git": true, "bin": true, "out": true}

// Walk visits every kept file below root.
func Walk(root string, visit func(name string, info fs.FileInfo) error) error {
	return filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped[rel] {
				return fs.SkipDir
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(rel), info)
	})
}

// GoFiles parses all Go files below root.
func GoFiles(root string) ([]File, error) {
	var out []File
	err := Walk(root, func(name string, _ fs.FileInfo) error {
		if !strings.HasSuffix(name, ".go") || strings.Contains(name, "/testdata/") {
			return nil
		}
		source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return err
		}
		f, err := Parse(name, source)
		if err != nil {
			return fmt.Errorf("parsing %s: %w", name, err)
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

// codeLines counts lines that are neither blank nor comment only, between two lines, both included.
func (f File) codeLines(from, to int) int {
	comment := map[int]bool{}
	for _, g := range f.Syntax.Comments {
		for l := f.Line(g.Pos()); l <= f.Line(g.End()); l++ {
			comment[l] = true
		}
	}
	n := 0
	for i, line := range bytes.Split(f.Source, []byte("\n")) {
		text := bytes.TrimSpace(line)
		if l := i + 1; l < from || l > to || len(text) == 0 || (comment[l] && (bytes.HasPrefix(text, []byte("//")) || bytes.HasPrefix(text, []byte("/*")))) {
			continue
		}
		n++
	}
	return n
}
