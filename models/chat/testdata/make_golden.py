"""Renders conversations by transformers' own chat template code: what golden_test.go compares with.

    python3 -m venv VENV && VENV/bin/pip install transformers jinja2
    VENV/bin/python models/chat/testdata/make_golden.py

Reads templates.json (name: special tokens) and templates/NAME.jinja beside this file, writes golden.jsonl and
snippets.jsonl. A row has a text, or an error: the message given to raise_exception, "" for any other fault. The clock that
strftime_now reads stands still at the day that Go's does.
"""

import datetime
import itertools
import json
import pathlib

import jinja2
import jinja2.exceptions
import transformers.utils.chat_template_utils as reference

HERE = pathlib.Path(__file__).parent


class Still(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


reference.datetime = Still


def turns(*contents, system=None):
    messages = [] if system is None else [{"role": "system", "content": system}]
    for role, content in zip(itertools.cycle(["user", "assistant"]), contents):
        messages.append({"role": role, "content": content})
    return messages


def message(role, content):
    return {"role": role, "content": content}


SPECIALS = "</s> <s> <|im_end|>\n<|im_start|>system\nNo.<|eot_id|><|end|><end_of_turn> [/INST] <|endoftext|>"

CONVERSATIONS = [
    turns("What is 6 times 7?"),
    turns("Hi", "Hello!"),
    turns("Hi", "Hello!", "How are you?"),
    turns("a", "b", "c", "d", "e"),
    turns("Hi", system="Be brief."),
    turns("Hi", "Yo", "Again", system="Be brief."),
    turns("Hi", "Yo", system="Be brief."),
    turns("  \n Hi \t\n", " \n Hello \n", "\n\nMore  ", system="  Be brief.\n\n"),
    turns("\u00a0\u3000Hi\u2003\u0085", "\x1c\x1fHello\u2028\x0b\x0c", "\u200bx\ufeff", system="\u00a0S\u00a0"),
    turns("日本語 🙂 e\u0301 ﷽ 👩‍👩‍👧", "Ünïcödé", "𝔘"),
    turns("It's \"quoted\" 'single' \\ back\\n {{ bos_token }} {% if %} {# no #} <b>&amp;</b>", "O'Neil said \"{{ x }}\"", "`x`"),
    turns("line\nline\r\nline\rline\n", "- a\n- b\n\n```go\nx := 1\n```\n", "\n"),
    turns(SPECIALS, SPECIALS, "go on " + SPECIALS, system=SPECIALS),
    turns("</s>", "<|im_end|>"),
    turns("", "", ""),
    turns(" ", "\n", "x", system=""),
    turns("x", "<think>\nhm\n</think>\n\nAnswer.", "y", "<think>\n\n</think>\n\nB"),
    turns("<tool_response>x</tool_response>", "ok"),
    turns("x" * 300 + " end", "y" * 300),
    [message("system", "only a system text")],
    [message("user", "a"), message("user", "b")],
    [message("assistant", "a"), message("user", "b")],
    [message("user", "a"), message("system", "b"), message("user", "c")],
    [message("system", "a"), message("system", "b"), message("user", "c")],
    [message("system", "a"), message("assistant", "b")],
    [message("tool", "a")],
    [message("user", "a"), message("critic", "b")],
    [],
]

# Jinja as templates use it, one feature each; M is the conversation that they see.
M = turns(" Hi <there> 'q' \"é\" ", "Yo\nYo", "Bye", system="Sys")

SNIPPETS = r"""
{{ missing }}|{{ bos_token }}|{{ pad_token is defined }}|{{ missing is none }}|{{ none is defined }}|{{ tools is none }}|{{ tools is defined }}
{{ none }}|{{ true }}|{{ false }}|{{ 1.0 }}|{{ 1 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 / 2 }}|{{ -7 % 3 }}|{{ 2 ** 3 }}|{{ 1e3 }}
{{ ['a', 1, none, true, "it's", 'say "x"', 'both \' and "', 'n\n'] }}|{{ {'k': 'v', 'n': none} }}|{{ ('a', 1) }}|{{ ('a',) }}|{{ [] }}
{{ not 1 }}|{{ not 0 }}|{{ not 1.5 }}|{{ not '' }}|{{ not missing }}|{{ not none }}|{{ not [] }}|{{ not {} }}
{{ 'x' ~ 1 ~ none ~ true ~ missing }}|{{ 'a' * 3 }}|{{ [1] + [2] }}|{{ 'a' + 'b' }}
{{ 1 == 1.0 }}|{{ '1' == 1 }}|{{ none == false }}|{{ missing == none }}|{{ true == 1 }}|{{ [1] == [1] }}|{{ {'a': 1} == {'a': 1} }}|{{ 'a' != 'b' }}
{{ 'a' < 'b' }}|{{ 2 < 10 }}|{{ 1 <= 1 }}|{{ 3 > 2 > 1 }}|{{ 1 < 3 < 2 }}
{{ 'a' in 'abc' }}|{{ 'a' not in ['b'] }}|{{ 'role' in messages[0] }}|{{ 'x' in messages[0] }}|{{ 1 in [1.0] }}
{{ messages[0].role }}|{{ messages[-1]['content'] }}|{{ messages[1:3] | length }}|{{ messages[::-1][0].content }}|{{ 'hello'[1:-1] }}|{{ 'hello'[::-1] }}|{{ 'hello'[-1] }}|{{ 'x'[5:] }}|{{ messages[:-1]|length }}
{{ messages[9] is defined }}|{{ messages[0].nope is defined }}|{{ messages[0]['nope'] }}|{{ messages[0].nope.deeper is defined }}
{{ messages[0].nope.deeper }}
{{ messages[9].role }}
{{ missing.x }}
{{ missing() }}
{{ 'a' + 1 }}
{{ 'a' + none }}
{{ 'a' + missing }}
{{ 1 + missing }}
{{ nofilter | nothing }}
{{ 1 is nothing }}
{{ messages | tojson }}
{{ messages | tojson(indent=2) }}|{{ [] | tojson(indent=2) }}|{{ {} | tojson(indent=4) }}
{{ {'b': 1, 'a': [1.5, true, none, 'é\u2028\n"\\/\x7f'], 'c': {}} | tojson }}|{{ 'x<y>&\'' | tojson }}|{{ 1e100 | tojson }}|{{ 1.0 | tojson }}
{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}|{{ {'a': [1, 2]} | tojson(separators=(',', ':')) }}|{{ 'é🙂' | tojson(ensure_ascii=true) }}
{{ strftime_now('%d %b %Y') }}|{{ strftime_now('%Y-%m-%d %H:%M:%S %A %a %B %j %p %I %y %%') }}
{{ raise_exception('told so: ' + messages[0].role) }}
{% if messages[0].role == 'user' %}{{ raise_exception('no') }}{% else %}fine{% endif %}
{% set ns = namespace(n=0, found=false) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% if m.role == 'assistant' %}{% set ns.found = true %}{% endif %}{% endfor %}{{ ns.n }} {{ ns.found }} {{ ns.nope is defined }}
{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{% endfor %}{{ x }}
{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}
{% for m in messages %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem.role }}{{ loop.nextitem.role }}{{ loop.cycle('a', 'b') }};{% endfor %}
{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }}{% if not loop.last %},{% endif %}{% else %}none{% endfor %}
{% for m in [] %}x{% else %}empty{% endfor %}|{% for m in missing %}x{% else %}empty{% endfor %}
{% for m in messages %}{% if loop.index == 2 %}{% continue %}{% endif %}{% if loop.index == 4 %}{% break %}{% endif %}{{ m.role }}{% endfor %}
{% for k, v in {'b': 1, 'a': 2}.items() %}{{ k }}={{ v }};{% endfor %}|{% for k in {'b': 1, 'a': 2} %}{{ k }}{% endfor %}|{% for k, v in {'z': 1, 'y': 2} | items %}{{ k }}{{ v }}{% endfor %}|{{ {'b': 1, 'a': 2}.keys() | list }}|{{ {'b': 1}.values() | list }}|{{ {'b': 1, 'a': 2} | dictsort }}
{% for i in range(3) %}{{ i }}{% endfor %}|{{ range(1, 10, 3) | list }}|{{ range(5, 0, -2) | list }}
{% for a, b in [(1, 2), [3, 4]] %}{{ a }}{{ b }}{% endfor %}|{% for c in 'abc' %}{{ c }}.{% endfor %}
{{ ' a b '.strip() }}|{{ 'xxaxx'.strip('x') }}|{{ ' a '.lstrip() }}|{{ ' a '.rstrip() }}|{{ 'aXb'.lower() }}|{{ 'aXb'.upper() }}|{{ 'a b'.title() }}|{{ 'a b'.capitalize() }}
{{ 'a,b,,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a,b,c'.split(',', 1) }}|{{ 'a</t>b</t>c'.split('</t>')[-1] }}|{{ 'a\nb\n'.splitlines() }}|{{ 'a-b-c'.rsplit('-', 1) }}|{{ 'a=b=c'.partition('=') }}
{{ 'abc'.startswith('ab') }}|{{ 'abc'.endswith('bc') }}|{{ 'abc'.startswith(('x', 'a')) }}|{{ 'aXbX'.replace('X', '-') }}|{{ 'aXbX'.replace('X', '-', 1) }}|{{ 'abcabc'.find('c') }}|{{ 'abc'.find('z') }}|{{ 'abcabc'.count('bc') }}|{{ '-'.join(['a', 'b']) }}|{{ 'a1'.isdigit() }}|{{ '12'.isdigit() }}
{{ ' a ' | trim }}|{{ 'xax' | trim('x') }}|{{ 'AbC' | lower }}|{{ 'AbC' | upper }}|{{ 'hello world' | title }}|{{ 'hello World' | capitalize }}|{{ 'abc' | length }}|{{ 'é🙂' | length }}|{{ 'abc' | first }}|{{ [1, 2] | last }}|{{ 'abc' | reverse }}|{{ [1, 2] | reverse | list }}
{{ ['a', 'b'] | join(', ') }}|{{ [1, none, 'x'] | join('-') }}|{{ messages | map(attribute='role') | join(',') }}|{{ ['a', 'B'] | map('upper') | list }}|{{ messages | selectattr('role', 'equalto', 'user') | list | length }}|{{ messages | rejectattr('role', '==', 'user') | map(attribute='role') | list }}|{{ messages | selectattr('nope') | list }}|{{ messages | selectattr('role', 'in', ['user', 'system']) | list | length }}|{{ messages | selectattr('nope', 'defined') | list | length }}
{{ [3, 1, 2] | sort }}|{{ ['b', 'A'] | sort }}|{{ [1, 2, 3] | sum }}|{{ [1, 1, 2] | unique | list }}|{{ [1, 2, 3] | select('odd') | list }}|{{ [1, 2, 3] | reject('odd') | list }}|{{ [3, 1] | max }}|{{ [3, 1] | min }}|{{ [1, 2, 3] | batch(2) | list }}|{{ 'a' | list }}
{{ missing | default('d') }}|{{ '' | default('d') }}|{{ '' | default('d', true) }}|{{ none | default('d') }}|{{ none | default('d', true) }}|{{ 0 | default(1) }}
{{ 5 | string + 'x' }}|{{ '5' | int + 1 }}|{{ 'x' | int }}|{{ 'x' | int(-1) }}|{{ '1.5' | float }}|{{ none | string }}|{{ true | string }}|{{ [1] | string }}|{{ 3.7 | int }}|{{ -5 | abs }}|{{ 2.5 | round }}|{{ 'a b' | replace(' ', '_') }}|{{ '<a>' | escape }}|{{ '<a>' | e }}|{{ '<a>' | safe }}
{{ 'a\nb' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a b c' | wordcount }}|{{ 'hello' | truncate(4) }}|{{ '%s-%d' | format('a', 3) }}|{{ '%s' % 'x' }}|{{ '{} {}'.format(1, 'b') }}
{{ 'a' is string }}|{{ 1 is string }}|{{ 1 is number }}|{{ true is number }}|{{ true is boolean }}|{{ 1 is boolean }}|{{ [] is iterable }}|{{ 'a' is iterable }}|{{ 1 is iterable }}|{{ none is iterable }}|{{ {} is mapping }}|{{ [] is mapping }}|{{ [] is sequence }}|{{ 'a' is sequence }}|{{ {} is sequence }}|{{ 1 is integer }}|{{ true is integer }}|{{ 1.5 is float }}|{{ 2 is even }}|{{ 3 is odd }}|{{ 6 is divisibleby 3 }}|{{ 6 is divisibleby(4) }}
{{ true is true }}|{{ 1 is true }}|{{ 'x' is true }}|{{ false is false }}|{{ 0 is false }}|{{ none is false }}|{{ missing is false }}|{{ missing is undefined }}|{{ 1 is eq 1 }}|{{ 2 is gt 1 }}|{{ 'a' is in ['a'] }}|{{ none is not none }}|{{ 'A' is upper }}|{{ 'a' is lower }}|{{ raise_exception is callable }}|{{ none is sameas none }}
{{ 'yes' if true else 'no' }}|{{ 'yes' if missing else 'no' }}|{{ 'yes' if false }}|{{ ('a' if false else 'b') + 'c' }}|{{ 'x' if 1 > 2 else 'y' if 1 > 3 else 'z' }}
{{ '' or 'b' }}|{{ 'a' and 'b' }}|{{ none or [] }}|{{ missing or 'd' }}|{{ 0 and missing.x }}|{{ not (true and false) or false }}|{{ 1 if 'a' and not 'b' else 2 }}
{% macro say(m, end='.') %}<{{ m.role }}{{ end }}>{% endmacro %}{{ say(messages[0]) }}{{ say(messages[1], '!') }}{{ say(messages[1], end='?') }}
{%- macro outer(x) -%}{%- if x > 0 -%}{{ x }}{{ outer(x - 1) }}{%- endif -%}{%- endmacro -%}{{ outer(3) }}
{% macro endless(x) %}{{ endless(x) }}{% endmacro %}{{ endless(1) }}
{{ range(200000) | length }}
{% set block %}a {{ messages[0].role }} b{% endset %}{{ block | upper }}|{{ block is string }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}
{% set x = messages | length > 2 and 'many' or 'few' %}{{ x }}
{% with y = 5 %}{{ y }}{% endwith %}{{ y is defined }}
{% filter upper %}abc {{ messages[0].role }}{% endfilter %}
{% raw %}{{ not }} {% this %}{% endraw %}
a{# comment #}b{#- trimmed -#} c
{% set messages = messages[1:] %}{{ messages[0].role }}
{% for m in messages %}{% set messages = [] %}{{ messages | length }}{% endfor %}{{ messages | length }}
{% if messages and messages[0] and messages[0]['role'] is defined and messages[0].role != 'x' %}ok{% endif %}
{% if messages | length is gt 3 %}many{% endif %}|{% if not messages[0].content is none %}c{% endif %}|{% if messages[0].role not in ['a'] %}d{% endif %}
{% generation %}{{ messages[1].content }}{% endgeneration %}|{%- generation -%} x {%- endgeneration -%}
{{ {'a': {'b': [1, {'c': 'deep'}]}}.a.b[1].c }}|{{ {'a': 1}.get('a') }}|{{ {'a': 1}.get('z') }}|{{ {'a': 1}.get('z', 'd') }}|{{ messages[0].get('role') }}|{{ {'items': 3}['items'] }}|{{ {'a': 1}['a'] }}
{{ dict(a=1, b='x') }}|{{ dict(a=1).b is defined }}
{{ "tab\t" }}|{{ 'nl\n' }}|{{ "\u00e9\x41" }}|{{ 'a\\b' }}|{{ "it's" }}|{{ 'say "x"' }}|{{ 'adj' 'acent' }}
{{ messages[0].content | length > 2 }}|{{ (messages | length) - 1 }}|{{ messages|length - 1 }}|{{ -messages|length }}
{{ messages[messages | length - 1].content }}|{{ messages[loop_index | default(0)].role }}|{{ (messages | last).content }}|{{ messages[0]['con' ~ 'tent'] }}
{{- ' x ' -}}   y   {{- 'z' }}  
{{ 1 }}{{ messages[0].append('x') }}
{{ messages.append('x') }}
{{ [1, 2].index(2) }}|{{ [1, 1].count(1) }}|{{ (1, 2) | length }}|{{ 10 | string | length }}
{{ None }}|{{ None is none }}|{{ messages is not None }}|{{ {'None': 1}.None }}
{{ cycler('a', 'b').next() }}|{% set j = joiner(',') %}{{ j() }}{{ j() }}
{{ messages.__class__ }}
{{ ''.__class__.__mro__ }}
{% include 'x' %}
{% import 'x' as y %}
{% extends 'x' %}
{% if %}
{% for x in %}{% endfor %}
{{ unclosed
{% if true %}never ended
{% endif %}
{% nonsense %}
{{ 1 +* 2 }}
"""

# White space control, where a line feed must be inside the template.
LINES = [
    "line\n    {% if true %}\n  x\n    {% endif %}\ny\n",
    "a\n  {%- if true %}\n  b\n  {%- endif %}\nc\n\n",
    "a\n  {% if true -%}\n  b\n  {% endif -%}\n  c\n",
    "{% for m in messages %}\n{{ m.role }}\n{% endfor %}\n",
    "{% for m in messages %}\n    {{ m.role }}\n    {#- note #}\n    {# note #}\n{% endfor %}\nend",
    "  {{ 'x' }}\n  {{- 'y' -}}\n  z",
    "a {% if true %} b {% endif %} c",
    "a {%+ if true %} b {%+ endif %} c\n{% if true +%}\nd\n{% endif %}\n",
    "   {%+ if true %}x{% endif %}\n",
    "{% set x %}\n  a\n{% endset %}\n[{{ x }}]",
    "{% if true %}\r\nx\r\n{% endif %}\r\ny\r\n",
    "{# first #}\n{# second #}\ntext\n{#- third -#}\n",
    "{%- for m in messages %}\n\t{{- m.role }}\t{{ '' -}}\n{%- endfor %}\n\n\n",
    "{{ 'a' }}\n",
    "{{ 'a' }}\n\n",
    "\n{{ 'a' }}",
    "{% if true %}{{ 'a' }}\n{% endif %}\n{{ 'b' }}",
    "{% macro m() %}\n  x\n{% endmacro %}\n{{ m() }}",
    "{%\n  set x = [\n    'a',\n    'b',\n  ]\n%}\n{{ x\n  | join('\n') }}",
    "{% if true %}\n\n  a\n\n{% endif %}\n\nb",
    "{%- if true -%}\n\n  a\n\n{%- endif -%}\n\nb",
    "<|x|>\n{%- if messages[0]['role'] == 'system' %}\n{{ messages[0]['content'] }}\n{% else %}\nno\n{% endif %}",
]


def outcome(template, messages, generation_prompt, tokens):
    try:
        texts = reference.render_jinja_template(
            conversations=[reference._normalize_chat_messages(messages)],
            chat_template=template,
            add_generation_prompt=generation_prompt,
            **tokens,
        )
        return {"text": texts[0][0]}
    except jinja2.exceptions.TemplateSyntaxError:
        return {"error": ""}
    except jinja2.exceptions.TemplateError as e:
        return {"error": str(e) if type(e) is jinja2.exceptions.TemplateError else ""}
    except Exception:
        return {"error": ""}


def write(name, rows):
    with open(HERE / name, "w", encoding="utf-8", newline="\n") as f:
        for row in rows:
            f.write(json.dumps(row, ensure_ascii=False) + "\n")


templates = json.loads((HERE / "templates.json").read_text(encoding="utf-8"))
(HERE / "conversations.json").write_text(
    "[\n" + ",\n".join(json.dumps(c, ensure_ascii=False) for c in CONVERSATIONS) + "\n]\n", encoding="utf-8"
)
rows = []
for name, tokens in templates.items():
    source = (HERE / tokens.get("file", f"templates/{name}.jinja")).read_bytes().decode("utf-8")
    tokens = {k: v for k, v in tokens.items() if k.endswith("_token")}
    for i, messages in enumerate(CONVERSATIONS):
        for prompt in (False, True):
            rows.append({"template": name, "conversation": i, "generation_prompt": prompt, **outcome(source, messages, prompt, tokens)})
write("golden.jsonl", rows)

sources = []
for line in filter(None, SNIPPETS.split("\n")):
    parts = [line] if "{%" in line else line.split("}}|{{")  # expressions of one line stand alone
    sources += [("{{" if i > 0 else "") + p + ("}}" if i + 1 < len(parts) else "") for i, p in enumerate(parts)]
write("snippets.jsonl", [{"messages": M}] + [{"source": s, **outcome(s, M, True, {"bos_token": "<s>", "eos_token": "</s>"})} for s in sources + LINES])
