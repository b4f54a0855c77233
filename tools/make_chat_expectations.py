#!/usr/bin/env python3
"""Writes what Python's jinja2 renders chat templates to: tests/data/chat/*.json, which tests compare with.

    pip install jinja2
    tools/make_chat_expectations.py [--shared ../shared]

templates.json has the conversations and what each template of SHARED/data/chat makes of them; the templates are not
copied. cases.json has small templates, one per feature, with their variables: text, or that there is an error.
"""
import argparse
import json
import pathlib

from chat_cases import CASES, CONVERSATIONS, MODEL_TEMPLATES, TOOLS
from chat_environment import render

ROOT = pathlib.Path(__file__).resolve().parent.parent


def result(template, variables):
    text, error = render(template, variables)
    return {"text": text} if error is None else {"error": error}


def conversations(templates):
    for name, template, bos, eos in templates:
        for conversation, messages in CONVERSATIONS.items():
            for tools in (None, TOOLS):
                for add_generation_prompt in (False, True):
                    variables = {"messages": messages, "tools": tools, "documents": None, "bos_token": bos,
                                 "eos_token": eos, "add_generation_prompt": add_generation_prompt}
                    yield {"template": name, "conversation": conversation, "with_tools": tools is not None,
                           "add_generation_prompt": add_generation_prompt, "bos": bos, "eos": eos,
                           **result(template, variables)}


def write(path, data):
    path.write_text(json.dumps(data, ensure_ascii=False, indent=1) + "\n")
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT / ".." / "shared")
    shared = parser.parse_args().shared / "data" / "chat"
    templates = [(path.name, path.read_text(), "<s>", "</s>") for path in sorted(shared.glob("*.jinja"))]
    if not templates:
        raise SystemExit(f"{shared} has no templates")
    folder = ROOT / "tests" / "data" / "chat"
    write(folder / "templates.json", {"conversations": CONVERSATIONS, "tools": TOOLS,
                                      "expected": list(conversations(templates))})
    own = [(name, template, "<s>", "</s>") for name, template in MODEL_TEMPLATES.items()]
    write(folder / "own_templates.json", {"templates": MODEL_TEMPLATES, "expected": list(conversations(own))})
    groups = []
    for variables, templates in CASES:
        given = {"messages": [], "tools": None, "documents": None, "add_generation_prompt": False, **variables}
        groups.append({"variables": variables,
                       "cases": [{"template": template, **result(template, given)} for template in templates]})
    write(folder / "cases.json", groups)
    cases = [case for group in groups for case in group["cases"]]
    print(f"{len(cases)} cases, {sum('error' in case for case in cases)} of them errors")


if __name__ == "__main__":
    main()
