package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is a piece of the configuration with the place where it stands.
type node struct {
	where  string // file:line, or the --set option
	kind   kind
	text   string // of a scalar
	quoted bool
	keys   []string // of a mapping, in order
	values []*node  // of a mapping or a list
}

type kind int

const (
	scalar kind = iota
	mapping
	list
)

// String shows a value in a fault.
func (n *node) String() string {
	switch {
	case n.kind == mapping:
		return "a section"
	case n.kind == list:
		return "a list"
	case n.quoted:
		return fmt.Sprintf("%q", n.text)
	case n.null():
		return "empty"
	}
	return n.text
}

func (n *node) null() bool {
	return n.kind == scalar && !n.quoted && (n.text == "" || n.text == "null" || n.text == "~")
}

// get returns a mapping's value, or nil.
func (n *node) get(key string) *node {
	for i, k := range n.keys {
		if k == key {
			return n.values[i]
		}
	}
	return nil
}

// reader turns YAML into nodes and collects faults.
type reader struct {
	file   string
	faults *Faults
}

// parse reads one document; nil after a fault of syntax.
func (r reader) parse(data []byte) (root *node) {
	defer func() {
		if p := recover(); p != nil { // the parser is not ours
			r.faults.add(r.file, "", "is not YAML: %v", p)
			root = nil
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		line, what := syntax(err)
		r.faults.add(fmt.Sprintf("%s:%d", r.file, line), "", "is not YAML: %s", what)
		return nil
	}
	root = &node{where: r.file + ":1", kind: mapping}
	seen := false
	for _, document := range file.Docs {
		if document.Body == nil || document.Body.Type() == ast.CommentType {
			continue
		}
		if seen {
			r.fault(document.Body, "", "is a second document, want one")
			continue
		}
		root, seen = r.node(document.Body, ""), true
	}
	return root
}

// syntax cuts line and message out of a syntax error.
func syntax(err error) (line int, what string) {
	var syntaxError *yaml.SyntaxError
	if errors.As(err, &syntaxError) && syntaxError.Token != nil && syntaxError.Token.Position != nil {
		return syntaxError.Token.Position.Line, strings.Join(strings.Fields(syntaxError.Message), " ")
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return 1, first
}

func (r reader) place(n ast.Node) string {
	line := 1
	if t := n.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	return fmt.Sprintf("%s:%d", r.file, line)
}

func (r reader) fault(n ast.Node, key, format string, args ...any) {
	r.faults.add(r.place(n), key, format, args...)
}

// node converts a YAML node; key is its path, for faults.
func (r reader) node(n ast.Node, key string) *node {
	switch n := n.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode:
		r.fault(n, key, "is a YAML %s, want plain values, lists and sections", strings.ToLower(n.Type().String()))
		return &node{where: r.place(n)}
	case *ast.MappingNode:
		return r.mapping(n, n.Values, key)
	case *ast.MappingValueNode:
		return r.mapping(n, []*ast.MappingValueNode{n}, key)
	case *ast.SequenceNode:
		out := &node{where: r.place(n), kind: list}
		for i, value := range n.Values {
			out.values = append(out.values, r.node(value, fmt.Sprintf("%s[%d]", key, i)))
		}
		return out
	case *ast.LiteralNode:
		return &node{where: r.place(n), text: n.Value.Value, quoted: true}
	case ast.ScalarNode:
		t := n.GetToken()
		quoted := t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType
		return &node{where: r.place(n), text: t.Value, quoted: quoted}
	}
	r.fault(n, key, "is a YAML %s, want plain values, lists and sections", strings.ToLower(n.Type().String()))
	return &node{where: r.place(n)}
}

func (r reader) mapping(at ast.Node, values []*ast.MappingValueNode, key string) *node {
	out := &node{where: r.place(at), kind: mapping}
	for _, value := range values {
		name := value.Key.GetToken().Value
		path := join(key, name)
		if out.get(name) != nil {
			r.fault(value.Key, path, "stands twice")
			continue
		}
		child := r.node(value.Value, path)
		child.where = r.place(value.Key)
		out.keys = append(out.keys, name)
		out.values = append(out.values, child)
	}
	return out
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// set applies one --set key=value: key is a path of sections, value is YAML.
func (r reader) set(root *node, option string) {
	where := "--set " + option
	path, text, ok := strings.Cut(option, "=")
	if !ok || path == "" {
		r.faults.add(where, "", "has no key=value")
		return
	}
	value := reader{file: where, faults: r.faults}.parse([]byte("value: " + text))
	if value == nil || value.get("value") == nil {
		return
	}
	value = value.get("value")
	value.rename(where)
	keys := strings.Split(path, ".")
	for _, key := range keys[:len(keys)-1] {
		child := root.get(key)
		if child == nil || child.kind != mapping {
			child = &node{where: where, kind: mapping}
			root.put(key, child)
		}
		root = child
	}
	root.put(keys[len(keys)-1], value)
}

// rename sets the place of a node and all below it.
func (n *node) rename(where string) {
	n.where = where
	for _, value := range n.values {
		value.rename(where)
	}
}

// put sets a mapping's value.
func (n *node) put(key string, value *node) {
	for i, k := range n.keys {
		if k == key {
			n.values[i] = value
			return
		}
	}
	n.keys, n.values = append(n.keys, key), append(n.values, value)
}
