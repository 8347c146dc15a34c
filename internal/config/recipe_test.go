package config

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

const recipe = "../../data/recipes/profuser-7b.yaml"

// originated is a line of the recipe with a value, and a comment that begins with the value's origin.
var originated = regexp.MustCompile(`^\s*(- )?[a-z_]+: \S.* # (paper|spec|FuseLLM|model|ours)(:|;|$)`)

// TestRecipe: the recipe loads strictly, but for the files that it names, its settings are those that it is there for, and
// every value says where it is from.
func TestRecipe(t *testing.T) {
	data, err := os.ReadFile(recipe)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parse(recipe, data, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if c.Curriculum.Kind != "progressive" || len(c.Reward.Models) != 3 || len(c.Competitors()) != 3 || !c.Trainer.KeepEpochs {
		t.Errorf("the recipe is of another method: %+v", c.Curriculum)
	}
	for i, line := range strings.Split(strings.TrimSuffix(string(data), "\n"), "\n") {
		code, _, _ := strings.Cut(line, "#")
		if code = strings.TrimSpace(code); code == "" || strings.HasSuffix(code, ":") {
			continue // a comment, or the head of a section
		}
		if !originated.MatchString(line) {
			t.Errorf("%s:%d: %q has no origin: want a comment that begins with paper, spec, FuseLLM, model or ours", recipe, i+1, line)
		}
	}
	for _, bad := range []string{"  beta: 0.1", "  beta: 0.1 # somewhere", "- name: x  # paperback"} {
		if originated.MatchString(bad) {
			t.Errorf("%q counts as a line with an origin", bad)
		}
	}
}
