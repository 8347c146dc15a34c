package merge

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Scope says whose value a parameter is.
type Scope int

// Scopes of parameters.
const (
	// Shared: one value a tensor.
	Shared Scope = iota
	// Others: a value for each input besides the base.
	Others
	// Every: a value for each input, the base too.
	Every
)

// Kind is the type of a parameter's value.
type Kind int

// Kinds of parameters.
const (
	// Number is interpolated between the points of a gradient.
	Number Kind = iota
	// Bool takes the point of a gradient before.
	Bool
	// Choice is one of a few words.
	Choice
)

// Parameter is something that a method lets a user set.
type Parameter struct {
	// Name is the key below parameters.
	Name string
	// Meaning says what it does, with its range.
	Meaning string
	// Scope says whether inputs have values of their own.
	Scope Scope
	// Kind is the value's type.
	Kind Kind
	// Choices are the words of a Choice; booleans are read as the words "true" and "false" where those are choices.
	Choices []string
	// Default is the value without a setting, unless Required.
	Default float64
	// Required says that there is no default.
	Required bool
}

// Parse reads a value as YAML gave it.
func (p Parameter) Parse(v any) (float64, error) {
	switch p.Kind {
	case Bool:
		switch word(v) {
		case "true", "yes", "on", "1":
			return 1, nil
		case "false", "no", "off", "0":
			return 0, nil
		}
		return 0, fmt.Errorf("%s is %v, want true or false", p.Name, v)
	case Choice:
		if i := slices.Index(p.Choices, word(v)); i >= 0 {
			return float64(i), nil
		}
		return 0, fmt.Errorf("%s is %v, want one of %s", p.Name, v, strings.Join(p.Choices, ", "))
	}
	x, err := strconv.ParseFloat(word(v), 64)
	if err != nil || math.IsNaN(x) || math.IsInf(x, 0) {
		return 0, fmt.Errorf("%s is %v, want a number", p.Name, v)
	}
	return x, nil
}

// word is a scalar as text, in lower case.
func word(v any) string { return strings.ToLower(strings.TrimSpace(fmt.Sprint(v))) }

// Words of the choices.
var (
	rescaleWords   = []string{"false", "true", "l1", "inverse_density"}
	consensusWords = []string{"sum", "count"}
)

// Parameters that several methods have.
var (
	weightOfEvery = Parameter{Name: "weight", Meaning: "share of a model", Scope: Every, Required: true}
	weight        = Parameter{Name: "weight", Meaning: "factor of a model's difference from the base", Scope: Others, Required: true}
	density       = Parameter{Name: "density", Meaning: "share of the differences that is kept, above 0; from 1 on all", Scope: Others, Default: 1}
	lambda        = Parameter{Name: "lambda", Meaning: "factor of the merged difference", Default: 1}
	int8Mask      = Parameter{Name: "int8_mask", Meaning: "read and without effect: masks take no memory here", Kind: Bool}
	consensus     = Parameter{Name: "consensus_method", Meaning: "what elects a sign: the sum of the weighted differences, or the count of their signs", Kind: Choice, Choices: consensusWords}
)

func normalize(byDefault float64) Parameter {
	return Parameter{Name: "normalize", Meaning: "divide by the sum of the weights that take part", Kind: Bool, Default: byDefault}
}

func rescale(byDefault float64) Parameter {
	return Parameter{
		Name: "rescale", Kind: Choice, Choices: rescaleWords, Default: byDefault,
		Meaning: "after dropping differences: l1 (or true) scales the kept ones to the sum of magnitudes before, inverse_density divides them by density",
	}
}
