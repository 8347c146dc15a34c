package chat

import (
	"testing"

	"github.com/profuser/profuser/schemas"
)

func TestProbe(t *testing.T) {
	for _, name := range BuiltinNames() {
		src, _ := builtin(name)
		tm, err := ParseTemplate(src, map[string]string{"bos_token": "<s>", "eos_token": "</s>"})
		if err != nil {
			t.Fatal(err)
		}
		out, err := tm.Render([]schemas.Message{{Role: "system", Content: "S"}, {Role: "user", Content: "hi"}, {Role: "assistant", Content: "yo"}, {Role: "user", Content: "more"}}, true)
		t.Logf("%s: %q %v", name, out, err)
	}
	for _, src := range []string{
		"{{ missing }}|{{ bos_token }}|{% if x is defined %}a{% endif %}",
		"{{ messages[0]['content'].strip() | trim }} {{ messages[1:]|length }} {{ messages | tojson }}",
		"{% for m in messages %}{{ loop.index0 }}{{ loop.last }}{{ loop.first }}{% if not loop.last %},{% endif %}{% endfor %}",
		"{{ raise_exception('no system') }}",
		"{{ strftime_now('%d %b %Y') }}",
		"{% if (messages[0]['role'] == 'user') != (0 % 2 == 0) %}{{ raise_exception('x') }}{% endif %}{{ 'a\\nb' }}",
		"{{ include 'x' }}", "{% include '/etc/passwd' %}",
		"line\n    {% if true %}\n  x\n    {% endif %}\ny\n",
	} {
		tm, err := ParseTemplate(src, map[string]string{"bos_token": "<s>"})
		if err != nil {
			t.Log(src, err)
			continue
		}
		out, err := tm.Render([]schemas.Message{{Role: "user", Content: " hi'<é "}, {Role: "assistant", Content: "yo"}}, true)
		t.Logf("%s: %q %v", src, out, err)
	}
}
