package jinja

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nikolalohinski/gonja/v2/builtins"
	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/parser"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// generation is the statement that marks what the model writes; it only writes its body.
type generation struct {
	location *tokens.Token
	body     *nodes.Wrapper
}

// Position is where the statement begins.
func (g *generation) Position() *tokens.Token { return g.location }

// String names the statement in errors.
func (g *generation) String() string { return fmt.Sprintf("generation (line %d)", g.location.Line) }

// Execute writes the body.
func (g *generation) Execute(r *exec.Renderer, _ *nodes.ControlStructureBlock) error {
	return r.ExecuteWrapper(g.body)
}

func parseGeneration(p, args *parser.Parser) (nodes.ControlStructure, error) {
	location := p.Current()
	if !args.End() {
		return nil, args.Error("generation takes no arguments", args.Current())
	}
	body, _, err := p.WrapUntil("endgeneration")
	return &generation{location, body}, err
}

// boundedMacro is gonja's macro, which may not call itself without end: that would end the process.
type boundedMacro struct {
	nodes.ControlStructure
	name string
}

// depthName is where a rendering counts the calls that are under way; no template can name it.
const depthName = "macro depth"

// maxCalls bounds macros that call one another.
const maxCalls = 200

// Execute defines the macro.
func (m *boundedMacro) Execute(r *exec.Renderer, tag *nodes.ControlStructureBlock) error {
	inner, ok := m.ControlStructure.(exec.ControlStructure)
	if !ok {
		return errors.New("macro cannot be executed")
	}
	if err := inner.Execute(r, tag); err != nil {
		return err
	}
	defined, _ := r.Environment.Context.Get(m.name)
	macro, ok := defined.(exec.Macro)
	if !ok {
		return fmt.Errorf("macro %s is not callable", m.name)
	}
	counter, _ := r.Environment.Context.Get(depthName)
	depth, ok := counter.(*int)
	if !ok {
		return errors.New("the rendering counts no calls")
	}
	r.Environment.Context.Set(m.name, exec.Macro(func(params *exec.VarArgs) *exec.Value {
		if *depth >= maxCalls {
			return exec.AsValue(fmt.Errorf("macro %s: calls are nested deeper than %d", m.name, maxCalls))
		}
		*depth++
		defer func() { *depth-- }()
		return macro(params)
	}))
	return nil
}

func parseMacro(p, args *parser.Parser) (nodes.ControlStructure, error) {
	parse, ok := builtins.ControlStructures.Get("macro")
	if !ok {
		return nil, errors.New("gonja has no macro")
	}
	name := args.Current().Val
	macro, err := parse(p, args)
	return &boundedMacro{macro, name}, err
}

// maxRange is how many numbers a range may have, as in Jinja2's sandbox.
const maxRange = 100_000

// rangeFunction is Python's range.
func rangeFunction(_ *exec.Evaluator, params *exec.VarArgs) ([]int, error) {
	start, stop, step := 0, 0, 1
	for _, arg := range params.Args {
		if !arg.IsInteger() {
			return nil, fmt.Errorf("range takes integers, not %s", arg.String())
		}
	}
	switch args := params.Args; len(args) {
	case 3:
		start, stop, step = args[0].Integer(), args[1].Integer(), args[2].Integer()
	case 2:
		start, stop = args[0].Integer(), args[1].Integer()
	case 1:
		stop = args[0].Integer()
	default:
		return nil, fmt.Errorf("range takes 1 to 3 arguments, not %d", len(args))
	}
	if step == 0 {
		return nil, errors.New("range: the step is 0")
	}
	numbers := []int{}
	for i := start; step > 0 && i < stop || step < 0 && i > stop; i += step {
		if len(numbers) == maxRange {
			return nil, fmt.Errorf("range has more than %d numbers", maxRange)
		}
		numbers = append(numbers, i)
	}
	return numbers, nil
}

// dictFunction makes a dict of keyword arguments, sorted: gonja does not tell their order.
func dictFunction(_ *exec.Evaluator, params *exec.VarArgs) any {
	var fields []Field
	for _, key := range slices.Sorted(maps.Keys(params.KwArgs)) {
		fields = append(fields, Field{key, params.KwArgs[key].Interface()})
	}
	return Object(fields...)
}
