package recipe

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/profuser/profuser/trainer/merge"
)

// settings are a map `parameters`, read: for each name the first rule whose filter fits a tensor's name counts.
type settings map[string][]rule

// rule is a value with its filter: a scalar, or a gradient over layers.
type rule struct {
	filter string // "" fits everything
	points []float64
}

// settings reads a map of parameters. Names that no method has are refused; those that only others have become notes.
func (r *Recipe) settings(key string, m map[string]any) (settings, error) {
	out := settings{}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		p, ok := r.Method.Parameter(name)
		if !ok {
			if !merge.Known(name) {
				return nil, fmt.Errorf("%s.%s is not a parameter of %s, nor of any other method", key, name, r.Method.Name)
			}
			r.Notes = append(r.Notes, fmt.Sprintf("%s.%s has no effect: %s has no such parameter", key, name, r.Method.Name))
			continue
		}
		if name == "int8_mask" {
			r.Notes = append(r.Notes, key+".int8_mask has no effect: masks take no memory here")
		}
		rules, err := parseRules(p, m[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		out[name] = rules
	}
	return out, nil
}

// parseRules reads a setting: a scalar, a list of scalars (a gradient), a map {filter, value} or a list of such maps.
func parseRules(p merge.Parameter, v any) ([]rule, error) {
	list, ok := v.([]any)
	if m, isMap := v.(map[string]any); isMap {
		list, ok = []any{m}, true
	}
	if ok && len(list) == 0 {
		return nil, nil // mergekit: as if it were not set
	}
	if ok && slices.ContainsFunc(list, func(e any) bool { _, isMap := e.(map[string]any); return isMap }) {
		var rules []rule
		for _, e := range list {
			m, isMap := e.(map[string]any)
			if !isMap {
				return nil, fmt.Errorf("%s mixes values and {filter, value}: %v", p.Name, e)
			}
			for k := range m {
				if k != "filter" && k != "value" {
					return nil, fmt.Errorf("%s: key %q is not supported, want filter and value", p.Name, k)
				}
			}
			filter, isText := m["filter"].(string)
			if !isText && m["filter"] != nil {
				return nil, fmt.Errorf("%s: filter is %v, want a part of a tensor's name", p.Name, m["filter"])
			}
			if filter == "*" {
				filter = ""
			}
			if m["value"] == nil {
				return nil, fmt.Errorf("%s: a filter %q has no value", p.Name, filter)
			}
			points, err := parsePoints(p, m["value"])
			if err != nil {
				return nil, err
			}
			rules = append(rules, rule{filter, points})
		}
		return rules, nil
	}
	points, err := parsePoints(p, v)
	return []rule{{points: points}}, err
}

// parsePoints reads a scalar or a list of them.
func parsePoints(p merge.Parameter, v any) ([]float64, error) {
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var points []float64
	for _, e := range list {
		switch e.(type) {
		case map[string]any, []any, nil:
			return nil, fmt.Errorf("%s is %v, want a value, a list of values, or a list of {filter, value}", p.Name, v)
		}
		x, err := p.Parse(e)
		if err != nil {
			return nil, err
		}
		points = append(points, x)
	}
	return points, nil
}

// at is the setting of a parameter for a tensor; none where no filter fits.
func (s settings) at(p merge.Parameter, tensor string, t float64) (float64, bool) {
	for _, r := range s[p.Name] {
		if !strings.Contains(tensor, r.filter) {
			continue
		}
		if len(r.points) == 0 {
			return 0, false
		}
		last := len(r.points) - 1
		scaled := t * float64(last)
		i := min(last, int(scaled))
		if p.Kind != merge.Number {
			return r.points[i], true
		}
		next, part := min(last, i+1), scaled-float64(i)
		return (1-part)*r.points[i] + part*r.points[next], true
	}
	return 0, false
}

// Resolve gives the values of all parameters for one tensor: those that inputs share, by the merged tensor's name, and each
// input's own, by the name of its tensor. The nearest setting counts: the source's, the slice's, then the file's; a filter
// that does not fit passes on to the next. t is the place of the tensor's layer in its slice, 0 for the first and 1 for
// the last; tensors outside of layers have 0. Between the points of a gradient values are interpolated.
func (r *Recipe) Resolve(slice int, name string, inputs []string, t float64) (shared merge.Settings, own []merge.Settings, err error) {
	s := r.Slices[slice]
	shared, own = merge.Settings{}, make([]merge.Settings, len(inputs))
	for i := range own {
		own[i] = merge.Settings{}
	}
	for _, p := range r.Method.Parameters {
		if p.Scope == merge.Shared {
			if shared[p.Name], err = resolve(p, name, t, s.shared, r.shared); err != nil {
				return nil, nil, err
			}
			continue
		}
		for i, in := range inputs {
			if p.Scope == merge.Others && i == s.BaseInput() {
				continue
			}
			if own[i][p.Name], err = resolve(p, in, t, s.Sources[i].own, s.shared, r.shared); err != nil {
				return nil, nil, fmt.Errorf("model %s: %w", r.Models[s.Sources[i].Model], err)
			}
		}
	}
	return shared, own, nil
}

// resolve finds a parameter's value in maps, the nearest first.
func resolve(p merge.Parameter, tensor string, t float64, from ...settings) (float64, error) {
	for _, s := range from {
		if v, ok := s.at(p, tensor, t); ok {
			return v, nil
		}
	}
	if p.Required {
		return 0, fmt.Errorf("parameter %s is missing for tensor %s: it has no default", p.Name, tensor)
	}
	return p.Default, nil
}
