#!/usr/bin/env python3
"""Renders random templates with Python's jinja2 and with `weft chat --render`, and shows where they differ.

    pip install jinja2
    tools/compare_chat_templates.py [--count 2000] [--seed 1] [--weft build/release/bin/weft]

Templates are grown from a grammar, or are mutations of the cases in chat_cases.py. Both must give the same text, or
both an error. Exits with 1 where they do not.
"""
import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile

from chat_cases import CASES, CONVERSATIONS, MODEL_TEMPLATES
from chat_environment import render

ROOT = pathlib.Path(__file__).resolve().parent.parent
VARIABLES = CASES[0][0]
TEXTS = [case for _, group in CASES for case in group]

NAMES = [name for name in VARIABLES if name != "dict"] + ["dict", "missing", "a", "b", "messages"]
FILTERS = ["upper", "lower", "trim", "length", "list", "first", "last", "join(',')", "join", "tojson", "string", "int",
           "float", "sort", "unique|list", "reverse", "reverse|list", "items|list", "dictsort", "default('d')",
           "default('d', true)", "capitalize", "title", "abs", "round", "round(1)", "sum", "min", "max", "count",
           "replace('a', 'b')", "indent(2)", "map('string')|list", "map('upper')|join", "map(attribute='name')|list",
           "select|list", "select('string')|list", "reject('none')|list", "selectattr('age')|list", "batch(2)|list",
           "rejectattr('name', 'equalto', 'bob')|list", "slice(2)|list", "sort(reverse=true)", "sort(attribute='age')",
           "tojson(indent=2)", "tojson(true)", "groupby('age')", "groupby('name')", "groupby(0)", "wordcount", "truncate(8)", "center(12)", "safe", "attr('name')", "format(1)"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence",
         "iterable", "odd", "even", "divisibleby 3", "lower", "upper", "true", "false", "callable", "eq 1", "in list",
         "sameas none", "gt 2"]
METHODS = ["strip()", "upper()", "lower()", "split()", "split(',')", "split('l', 1)", "rsplit(none, 1)", "title()",
           "startswith('a')", "endswith('d')", "replace('l', 'L')", "find('o')", "items()|list", "keys()|list",
           "values()|list", "get('a')", "get('z', 1)", "count('l')", "index(1)", "capitalize()", "lstrip()",
           "rstrip('d')", "isdigit()", "join(strings)", "splitlines()", "partition('o')", "zfill(8)", "swapcase()",
           "isupper()", "format(1, 2)", "removeprefix('W')", "copy()", "nosuch()", "center(9, '*')", "rjust(8)"]
LITERALS = ["0", "1", "2", "-1", "3.5", "'a'", "'abc'", "''", "[]", "{}", "[1, 2, 3]", "('x', 'y')", "{'a': 1}", "true",
            "false", "none", "'%s'", "'{}'", "1e3", "\"it's\"", "'Ünï'", "'a\\nb'", "7", "100"]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "==", "!=", "<", "<=", ">", ">=", "and", "or", "in", "not in", "**"]


