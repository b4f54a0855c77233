"""Conversations and templates whose renderings tests compare with jinja2's (see make_chat_expectations.py)."""

CONVERSATIONS = {
    "single": [{"role": "user", "content": "Hello"}],
    "single with system": [{"role": "system", "content": "You are terse."}, {"role": "user", "content": "Hello"}],
    "multi": [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hi there."},
        {"role": "user", "content": "  What is 2 + 2?  \n"},
    ],
    "multi with system": [
        {"role": "system", "content": "You are \"terse\".\n\nVery."},
        {"role": "user", "content": "Grüße, 世界 🌍!"},
        {"role": "assistant", "content": " Hallo.\n"},
        {"role": "user", "content": "<|im_end|> {{ messages }} {% raw %}"},
        {"role": "assistant", "content": "4"},
    ],
    "ends with assistant": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
    "empty contents": [{"role": "user", "content": ""}, {"role": "assistant", "content": ""}],
    "wrong order": [{"role": "assistant", "content": "I begin."}, {"role": "user", "content": "No."}],
    "two users": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}],
    "only system": [{"role": "system", "content": "Alone."}],
    "nothing": [],
    "tool call": [
        {"role": "user", "content": "Weather in Zürich?"},
        {"role": "assistant", "content": "", "tool_calls": [
            {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Zürich", "days": 2,
                                                                                    "exact": True, "unit": None}}}]},
        {"role": "tool", "name": "get_weather", "content": "{\"t\": 21.5}"},
        {"role": "tool", "name": "get_weather", "content": "{\"t\": 19}"},
        {"role": "assistant", "content": "21.5 degrees."},
    ],
}

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a city, <now> & later: 'ü'",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "Name of the city"},
            "days": {"type": "integer", "default": 1},
            "unit": {"type": "string", "enum": ["C", "F"]}}, "required": ["city"]}}},
    {"type": "function", "function": {"name": "stop", "description": "Ends it", "parameters": {}}},
]

# In the manner of templates that models come with.
MODEL_TEMPLATES = {
    "tools beside the first question": """{%- set place = place if place is defined else "question" -%}
{%- set today = day if day is defined else (strftime_now("%A, %d %b %Y") if strftime_now is defined else "some day") -%}
{%- set offered = tools if tools is defined and tools is not none else [] -%}
{#- Rules come first, with the date, whoever wrote them. #}
{%- if messages and messages[0].role == "system" %}
  {%- set rules, rest = messages[0]["content"] | trim, messages[1:] %}
{%- else %}
  {%- set rules, rest = "", messages %}
{%- endif %}
{{- bos_token ~ "(rules)\\n" }}
{%- if extras is defined or offered %}{{ "It is " ~ today ~ ".\\n" }}{% endif %}
{%- if extras is defined %}
  {{- "Extras: " + extras | reject("equalto", "none") | join(" / ") + "\\n" }}
{%- endif %}
{%- if offered and place != "question" %}
  {%- for tool in offered %}
    {{- loop.index ~ ". " ~ tool | tojson(indent=2) ~ "\\n" }}
  {%- endfor %}
{%- endif %}
{{- rules ~ "(end)" }}
{%- if offered and place == "question" %}
  {%- if rest | length == 0 %}{{ raise_exception("Nobody asked anything.") }}{% endif %}
  {%- set question, rest = rest[0]["content"] | trim, rest[1:] %}
  {{- "(" ~ "user)\\nTools you may call:\\n" -}}
  {%- for tool in offered %}
    {{- tool | tojson(indent=4) }}
    {{- "," if not loop.last }}
    {{- "\\n" }}
  {%- endfor %}
  {{- question + "(end)" }}
{%- endif %}
{%- for turn in rest %}
  {%- if "tool_calls" in turn %}
    {%- if turn.tool_calls | length != 1 %}{{ raise_exception("A turn makes one call.") }}{% endif %}
    {%- with call = turn.tool_calls[0].function %}
      {{- "(assistant calls " ~ call.name ~ ")\\n" ~ call.arguments | tojson ~ "(end)" }}
    {%- endwith %}
  {%- elif turn.role in ("tool", "program") %}
    {{- "(result)\\n" }}
    {%- if turn.content is mapping or turn.content is iterable %}
      {{- turn.content | tojson }}
    {%- else %}
      {{- turn.content }}
    {%- endif %}
    {{- "(end)" }}
  {%- else %}
    {{- "(" + turn["role"] + ")\\n" + turn["content"] | trim + "(end)" }}
  {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ "(assistant)\\n" }}{% endif %}
""",
    "namespace and selected users": """{%- set dialog = messages[1:] if messages and messages[0]["role"] == "system" else messages %}
{%- set asked = dialog | selectattr("role", "equalto", "user") | list %}
{%- set seen = namespace() %}
{%- set seen.turns = 0 %}
{%- for turn in dialog if turn.role in ["user", "assistant"] and not turn.tool_calls %}
  {%- if (turn.role == "user") == (seen.turns % 2 == 1) %}
    {{- raise_exception("Turn " ~ (seen.turns + 1) ~ " is the other side's") }}
  {%- endif %}
  {%- set seen.turns = seen.turns + 1 %}
{%- endfor %}
{{- bos_token ~ seen.turns ~ ":" }}
{%- for turn in dialog %}
  {%- if turn["role"] == "user" %}
    {%- if tools is defined and tools is not none and turn == asked[-1] %}
      {{- "<tools>" }}
      {%- for tool in tools %}
        {%- set tool = tool.function %}
        {{- "{" }}
        {%- for key, value in tool.items() if key != "name" %}
          {{- '"' + key + '"=' }}{{ "'" + value + "'" if value is string else value | tojson }}{{ "; " if not loop.last }}
        {%- endfor %}
        {{- "} " ~ tool.name ~ ("" if loop.last else ", ") }}
      {%- endfor %}
      {{- "</tools>" }}
    {%- endif %}
    {{- "<ask>" + (messages[0]["content"] + "\\n" if loop.last and dialog | length < messages | length else "") }}
    {{- turn["content"] + "</ask>" }}
  {%- elif turn.tool_calls is defined and turn.tool_calls is not none %}
    {%- for call in turn.tool_calls %}
      {%- set text = call.function | tojson %}
      {{- text[:-1] }}
      {%- if call.id is not defined or call.id | length > 12 %}
        {{- ', "number": "' + ("%04d" % loop.index) + '"' }}
      {%- endif %}
      {{- "}" + (eos_token if loop.last else " and ") }}
    {%- endfor %}
  {%- elif turn["role"] == "assistant" %}
    {{- turn["content"] | trim ~ eos_token }}
  {%- elif turn["role"] == "tool" %}
    {%- set value = turn.content.content if turn.content.content is defined else turn.content %}
    {{- "<given>" + value | string + "</given>" }}
  {%- else %}
    {{- raise_exception("Who is " ~ turn.role ~ "?") }}
  {%- endif %}
{%- endfor %}
""",
    "macros and thinking": """{%- macro show(content, quoted=false) -%}
    {%- if content is string -%}
        {{- '"' ~ content ~ '"' if quoted else content -}}
    {%- elif content is iterable -%}
        {%- for part in content -%}{{ part.text }}{%- endfor -%}
    {%- endif -%}
{%- endmacro -%}
{%- macro properties(map) -%}
    {%- for name, spec in map | dictsort -%}
        {{- name }}:{{ spec.type | upper }}{{ ' = ' ~ spec.default if spec.default is defined }}
        {%- if spec.enum %}({% for e in spec.enum %}{{ e }}{{ '|' if not loop.last }}{% endfor %}){% endif %}
        {%- if not loop.last %}, {% endif -%}
    {%- endfor -%}
{%- endmacro -%}
{%- set ns = namespace(last_query=messages|length - 1, seen=false, roles=[]) -%}
{%- for message in messages[::-1] -%}
    {%- set index = (messages|length - 1) - loop.index0 -%}
    {%- if message.role == "user" and not ns.seen -%}
        {%- set ns.seen = true -%}
        {%- set ns.last_query = index -%}
    {%- endif -%}
    {%- set ns.roles = ns.roles + [message.role] -%}
{%- endfor -%}
roles={{ ns.roles | reverse | join(',') }} last={{ ns.last_query }}
{% for tool in tools or [] %}
- {{ tool.function.name }}({{ properties(tool.function.parameters.properties or {}) }})
{% else %}
no tools
{% endfor %}
{% for message in messages %}
    {% if message.role == 'system' %}{% continue %}{% endif %}
    {% set content = show(message.content) %}
    {% if '</think>' in content %}
        {% set content = content.split('</think>')[-1].lstrip('\\n') %}
    {% endif %}
<{{ message.role | capitalize }}>{{ content | replace('\\n', ' ') | trim }}</{{ message.role }}>
    {% for call in message.tool_calls or [] %}
call {{ call.function.name }}: {% for k, v in call.function.arguments.items() %}{{ k }}={{ show(v, quoted=true) if v is string else v | tojson }}{{ '' if loop.last else '; ' }}{% endfor %}

    {% endfor %}
{% endfor %}
{% if add_generation_prompt %}<assistant>{% endif %}
{% generation %}{{ eos_token }}{% endgeneration %}
""",
}

