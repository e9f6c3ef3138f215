"""Writes docs/reference from the code: ``.venv/bin/python docs/make_reference.py``.

What is written depends on the code alone, so that a test can compare it with what is committed.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from traitlets import CaselessStrEnum, HasTraits, TraitType

from hub_ext.app import ApportionService
from hub_ext.cli import main as apportion
from hub_ext.options import ServiceOptions
from hub_ext.web.api.openapi import document
from spawner.docker import ApportionDockerSpawner
from spawner.mixin import ApportionSpawnerMixin
from spawner.process import ApportionProcessSpawner

REFERENCE = Path(__file__).parent / "reference"
GENERATED = "<!-- Written by docs/make_reference.py; change the code, not this file. -->"

CONFIGURED: tuple[tuple[type[HasTraits], type[HasTraits]], ...] = (
    (ApportionService, ServiceOptions),
    (ApportionSpawnerMixin, ApportionSpawnerMixin),
    (ApportionDockerSpawner, ApportionDockerSpawner),
    (ApportionProcessSpawner, ApportionProcessSpawner),
)
"""Classes of ``jupyterhub_config.py``, and whose traits are their options."""

CONFIGURATION_INTRO = """\
Options of `jupyterhub_config.py`, besides [those of JupyterHub][hub]. Write
`c.CLASS.OPTION = VALUE` above or below the call of `hub_ext.configure`; what you write wins over
what `configure` and the command line of `up` would set. Options of `ApportionSpawnerMixin` hold
for both spawners. See also [the admin's guide](../admin.md).

[hub]: https://jupyterhub.readthedocs.io/en/stable/reference/config-reference.html
"""

REST_INTRO = """\
The paths below start with `/services/apportion/api/v1`. Send a token of JupyterHub (the page
*Token* of the hub makes one) as `Authorization: token TOKEN`; scripts need nothing else. A page
that uses the login cookie instead must send the `X-XSRFToken` header with every change.

Requests and answers are JSON. The running service has the same document for machines at
`/services/apportion/api/v1/openapi.json`. Examples are in
[the student's guide](../student.md#from-a-script) and in
[the admin's](../admin.md#projects-and-fair-shares).

Instants are Unix seconds. `hours` are windows of the week in the site's time zone, such as
`{"days": ["mon", "fri"], "from": "08:00", "until": "18:00"}`: without `days` every day; an `until`
at or before `from` is on the next day. A window of `quota_hours` also has `fgpu`, `cpu` or
`memory_mib`.

A session that is going to be stopped has a `notice` with `code`, `message`, `stops_at` and
`seconds_left`. Codes are `reclaim`, `preempt`, `lifetime`, `hours`, `term` and `idle`.
"""

_WORDS = {"integer": "whole number", "string": "text", "boolean": "true or false"}
"""Types of JSON, for people."""

CLI_INTRO = """\
`./apportion` makes the project's environment in `.venv` if needed and passes every command on.
"""


def configuration() -> str:
    """Every option of the service and of the spawners."""
    lines = [GENERATED, "", "# Configuration", "", CONFIGURATION_INTRO]
    for cls, owner in CONFIGURED:
        lines += [f"## {cls.__name__}", "", _first_paragraph(cls), ""]
        for name, trait in sorted(_options(owner).items()):
            lines += [f"### {cls.__name__}.{name}", "", _trait_facts(cls, name, trait), ""]
            lines += [inspect.cleandoc(trait.help), ""]
    return _text(lines)


def _options(owner: type[HasTraits]) -> dict[str, TraitType[Any, Any]]:
    """Its own traits, and those of the parts of a spawner that it is made of."""
    parts = [each for each in owner.__bases__ if each.__module__.startswith("spawner.")]
    told = {known for _, known in CONFIGURED}
    found = dict(owner.class_own_traits(config=True))
    for part in parts:
        if issubclass(part, HasTraits) and part not in told:
            found |= part.class_own_traits(config=True)
    return found


def _first_paragraph(cls: type) -> str:
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def _trait_facts(cls: type[HasTraits], name: str, trait: TraitType[Any, Any]) -> str:
    kind = type(trait).__name__
    if isinstance(trait, CaselessStrEnum):
        kind = "One of " + ", ".join(f"`{value}`" for value in trait.values or ())
    if name in cls._trait_default_generators:  # a method makes it; the help says what
        return kind
    return f"{kind}, default `{trait.default_value!r}`"


def rest_api() -> str:
    """Every operation with its parameters, and the objects that are sent."""
    api = document()
    lines = [GENERATED, "", "# REST API", "", REST_INTRO]
    for path, operations in api["paths"].items():
        for method, operation in operations.items():
            lines += [f"## {method.upper()} {path}", "", operation["summary"] + ".", ""]
            lines += _parameters(operation["parameters"])
            if "requestBody" in operation:
                schema = operation["requestBody"]["content"]["application/json"]["schema"]
                lines += [f"Body: {_kind(schema)}.", ""]
    lines += ["## Answers", "", "| status | means |", "|---|---|"]
    some = api["paths"]["/sessions"]["post"]["responses"]
    lines += [f"| {status} | {answer['description']} |" for status, answer in some.items()]
    lines += [
        "",
        "200 instead of 201 where nothing is made; 202 where something ends a little later.",
        'Errors are `{"error": {"code", "message", "field"?}}`.',
        "",
    ]
    for name, schema in api["components"]["schemas"].items():
        if name != "Error":
            lines += _object(name, schema)
    return _text(lines)


def _parameters(parameters: list[dict[str, Any]]) -> Iterator[str]:
    if parameters:
        yield from ("| parameter | in | value |", "|---|---|---|")
    for one in parameters:
        yield f"| `{one['name']}` | {one['in']} | {_kind(one['schema'])} |"
    if parameters:
        yield ""


def _object(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield from (f"## {name}", "", inspect.cleandoc(schema.get("description", "")), "")
    yield from ("| field | value | default |", "|---|---|---|")
    for field, what in schema["properties"].items():
        default = what.get("default")
        shown = "required" if field in schema.get("required", ()) else ""
        if default not in (None, [], {}, ""):
            shown = f"`{json.dumps(default) if isinstance(default, bool) else default}`"
        yield f"| `{field}` | {_kind(what)} | {shown} |"
    yield ""


def _kind(schema: dict[str, Any]) -> str:
    """A JSON schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        most = f" (at most {schema['maxItems']})" if "maxItems" in schema else ""
        return f"list of {_kind(schema['items'])}{most}"
    if isinstance(schema["type"], list):
        return " or ".join(
            _WORDS.get(str(name), str(name)) for name in schema["type"] if name != "null"
        )
    return _WORDS.get(schema["type"], schema["type"]) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    limits = (
        ("minimum", "at least {}"),
        ("exclusiveMinimum", "above {}"),
        ("maximum", "at most {}"),
        ("maxLength", "at most {} characters"),
    )
    found = [text.format(schema[key]) for key, text in limits if key in schema]
    return ", " + ", ".join(found) if found else ""


def command_line() -> str:
    """Every command with its arguments and options."""
    lines = [GENERATED, "", "# Command line", "", CLI_INTRO]
    for names, command in _commands(("./apportion",), apportion):
        arguments = [param for param in command.params if isinstance(param, click.Argument)]
        usage = [*names, "[OPTIONS]", *(_argument(each) for each in arguments)]
        lines += [f"## {' '.join(names[1:])}", "", f"    {' '.join(usage)}", ""]
        lines += [inspect.cleandoc(command.help or ""), ""]
        options = [param for param in command.params if isinstance(param, click.Option)]
        if options:
            lines += ["| option | meaning | default |", "|---|---|---|"]
            lines += [_option(option) for option in options]
            lines.append("")
    return _text(lines)


def _commands(
    names: tuple[str, ...], command: click.Command
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """The commands that do something, in the order of their names."""
    if not isinstance(command, click.Group):
        yield names, command
        return
    for name, inner in sorted(command.commands.items()):
        yield from _commands((*names, name), inner)


def _argument(argument: click.Argument) -> str:
    name = (argument.metavar or (argument.name or "").upper()).strip("[].")
    name += "..." if argument.nargs == -1 else ""
    return name if argument.required else f"[{name}]"


def _option(option: click.Option) -> str:
    shown = ", ".join(option.opts)
    if not option.is_flag:
        shown += f" {option.metavar or _value(option)}"
    default = option.show_default if isinstance(option.show_default, str) else option.default
    has_default = option.show_default and default is not None
    last = f"`{default}`" if has_default else "required" if option.required else ""
    return f"| `{shown}` | {option.help or ''} | {last} |"


def _value(option: click.Option) -> str:
    """What goes in place of the value; a choice's bar is escaped for the table."""
    if isinstance(option.type, click.Choice):
        return r"\|".join(str(choice) for choice in option.type.choices)
    names = {"integer range": "NUMBER", "integer": "NUMBER", "float": "NUMBER", "text": "TEXT"}
    return names.get(option.type.name, option.type.name.upper())


def _text(lines: list[str]) -> str:
    return "\n".join(line.rstrip() for line in "\n".join(lines).splitlines()).rstrip() + "\n"


PAGES = {
    "configuration.md": configuration,
    "rest-api.md": rest_api,
    "cli.md": command_line,
}


def main() -> None:
    """Write every page."""
    REFERENCE.mkdir(exist_ok=True)
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