class Grower:
    def __init__(self, random_):
        self.r = random_

    def expression(self, depth):
        r = self.r
        if depth <= 0 or r.random() < 0.15:
            return r.choice(NAMES) if r.random() < 0.6 else r.choice(LITERALS)
        inner = lambda: self.expression(depth - 1)
        return r.choice([
            lambda: f"{inner()} {r.choice(OPERATORS)} {inner()}",
            lambda: f"({inner()} {r.choice(OPERATORS)} {inner()})",
            lambda: f"{inner()} | {r.choice(FILTERS)}",
            lambda: f"({inner()}) | {r.choice(FILTERS)} | {r.choice(FILTERS)}",
            lambda: f"{inner()} is {r.choice(['', 'not '])}{r.choice(TESTS)}",
            lambda: f"({inner()}).{r.choice(METHODS)}",
            lambda: f"{r.choice(NAMES)}.{r.choice(METHODS)}",
            lambda: f"{r.choice(NAMES)}[{inner()}]",
            lambda: f"({inner()})[{r.choice(['', '1', '-2', inner()])}:{r.choice(['', '2', '-1'])}{r.choice(['', ':2', ':-1'])}]",
            lambda: f"{r.choice(NAMES)}.{r.choice(['name', 'a', 'b', 'items', 'age', '0', '1'])}",
            lambda: f"[{inner()}, {inner()}]", lambda: f"{{'k': {inner()}, {inner()}: 2}}",
            lambda: f"({inner()}, {inner()})", lambda: f"not {inner()}", lambda: f"-{inner()}",
            lambda: f"{inner()} if {inner()} else {inner()}", lambda: f"({inner()} if {inner()})",
            lambda: f"range({r.choice(['3', '1, 4', '5, 0, -2', inner()])}) | list",
            lambda: f"{inner()} {r.choice(['<', '==', '>='])} {inner()} {r.choice(['<', '!=', 'in'])} {inner()}",
        ])()

    def tag(self, kind, content):
        begin, end = {"o": ("{{", "}}"), "b": ("{%", "%}"), "c": ("{#", "#}")}[kind]
        signs = ["", "", "", "-"] + (["+"] if kind == "b" else [])
        left, right = self.r.choice(signs), self.r.choice(signs)
        return f"{begin}{left} {content} {right}{end}"

    def text(self):
        return self.r.choice(["", " ", "\n", "  \n", "\n  ", "x", " y ", "a\n", "\n\n", "\t", "{", "% }", "<|im_end|>"])

    def block(self, depth):
        return "".join(self.text() + self.statement(depth) + self.text() for _ in range(self.r.randint(1, 3)))

    def statement(self, depth):
        r = self.r
        value = lambda: self.expression(2)
        if depth <= 0 or r.random() < 0.35:
            return self.tag("o", self.expression(3))
        body = lambda: self.block(depth - 1)
        b = lambda content: self.tag("b", content)
        name = r.choice(["a", "b", "name"])
        return r.choice([
            lambda: b(f"if {value()}") + body() + b("else") + body() + b("endif"),
            lambda: b(f"if {value()}") + body() + b(f"elif {value()}") + body() + b("endif"),
            lambda: b(f"for a in {value()}") + body() + self.tag("o", "loop.index ~ loop.last ~ loop.length") + b("endfor"),
            lambda: b(f"for a in {value()}") + self.tag("o", f"loop.changed({r.choice(['a', 'a, 1', value()])})") + body()
            + b("endfor"),
            lambda: b(f"for a in {value()} recursive") + body() + self.tag("o", "loop(a) if a is iterable and a is not string "
            "and loop.depth < 4 else loop.depth") + b("endfor"),
            lambda: b(f"for a in {value()} if {value()}") + body() + b("else") + body() + b("endfor"),
            lambda: b("for a in list") + body() + b(f"if {value()}") + b(r.choice(["break", "continue"])) + b("endif")
            + body() + b("endfor"),
            lambda: b("for a, b in dict.items()") + body() + self.tag("o", "loop.nextitem ~ loop.first") + b("endfor"),
            lambda: b(f"set {name} = {value()}"),
            lambda: b(f"set {name}") + body() + b("endset"),
            lambda: b(f"set {name} | {r.choice(['upper', 'trim', 'length'])}") + body() + b("endset"),
            lambda: b("set ns = namespace(x=0)") + b("for i in list") + b(f"set ns.x = ns.x + i") + b("endfor")
            + self.tag("o", "ns.x"),
            lambda: b(f"macro m(a, b={value()})") + body() + b("endmacro") + self.tag("o", f"m({value()})"),
            lambda: b("macro w(x=1)") + "<" + self.tag("o", "caller(x)") + ">" + b("endmacro") + b("call(b) w()")
            + body() + b("endcall"),
            lambda: b(f"filter {r.choice(['upper', 'trim', 'indent(2)', 'length'])}") + body() + b("endfilter"),
            lambda: b(f"with {name} = {value()}") + body() + b("endwith"),
            lambda: self.tag("c", r.choice(["c", "{{ x }}", "a\nb", ""])),
            lambda: b("raw") + r.choice(["{{ x }}", " {% if %}\n", "\n"]) + b("endraw"),
        ])()

    def mutation(self):
        r = self.r
        source = r.choice(TEXTS + list(MODEL_TEMPLATES.values()))
        for _ in range(r.randint(1, 3)):
            at, end = sorted((r.randrange(len(source) + 1), min(len(source), r.randrange(len(source) + 1))))
            action = r.random()
            if action < 0.3:
                source = source[:at] + source[min(at + r.randint(1, 3), len(source)):]
            elif action < 0.6:
                piece = r.choice(["-", "+", " ", "\n", "(", ")", "'", "|", ".", "%}", "{{", "}}", "{%", "1", "a", "~", ",",
                                  "not ", " is ", "none", "[0]", "if ", "else", "\\", "{#", "#}", ":", "=", "**"])
                source = source[:at] + piece + source[at:]
            elif end - at < 60:
                other = r.choice(TEXTS)
                source = source[:at] + other[: r.randint(1, 30)] + source[end:]
        return source


# What weft says where it differs on purpose.
MEANT = ["does not fit into 64 bits", "no fewer than 0 digits", "is not supported", "\\N is not known",
         "The filter", "takes more than 20 million", "cannot be a key"]


def weft(binary, folder, template, messages):
    (folder / "template").write_text(template)
    (folder / "messages").write_text(json.dumps(messages))
    done = subprocess.run([binary, "chat", "--template", folder / "template", "--render", folder / "messages",
                           "--variables", json.dumps(VARIABLES)], capture_output=True)
    if done.returncode == 0:
        return done.stdout.decode(), None
    if done.returncode != 1:
        raise SystemExit(f"weft ended with {done.returncode} for\n{template}\n{done.stderr.decode()}")
    return None, done.stderr.decode()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--weft", type=pathlib.Path, default=ROOT / "build/release/bin/weft")
    options = parser.parse_args()
    grower = Grower(random.Random(options.seed))
    counts = {"text": 0, "error": 0, "differ": 0, "meant": 0}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.count):
            template = grower.mutation() if grower.r.random() < 0.4 else grower.block(2)
            messages = grower.r.choice(list(CONVERSATIONS.values()))
            given = {"tools": None, "documents": None, "add_generation_prompt": False, "messages": messages,
                     "bos_token": "<s>", "eos_token": "</s>", **VARIABLES}
            want, want_error = render(template, given)
            if "\r" in template or (want is not None and any(word in want for word in (" object at 0x", "<class"))):
                continue  # addresses
            got, error = weft(options.weft, pathlib.Path(folder), template, messages)
            if want == got:
                counts["text" if want is not None else "error"] += 1
            elif error is not None and any(words in error for words in MEANT):
                counts["meant"] += 1
            else:
                counts["differ"] += 1
                print(f"--- {template!r}\n  jinja2: {want!r} {want_error}\n  weft:   {got!r} {error}")
    print(f"{counts['text']} equal texts, {counts['error']} errors in both, {counts['meant']} meant differences, "
          f"{counts['differ']} others")
    sys.exit(1 if counts["differ"] else 0)


if __name__ == "__main__":
    main()