_COMMON = {
    "name": "World", "n": 7, "neg": -7, "zero": 0, "x": 2.5, "yes": True, "no": False, "nil": None, "empty": "",
    "text": "  Hello, Wörld!\n\tTabs 'and' \"quotes\"  ", "words": "one two  three", "digits": "42", "real": "3.75",
    "list": [3, 1, 2], "strings": ["b", "A", "c", "a"], "mixed": [1, "a", None, True, 2.0, [1], {"k": "v"}],
    "dict": {"b": 2, "a": 1, "C": 3}, "nested": {"a": {"b": {"c": "deep"}}, "items": "shadowed", "list": [1, [2, 3]]},
    "users": [{"name": "Ann", "age": 30, "admin": True, "address": {"city": "Bern"}},
              {"name": "bob", "age": 25, "admin": False, "address": {"city": "Aarau"}},
              {"name": "Cid", "age": 30, "address": {"city": "bern"}}],
    "unicode": "ÄÖÜ straße 世界 🌍 é", "lines": "a\n\nb\r\nc\n", "html": "<a href=\"x\">&'</a>",
}

CASES = [(_COMMON, [
    # Output and white space
    "{{ name }}", "a{{ name }}b", "{{- name -}}", "  {{- name -}}  x", "  {{ name }}  \n", "{{ name }}\n",
    "{{ name }}\n\n",
    "{% if yes %}a{% endif %}\nb", "  {% if yes %}\n  a\n  {% endif %}\n  b", "x  {% if yes %}\ny{% endif %}",
    "{%- if yes -%}\n  a  \n{%- endif -%}\n b", "{%+ if yes %}a{% endif %}", "   {%+ if yes %}a{% endif +%}\nb",
    "a\n   {#- c -#}   \nb", "a {# comment #}\nb", "a\n  {# comment #}\nb", "{# {{ no }} {% if %} #}x",
    "{#- c #} y",
    "a\r\nb\rc\n", "\n\n{{ name }}", "{{ name }}{% if yes %}\n\n{% endif %}\n", "{% raw %}{{ x }}{% endraw %}",
    "a\n {% raw %}\n {{ x }} {% if %}\n {% endraw %}\nb", "{%- raw -%}  {{ y }}  {%- endraw -%}  z",
    "a \n\t {%- set q = 1 -%} \n b{{ q }}", "{% set q = 1 %}\n\n{{ q }}", "{{ '}}' }}", "{{ '%}' }}",
    "{{ \"{{\" }}",
    "{{ {'a': {'b': 1}}}}", "{{ {'a': {'b': 1}}['a']['b']}}", "{{ '{#' }}{# #}", "{", "{{ '{' }}{", "%}", "}}",
    "#}",
    "a {{ 'b' }} {{ 'c' }}\n  {{ 'd' }}", "\u00a0{%- if yes %}x{% endif %}", "\u2003\n {% if yes %}x{% endif %}",
    # Literals and strings
    "{{ 'a' \"b\" 'c' }}", "{{ 'a\\n\\t\\\\\\'\\\"b' }}", "{{ \"\\x41\\u00e9\\U0001F600\\101\" }}",
    "{{ 'a\\qb' }}",
    "{{ 'multi\nline' }}", "{{ 'a\\\nb' }}", "{{ 1_000 }}", "{{ 0x1F }} {{ 0b101 }} {{ 0o17 }}",
    "{{ 1.5e3 }} {{ 1e-7 }} {{ 2.0 }}",
    "{{ 1e16 }} {{ 123456789012345.0 }} {{ 1e22 }} {{ 0.1 }} {{ 1e-5 }} {{ 0.0001 }}",
    "{{ [1, 'a', none, true, 2.5] }}",
    "{{ (1, 2) }} {{ (1,) }} {{ () }} {{ 1, 2 }}", "{{ {'a': 1, 2: 'b', none: true} }}",
    "{{ [1, 2,] }} {{ {'a': 1,} }}",
    "{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }}", "{{ 'it''s' }}",
    "{{ ['it\\'s', 'say \"x\"', 'both\\'\"'] }}",
    "{{ ['\\n\\t\\x00\\x7f\\u200b\\u00a0é🌍\\u2028'] }}", "{{ {'a': 1, 'a': 2} }}",
    "{{ {1: 'x', 1.0: 'y', true: 'z'} }}",
    "{{ 9223372036854775807 }}", "{{ 1.0 }} {{ -0.0 }} {{ 1e308 * 10 }}", "{{ mixed }}", "{{ dict }}",
    "{{ nested }}", "{{ users }}",
    # Undefined
    "[{{ missing }}]", "{{ missing.x }}", "{{ missing['x'] }}", "[{{ dict.missing }}]", "{{ dict.missing.x }}",
    "{{ missing() }}",
    "{{ missing + 1 }}", "{{ missing ~ 'x' }}", "{{ missing == missing2 }}",
    "{{ missing is defined }} {{ name is defined }}",
    "{{ missing or 'or' }} {{ missing and 'and' }}", "{% if missing %}a{% else %}b{% endif %}",
    "{% for i in missing %}a{% else %}b{% endfor %}",
    "{{ missing | length }} {{ missing | list }} [{{ missing | join }}]", "{{ 'a' in missing }}",
    "{{ [missing] }}", "{{ missing < 1 }}",
    "{{ list[10] is defined }} [{{ list[10] }}]", "{{ name.foo is defined }}",
    "{{ nil.foo is defined }} {{ n.foo is defined }}",
    "{{ missing | default('d') }} {{ nil | default('d') }} {{ nil | default('d', true) }} {{ empty | d('e', boolean=true) }}",
    "{{ missing | upper }}|{{ missing | trim }}|{{ missing | string }}", "{{ (missing.x) is defined }}",
    "{{ missing | items | list }}",
    "{{ -missing }}", "{{ missing[1:] }}", "{{ missing | tojson }}", "{{ missing is none }}", "{{ not missing }}",
    # Operators
    "{{ 1 + 2 * 3 }} {{ (1 + 2) * 3 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }}",
    "{{ 7 / 2 }} {{ 6 / 2 }}",
    "{{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }} {{ -2 ** 2 }}", "{{ 7.5 // 2 }} {{ -7.5 % 2 }} {{ 7 // 2.0 }}",
    "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ 1.0 // 0 }}",
    "{{ 1 + 1.5 }} {{ 1 + true }} {{ true + true }} {{ -true }} {{ +yes }}",
    "{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 2 * 'x' }} [{{ 'x' * -1 }}]",
    "{{ [1] + [2] }} {{ [0] * 3 }} {{ (1,) + (2,) }}", "{{ 'a' + 1 }}", "{{ [1] + (2,) }}",
    "{{ 1 ~ 'a' ~ none ~ true ~ [1] }}",
    "{{ 1 < 2 }} {{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 3 > 2 >= 2 }}",
    "{{ 1 == 1.0 }} {{ 1 == true }} {{ 'a' == 'a' }} {{ 1 == '1' }} {{ none == none }}",
    "{{ [1, 2] == [1, 2] }} {{ (1,) == [1] }} {{ {'a': 1, 'b': 2} == {'b': 2, 'a': 1} }}",
    "{{ 'a' < 'b' }} {{ 'B' < 'a' }} {{ [1, 2] < [1, 3] }}",
    "{{ 1 < 'a' }}", "{{ none < 1 }}",
    "{{ 1 in list }} {{ 5 in list }} {{ 5 not in list }} {{ 'ell' in 'Hello' }} {{ 'a' in dict }} {{ not 'a' in dict }}",
    "{{ 1 in 'a' }}", "{{ 1 in 5 }}", "{{ [1] in dict }}",
    "{{ true and 0 }} {{ 0 or 'x' }} {{ not 1 }} {{ not not 'a' }}",
    "{{ 1 if yes else 2 }} {{ 1 if no else 2 }} [{{ 1 if no }}]",
    "{{ 'a' if no else 'b' if no else 'c' }}", "{{ 1 if yes if no else 3 }}",
    "{{ '%s is %d' % ('x', 5) }} {{ '%05.2f|%-5s|%5s|%x' % (3.14159, 'a', 'b', 255) }}",
    "{{ '%s' % 'one' }} {{ '%s' % n }} {{ '100%%' % () }} {{ '%(a)s' % {'a': 1} }}", "{{ '%d' % 'a' }}",
    "{{ '%s %s' % ('a',) }}", "{{ 'a' % 1 }}",
    "{{ 10 - 3 - 2 }} {{ 2 * 3 % 4 }}", "{{ 1 + 2 ~ 3 }}", "{{ -n }} {{ +n }} {{ - -n }} {{ -x }}", "{{ 3 - -2 }}",
    "{{ 1 if yes else 2 + 5 }}", "{{ 'a' 'b' ~ 'c' }}",
    "{{ 0.1 + 0.2 }} {{ 1e15 + 0.5 }} {{ 1 / 3 }}", "{{ 2.0 ** 0.5 }} {{ 4 ** 0.5 }}", "{{ 'a' < 'b' == true }}",
    "{{ 1 + }}", "{{ 1 2 }}", "{{ }}", "{{ a b }}", "{{ (1 }}", "{{ 1) }}", "{{ [1) }}", "{{ 'a }}",
    # Attributes, subscripts, slices
    "{{ dict.a }} {{ dict['a'] }} {{ nested.a.b.c }} {{ nested['a'].b['c'] }} {{ nested.list[1][0] }} {{ nested.list.1.1 }}",
    "{{ nested.items is defined }} {{ nested['items'] }} {{ nested.items() | list | length }}",
    "{{ list[0] }} {{ list[-1] }} {{ list.0 }} {{ name[0] }} {{ name[-1] }} {{ unicode[13] }}",
    "{{ list[1:] }} {{ list[:-1] }} {{ list[::-1] }} {{ list[::2] }} {{ list[5:] }} {{ list[-2:] }} {{ list[:] }}",
    "{{ name[1:3] }} {{ name[::-1] }} {{ unicode[2:6] }} {{ unicode[::-2] }} {{ name[3:1] }}|{{ name[-100:100] }}",
    "{{ (1, 2, 3)[1:] }} {{ range(10)[2:8:3] }} {{ range(5)[1] }}", "{{ list[::0] }}", "{{ n[1:] }}",
    "{{ dict[1:] }}", "{{ list['a'] is defined }} {{ list[none] is defined }} {{ list[true] }}",
    "{{ users[0].name }} {{ users[-1]['address']['city'] }}", "{{ 'abc'.upper() }} {{ 'abc'['upper']() }}",
    "{{ dict.__class__ }}", "{{ name.__len__ is defined }}", "{{ list.append(1) }}", "{{ dict.update({}) }}",
    "{{ dict.pop is defined }}",
    "{{ list[1.0] is defined }} {{ name[7:] }}|{{ name[:0] }}|", "{{ {1: 'x'}[1.0] }} {{ {true: 'y'}[1] }}",
    "{{ list[x:] }}", "{{ range(10, 0, -3)[::-1] }} {{ range(4)[-2:] }}",
    # Set, scopes
    "{% set a = 1 %}{{ a }}", "{% set a, b = 1, 2 %}{{ b }}{{ a }}",
    "{% set (a, (b, c)) = (1, (2, 3)) %}{{ a }}{{ b }}{{ c }}", "{% set a = 1, 2 %}{{ a }}",
    "{% set a, b = [1] %}", "{% set a, b = 'xy' %}{{ b }}",
    "{% set a %}x{{ n }}y{% endset %}[{{ a }}]", "{% set a | upper | trim %} x{{ n }} {% endset %}[{{ a }}]",
    "{% set a = 1 %}{% if yes %}{% set a = 2 %}{% endif %}{{ a }}",
    "{% set a = 1 %}{% for i in list %}{% set a = a + i %}{{ a }},{% endfor %}{{ a }}",
    "{% for i in list %}{% set z = i %}{% endfor %}[{{ z }}]", "{% set name = name ~ '!' %}{{ name }}",
    "{% set ns = namespace(a=1) %}{% for i in list %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }} {{ ns.b is defined }}",
    "{% set ns = namespace({'a': 1}, b=2) %}{{ ns.a }}{{ ns['b'] }}", "{% set d = {} %}{% set d.a = 1 %}",
    "{% set ns = namespace() %}{% set ns.x, y = 1, 2 %}{{ ns.x }}{{ y }}",
    "{% with a=1, b=n %}{{ a }}{{ b }}{% endwith %}[{{ a }}]",
    "{% with %}{% set a = 5 %}{{ a }}{% endwith %}[{{ a }}]",
    "{% set a = 1 %}{% with a=2, b=a %}{{ a }}{{ b }}{% endwith %}{{ a }}", "{% set true = 1 %}",
    "{% set a.b = 1 %}", "{% filter upper %}a{{ name }}{% endfilter %}",
    "{% filter replace('a', 'b') | upper %}banana{% endfilter %}", "{% set loop = 1 %}{{ loop }}",
    "{% for i in list %}{% set loop = 1 %}{% endfor %}", "{% print 'a', n %}", "{% set a = missing %}[{{ a }}]",
    "{% set x = 1 %}{% macro m() %}{{ x }}{% endmacro %}{% set x = 2 %}{{ m() }}",
    # For
    "{% for i in list %}{{ i }}{% endfor %}",
    "{% for i in list %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }};{% endfor %}",
    "{% for i in list %}[{{ loop.previtem }}<{{ i }}<{{ loop.nextitem }}]{% endfor %}",
    "{% for i in list %}{{ loop.cycle('a', 'b') }}{% endfor %} {{ loop is defined }}",
    "{% for a, b in dict.items() %}{{ a }}={{ b }};{% endfor %}", "{% for k in dict %}{{ k }}{% endfor %}",
    "{% for i in list if i > 1 %}{{ i }}{{ loop.index }}{{ loop.length }}{{ loop.last }};{% endfor %}",
    "{% for i in list if i > 9 %}{{ i }}{% else %}none{% endfor %}",
    "{% for i in [] %}x{% else %}empty{{ loop is defined }}{% endfor %}",
    "{% for c in 'añ🌍' %}{{ c }}.{% endfor %}",
    "{% for i in range(10) %}{% if i == 2 %}{% continue %}{% endif %}{% if i == 5 %}{% break %}{% endif %}{{ i }}{% endfor %}",
    "{% for i in list %}{% break %}{% else %}else{% endfor %}",
    "{% for i in list %}{% continue %}{% else %}else{% endfor %}",
    "{% for i in range(3) %}{% for j in range(i) %}{{ loop.index }}{{ loop.length }}{% endfor %}{{ loop.index }};{% endfor %}",
    "{% for i in n %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}",
    "{% for a, b in [[1, 2], (3, 4), 'xy'] %}{{ a }}{{ b }}{% endfor %}",
    "{% for i in range(3), range(2) %}{{ i | list }}{% endfor %}",
    "{% for i in list | sort %}{{ i }}{{ ', ' if not loop.last }}{% endfor %}",
    "{% for u in users if u.admin is defined and u.admin %}{{ u.name }}{% endfor %}",
    "{% for u in users | selectattr('admin') %}{{ u.name }}{{ loop.length }}{% endfor %}",
    "{% for (a, b), c in [((1, 2), 3)] %}{{ a }}{{ b }}{{ c }}{% endfor %}",
    "{% for i in list %}{{ i }}{% if loop.last %}!{% endif %}{% endfor %}",
    "{% set ns = namespace(k=0) %}{% for i in range(6) if i != ns.k %}{% set ns.k = i + 1 %}{{ i }}{% endfor %}",
    "{% for i in list %}\n  {{ i }}\n{% endfor %}\nend",
    "  {% for i in list -%}\n  {{ i }}\n  {%- endfor %}\nend", "{% for i in list: %}{{ i }}{% endfor %}",
    "{% for x in [1,2] %}{{ x }}{% endfor %}{{ x }}", "{% break %}",
    "{% for i in list %}{% macro m() %}{% break %}{% endmacro %}{% endfor %}",
    "{% for i in list %}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
    "{% for i in [1, 1, 2, 2.0, '2', none, none, 1] %}{{ loop.changed(i) }},{% endfor %}",
    "{% for u in users %}{% if loop.changed(u.age) %}{{ u.age }}: {% endif %}{{ u.name }} {% endfor %}",
    "{% for i in list %}{{ loop.changed() }}{{ loop.changed(1, 2) }}{{ loop.changed((1, 2)) }}{{ loop.changed(*[1, 2]) }};{% endfor %}",
    "{% for i in [1, 2] %}{% for j in [1, 1] %}{{ loop.changed(j) }}{% endfor %}{{ loop.changed(i // 2) }};{% endfor %}",
    "{% for i in list %}{{ loop.changed(missing) }}{{ loop.changed(loop) }}{{ loop.changed([i]) }};{% endfor %}",
    "{% for i in list %}{{ loop.changed(value=i) }}{% endfor %}", "{% for i in list %}{{ loop.cycle(a=i) }}{% endfor %}",
    "{% set ns = namespace() %}{% for i in list %}{% set ns.changed = loop.changed %}{% endfor %}{{ ns.changed(1) }}{{ ns.changed(1) }}",
    "{% for i in [1, [2, [3, 4], 5], 6] recursive %}{{ '<' ~ loop(i) ~ '>' if i is sequence else i }}{{ loop.depth }}{{ loop.depth0 }}{{ loop.index }} {% endfor %}",
    "{% for i in [[1, 2], [], [[3]]] recursive %}{% if i is sequence %}({{ loop(i) }}){% else %}{{ i }}{{ loop.last }}{% endif %}{% else %}none{% endfor %}",
    "{% for i in [3, [1, 5], 4] if i is sequence or i > 2 recursive %}{{ loop(i) if i is sequence else i }}{{ loop.length }};{% endfor %}",
    "{% set x = 1 %}{% for i in [[1], 2] recursive %}{{ x }}{% set x = x + 1 %}{{ x }}{{ loop(i) if i is sequence }}{% endfor %}{{ x }}",
    "{% for i in [[1, 2, 3], 4] recursive %}{% if i == 2 %}{% break %}{% endif %}{{ loop(i) if i is sequence else i }}{% endfor %}",
    "{% for i in [1] %}{{ loop([2]) }}{% endfor %}", "{% for i in [1] recursive %}{{ loop() }}{% endfor %}",
    "{% for i in [1] recursive %}{{ loop(5) }}{% endfor %}", "{% for i in list recursive %}{{ loop is callable }}{{ i }}{% endfor %}",
    "{% for i in list %}{% set s %}a{% break %}{% endset %}{{ i }}{% endfor %}b",
    "{% for i in {'a': 1}.values() %}{{ i }}{{ loop.length }}{% endfor %}",
    "{% for m in messages %}{% endfor %}{{ messages | length }}", "{% for loop in list %}{% endfor %}",
    # If
    "{% if n > 5 %}a{% elif n > 3 %}b{% else %}c{% endif %}", "{% if no %}a{% elif yes %}b{% else %}c{% endif %}",
    "{% if no %}a{% elif no %}b{% else %}c{% endif %}",
    "{% if empty %}a{% endif %}{% if [] %}b{% endif %}{% if {} %}c{% endif %}{% if 0.0 %}d{% endif %}{% if '0' %}e{% endif %}",
    "{% if yes %}", "{% endif %}", "{% if yes %}{% endfor %}", "{% if %}{% endif %}", "{% else %}",
    "{% nosuchtag %}", "{% if yes %}{% else %}{% else %}{% endif %}", "{% %}", "{% if (yes, no) %}t{% endif %}",
    "{% if yes: %}x{% endif %}",
    # Macros
    "{% macro m(a, b=2, *c) %}{% endmacro %}",
    "{% macro m(a, b=2) %}[{{ a }}{{ b }}]{% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(b=5, a=4) }}{{ m() }}",
    "{% macro m(a) %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, 3, x=4) }}",
    "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{{ a }}{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(5) }}",
    "{% macro m(l) %}{% if l %}{{ l[0] }}{{ m(l[1:]) }}{% endif %}{% endmacro %}{{ m(list) }}",
    "{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}in{{ n }}{% endcall %}",
    "{% macro m() %}{% for i in list %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(x) m() %}<{{ x }}>{% endcall %}",
    "{% macro m() %}{{ caller() }}{% endmacro %}{{ m() }}",
    "{% macro m() %}x{% endmacro %}{{ m.name }} {{ m.arguments }} {{ m }}",
    "{% macro outer() %}{{ inner() }}{% endmacro %}{% macro inner() %}in{% endmacro %}{{ outer() }}",
    "{% macro m() %}{% set a = 1 %}{% endmacro %}{{ m() }}[{{ a }}]",
    "{% macro m(a=[1]) %}{{ a }}{% endmacro %}{{ m() }}{{ m([2]) }}", "{{ m() }}{% macro m() %}{% endmacro %}",
    "{% macro m(x) -%}\n  {{ x }}\n{%- endmacro %}[{{ m(1) }}]",
    "{% macro m(a) %}{{ a | upper }}{% endmacro %}{{ m('x') ~ m('y') | lower }}",
    "{% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1, 2]) }}{{ m(**{'b': 1, 'a': 2}) }}",
    "{% macro m() %}{{ m2 }}{% endmacro %}{% set m2 = 5 %}{{ m() }}",
    "{% macro a(x) %}{% macro b() %}{{ x }}{% endmacro %}{{ b() }}{% endmacro %}{{ a(3) }}",
    "{% call nosuch() %}{% endcall %}", "{% macro m(a=1, b) %}{% endmacro %}",
    # Text filters
    "[{{ text | trim }}] [{{ 'xxaxx' | trim('x') }}]",
    "{{ name | upper }} {{ name | lower }} {{ 'hELLO wORLD' | capitalize }} {{ 'hello world-foo (bar)' | title }}",
    "{{ 'äöü 世' | upper }}|{{ 'ÄÖÜ' | lower }}",
    "{{ name | replace('o', '0') }} {{ 'aaa' | replace('a', 'b', 2) }} {{ 123 | replace(2, 'x') }} {{ 'ab' | replace('', '-') }}",
    "{{ name | length }} {{ unicode | length }} {{ list | count }} {{ dict | length }}", "{{ n | length }}",
    "{{ lines | indent }}", "{{ lines | indent(2, true) }}|{{ 'a\nb' | indent('> ', first=true, blank=true) }}",
    "{{ 'a b c' | wordcount }}", "{{ 'hello' | center(11) }}|{{ 'ab' | center(5) }}|",
    "{{ 'foo bar baz qux' | truncate(9) }} {{ 'foo bar baz qux' | truncate(9, true) }} {{ 'foo bar baz qux' | truncate(11) }} {{ 'foo bar baz qux' | truncate(11, false, '...', 0) }}",
    "{{ '%s-%s' | format('a', 1) }} {{ '%(x)s' | format(x=3) }}",
    "{{ 5 | string }} {{ none | string }} {{ 'a' | string | length }}",
    "{{ 'abc' | reverse }} {{ list | reverse | list }}",
    "{{ 'abc' | list }} {{ 'abc' | first }} {{ 'abc' | last }} {{ '' | first is defined }}", "{{ html | safe }}",
    "{{ name | nosuchfilter }}", "{{ 1 | trim }}",
    # Number filters
    "{{ '42' | int }} {{ 'x' | int }} {{ 'x' | int(5) }} {{ '0x1f' | int(base=16) }} {{ '3.9' | int }} {{ 3.9 | int }} {{ -3.9 | int }} {{ true | int }} {{ none | int }} {{ ' 7 ' | int }} {{ '1_0' | int }}",
    "{{ '3.75' | float }} {{ 'x' | float }} {{ 3 | float }} {{ '1e3' | float }} {{ 'x' | float(1.5) }}",
    "{{ 2.5 | round }} {{ 3.5 | round }} {{ 2.675 | round(2) }} {{ 2.1 | round(0, 'ceil') }} {{ 2.19 | round(1, 'floor') }} {{ 5 | round }}",
    "{{ -3 | abs }} {{ (-3) | abs }} {{ -2.5 | abs }}", "{{ 'a' | abs }}",
    "{{ [1, 2, 3] | sum }} {{ users | sum(attribute='age') }} {{ [1, 2] | sum(start=10) }} {{ [[1], [2]] | sum(start=[]) }}",
    "{{ missing | int }}",
    # Sequence filters
    "{{ list | join(', ') }} {{ list | join }} {{ users | join('|', attribute='name') }} {{ [1, none, true] | join('-') }}",
    "{{ list | first }} {{ list | last }} {{ [] | first is defined }} {{ dict | first }}",
    "{{ list | sort }} {{ list | sort(reverse=true) }} {{ strings | sort }} {{ strings | sort(case_sensitive=true) }} {{ users | sort(attribute='address.city') | map(attribute='name') | join(',') }}",
    "{{ users | sort(attribute='age,name') | map(attribute='name') | list }}", "{{ mixed | sort }}",
    "{{ ['a', 'A', 'b', 'a'] | unique | list }} {{ ['a', 'A'] | unique(true) | list }} {{ users | unique(attribute='age') | map(attribute='name') | list }}",
    "{{ list | min }} {{ list | max }} {{ strings | min }} {{ strings | max }} {{ users | max(attribute='age') }} {{ [] | min is defined }}",
    "{{ users | map(attribute='name') | join(', ') }} {{ strings | map('upper') | list }} {{ users | map(attribute='x', default='?') | list }} {{ ['1', '2'] | map('int') | sum }} {{ strings | map('replace', 'a', 'z') | join }}",
    "{{ users | map(attribute='address.city') | map('lower') | unique | list }}",
    "{% for age, group in users | groupby('age') %}{{ age }}: {{ group | map(attribute='name') | join(', ') }};{% endfor %}",
    "{% for g in users | groupby('address.city') %}{{ g.grouper }}{{ g['list'] | length }}{{ g[0] }}{{ g.count(1) }};{% endfor %}",
    "{{ users | groupby('address.city', case_sensitive=true) | map(attribute='grouper') | list }} {{ users | groupby('age') | length }}",
    "{{ users | groupby('admin', default=false) | map('first') | list }}", "{{ users | groupby('admin') }}", "{{ users | groupby }}",
    "{{ [[1, 'a'], [2, 'b'], [1, 'c']] | groupby(0) }} {{ (users | groupby('age') | first)[:1].grouper is defined }}",
    "{{ (1, [2]).grouper is defined }} {{ [] | groupby('x') }} {{ missing | groupby('x') }}", "{{ 5 | groupby('x') }}",
    "{{ users | selectattr('admin') | map(attribute='name') | list }} {{ users | selectattr('age', 'equalto', 30) | list | length }} {{ users | rejectattr('admin', 'defined') | map(attribute='name') | list }} {{ users | selectattr('name', 'in', ['bob', 'Cid']) | map(attribute='age') | list }}",
    "{{ list | select('odd') | list }} {{ list | reject('odd') | list }} {{ [0, 1, '', 'a', none] | select | list }} {{ list | select('>', 1) | list }} {{ list | select('greaterthan', 2) | list }} {{ list | select('divisibleby', 3) | list }}",
    "{{ dict | items | list }} {{ dict | dictsort }} {{ dict | dictsort(true) }} {{ dict | dictsort(false, 'value', true) }} {{ dict | dictsort(by='value') }}",
    "{{ range(7) | batch(3) | list }} {{ range(7) | batch(3, 'x') | list }} {{ range(7) | slice(3) | list }} {{ range(7) | slice(3, 'x') | list }}",
    "{{ list | map('nosuch') | list }}", "{{ list | select('nosuch') | list }}",
    "{{ users | map('attr', 'name') | list }}", "{{ dict | list }} {{ dict.items() | list }}", "{{ 5 | list }}",
    "{{ list | map | list }}", "{% set g = list | map('string') %}{{ g | join }}[{{ g | join }}]",
    "{{ (list | map('string'))[0] is defined }} {{ list | map('string') | first }}",
    "{{ list | map('string') | length }}", "{{ list | map('string') | last }}",
    "{{ dict | map('upper') | join }}",
    # tojson
    "{{ mixed | tojson }} {{ dict | tojson }} {{ users | tojson }}", "{{ nested | tojson(indent=2) }}",
    "{{ dict | tojson(indent=4, sort_keys=true) }}",
    "{{ dict | tojson(separators=(',', ':')) }} {{ list | tojson(indent=0) }}",
    "{{ unicode | tojson }} {{ unicode | tojson(ensure_ascii=true) }} {{ html | tojson }}",
    "{{ text | tojson }} {{ '\\x00\\x1f\\x7f\\b\\f/' | tojson }}",
    "{{ [1.0, 1e20, 0.1, -0.0] | tojson }} {{ {1: 2, true: 3, none: 4, 1.5: 5} | tojson }}",
    "{{ (1, 2) | tojson }} {{ [] | tojson(indent=2) }} {{ {} | tojson }} {{ [[], {}] | tojson(indent=1) }}",
    "{{ '\\x7e\\x7f\\x80\\xff' | tojson(ensure_ascii=true) }} {{ '\\x7e\\x7f\\x80\\xff' | tojson }}",
    "{{ {'\\x7f': '\\x1f\\u00a0'} | tojson(true) }} {{ {'é': ['\\x7f']} | tojson(ensure_ascii=true, indent=1) }}",
    "{{ range(3) | tojson }}", "{{ dict.items() | tojson }}", "{{ '\\u2028🌍' | tojson(ensure_ascii=true) }}",
    "{{ dict | tojson('\t') }}", "{{ dict | tojson(indent='--') }}",
    # Tests
    "{{ n is odd }} {{ n is even }} {{ n is divisibleby 7 }} {{ n is divisibleby(2) }}",
    "{{ n is number }} {{ x is number }} {{ yes is number }} {{ digits is number }} {{ n is integer }} {{ yes is integer }} {{ x is float }} {{ yes is boolean }} {{ n is boolean }}",
    "{{ name is string }} {{ n is string }} {{ dict is mapping }} {{ list is mapping }} {{ list is iterable }} {{ name is iterable }} {{ n is iterable }} {{ dict is iterable }} {{ list is sequence }} {{ dict is sequence }} {{ name is sequence }} {{ n is sequence }}",
    "{{ nil is none }} {{ nil is not none }} {{ missing is none }} {{ yes is true }} {{ 1 is true }} {{ no is false }} {{ missing is undefined }}",
    "{{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'aB' is lower }} {{ '1' is upper }}",
    "{{ n is eq 7 }} {{ n is equalto 7 }} {{ n is ne 7 }} {{ n is gt 5 }} {{ n is lt(5) }} {{ n is ge 7 }} {{ n is le 6 }}",
    "{{ 1 is in list }} {{ 5 is in [5] }} {{ 5 is not in [5] }}",
    "{{ nil is sameas none }} {{ yes is sameas true }}", "{{ range is callable }} {{ n is callable }}",
    "{{ 'upper' is filter }} {{ 'nosuch' is filter }} {{ 'odd' is test }}", "{{ n is nosuch }}",
    "{% if n is defined and n is odd or no %}t{% endif %}", "{{ n is defined is true }}",
    "{{ not n is odd }} {{ (n is odd) == yes }}", "{{ dict.a is defined and dict.z is not defined }}",
    "{{ 'x' is odd }}", "{{ list is sequence and list is not string }}", "{{ n is string or n is integer }}",
    # String methods
    "[{{ text.strip() }}] [{{ 'xxaxx'.strip('x') }}] [{{ 'abcba'.lstrip('ab') }}] [{{ 'abcba'.rstrip('ab') }}]",
    "{{ words.split() }} {{ words.split(' ') }} {{ 'a,b,c'.split(',', 1) }} {{ 'a,b,c'.rsplit(',', 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'a b c d'.split(none, 2) }} {{ ' a b  c '.rsplit(maxsplit=1) }}",
    "{{ name.startswith('Wo') }} {{ name.endswith(('x', 'ld')) }} {{ name.startswith('or', 1) }} {{ name.endswith('or', 0, 3) }}",
    "{{ name.replace('o', '0') }} {{ 'aaa'.replace('a', 'b', 1) }} {{ 'ab'.replace('', '.') }}",
    "{{ name.upper() }}{{ name.lower() }}{{ 'ab cd'.title() }}{{ \"they're bill's\".title() }}{{ 'aB'.swapcase() }}{{ 'aBC'.capitalize() }}",
    "{{ name.find('r') }} {{ name.find('z') }} {{ 'añb'.find('b') }} {{ 'abab'.rfind('ab') }} {{ 'abab'.count('ab') }} {{ 'aaa'.count('') }} {{ name.index('r') }} {{ 'abab'.find('a', 1) }} {{ 'abab'.find('b', -1) }}",
    "{{ name.index('z') }}", "{{ ', '.join(strings) }} {{ ''.join(['a', 'b']) }}", "{{ ', '.join(list) }}",
    "{{ 'a-b-c'.partition('-') }} {{ 'a-b-c'.rpartition('-') }} {{ 'abc'.partition('-') }}",
    "{{ 'ab'.ljust(5, '.') }} {{ 'ab'.rjust(5) }} {{ 'abc'.center(6, '*') }} {{ 'ab'.center(5, '*') }} {{ '-5'.zfill(4) }}",
    "{{ lines.splitlines() }} {{ 'a\nb\n'.splitlines(true) }}",
    "{{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ 'ab'.isalpha() }} {{ ' '.isspace() }} {{ 'A'.isupper() }} {{ 'a'.islower() }} {{ ''.isdigit() }} {{ 'é'.isascii() }}",
    "{{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }}",
    "{{ '{} and {}'.format(1, 'b') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x}'.format(x=3) }} {{ '{{}}'.format() }} {{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}'.format('a', 'b', 'c', 42, 3.14159, 1234567) }} {{ '{0[a]} {1.b}'.format(dict, dict) }}",
    "{{ '{}'.format() }}", "{{ name.nosuch() }}", "{{ name.upper is callable }}", "{{ 'a'.split('') }}",
    "{{ name.strip(1) }}", "{{ 'ß'.lower() }} {{ 'ÀÉ'.lower() }} {{ 'àé'.upper() }} {{ 'дом'.title() }}",
    # Dict and list methods
    "{{ dict.get('a') }} {{ dict.get('z') }} {{ dict.get('z', 'd') }} {{ dict.keys() | list }} {{ dict.values() | list }} {{ dict.items() | list }}",
    "{{ dict.keys() }} {{ dict.values() }} {{ dict.items() }}",
    "{{ dict.keys()[0] is defined }} {{ dict.keys() | length }} {{ 'a' in dict.keys() }} {{ 2 in dict.values() }}",
    "{{ list.index(1) }} {{ list.count(1) }} {{ [1, 1].count(1) }}", "{{ list.index(9) }}",
    "{{ dict.copy() == dict }}", "{{ dict.get([]) }}", "{{ dict.get(missing, 'd') }}",
    # Globals
    "{{ range(5) | list }} {{ range(2, 5) | list }} {{ range(5, 0, -2) | list }} {{ range(3) }} {{ range(1, 3) }} {{ range(1, 9, 2) }} {{ range(0) | list }}",
    "{{ range(1000000) }}", "{{ range('a') }}", "{{ range(1, 5, 0) }}",
    "{{ dict is defined }} {% with d = {}.__class__ %}{{ d }}{% endwith %}", "{{ namespace(a=1).a }}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}{{ c.current }}{{ c.reset() }}{{ c.next() }}",
    "{% set j = joiner('; ') %}{% for i in list %}{{ j() }}{{ i }}{% endfor %}",
    "{{ raise_exception('boom ' ~ n) }}", "{{ raise_exception('never') if no else 'ok' }}",
    "{{ strftime_now('%Y-%m-%d %H:%M:%S %d %b %Y %A') }}", "{{ range(3) | last }} {{ range(3) | length }}",
    "{{ name() }}", "{{ n.upper() }}",
    # Not there, or not allowed
    "{{ 1 if }}", "{% for in list %}{% endfor %}", "{% for i in %}{% endfor %}", "{% set = 1 %}", "{% set a %}",
    "{% macro %}{% endmacro %}", "{{ a | }}", "{{ a is }}", "{{ a. }}", "{{ a[ }}", "{{ ! }}", "{{ a ? b }}",
    "{{ 'a' | upper( }}", "{# open", "{{ open", "{% raw %} open", "{{ '\\x4' }}", "{% endmacro %}",
    "{% if a %}{% endif", "{{ f(a=1, 2) }}", "{{ f(**a, *b) }}", "{% call name %}{% endcall %}", "{{ none() }}",
    "{{ 1.5.2 }}", "{{ dict['a' }}",
])] + [({"dict": {}, "d": {"a": [1, {"b": None}], "text": "x"}}, [
    "{{ d.a[1].b }} {{ d.a[1].b is none }} {{ d.text ~ d.a }}", "{% set d2 = d %}{{ d2 == d }}",
    "{{ (d.a | last).b }}", "{{ d | length }}{{ d.a | length }}",
])] + [({}, [
    "{{ dict(a=1, b='x') }} {{ dict({'a': 1}, b=2) }} {{ dict([('a', 1)]) }} {{ dict() }}",
    "{{ tools is none }} {{ documents is defined }} {{ messages }} {{ add_generation_prompt }}",
    "{{ bos_token is defined }}[{{ bos_token }}]", "{{ bos_token + 'x' }}",
])]
