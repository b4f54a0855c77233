"""Jinja2 as the Hugging Face libraries set it up for chat templates."""
import datetime
import json

import jinja2
import jinja2.ext
import jinja2.sandbox

# The fixed time of strftime_now, so that expectations do not change.
NOW = datetime.datetime(2024, 7, 26, 13, 5, 9)


class GenerationTag(jinja2.ext.Extension):
    """{% generation %}: marks the assistant's text for training, renders as its content."""

    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_content"), [], [], body).set_lineno(line)

    def _content(self, caller):
        return caller()


def _raise(message):
    raise jinja2.exceptions.TemplateError(message)


def _to_json(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def environment():
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols])
    env.filters["tojson"] = _to_json
    env.globals["raise_exception"] = _raise
    env.globals["strftime_now"] = NOW.strftime
    return env


_ENVIRONMENT = environment()


def render(template, variables):
    """(text, None), or (None, the error's message)."""
    try:
        return _ENVIRONMENT.from_string(template).render(**variables), None
    except Exception as error:  # of the template, whatever it is
        return None, f"{type(error).__name__}: {error}"
