"""What commands that talk to the service share: ``--url``, ``--json``, errors, exit codes.

0: done; 1: refused or failed; 2: wrong usage (click's); 130: Ctrl-C.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any

import click

from hub_ext import __version__
from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.cli.client import ClientError, Refused
from hub_ext.cli.credentials import connect

INTERRUPTED = 130  # as a shell reports SIGINT

url_option = click.option("--url", default="", metavar="URL", help="Address of the hub.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print the API's JSON.")


def service_command(function: Callable[..., None]) -> Callable[..., None]:
    """Adds ``--url`` and ``--json``; the function's first argument is the Client.

    A ClientError is told in at most two lines, with the option that is at fault.
    """

    @json_option
    @url_option
    @functools.wraps(function)
    def command(url: str, **values: Any) -> None:
        with_errors(lambda: function(connect(url), **values))

    return command


def with_errors(action: Callable[[], None]) -> None:
    """Run it; say what went wrong and how to go on, and exit with 1."""
    try:
        action()
    except ClientError as error:
        message, way_out = error.message, error.way_out
        if isinstance(error, Refused) and error.field:
            message, way_out = _with_field(error)
        _tell(message, way_out)
        sys.exit(1)
    except KeyError as error:
        message = f"The answer of the service has no {error}."
        _tell(message, f"It may be of another version than this command ({__version__}).")
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("Interrupted.", err=True)
        sys.exit(INTERRUPTED)


def _tell(message: str, way_out: str) -> None:
    from rich.console import Console

    from hub_ext.cli.terminal import Terminal

    terminal = Terminal(Console(stderr=True, highlight=False, soft_wrap=True))
    terminal.error(BootstrapError(message, way_out))


def _with_field(error: Refused) -> tuple[str, str]:
    """The message with its field, and the option that sets it."""
    message = error.message if error.field in error.message else f"{error.field}: {error.message}"
    option = _option_of(error.field)
    if error.way_out or option is None:
        return message, error.way_out
    return message, f"Change {option}."


def _option_of(field: str) -> str | None:
    """ "quota.fgpu" is set by --quota-fgpu, "hours.0.from" by --hours."""
    words = field.split(".")
    by_name = {param.name: param for param in click.get_current_context().command.params}
    for length in range(len(words), 0, -1):
        param = by_name.get("__".join(words[:length]))
        if isinstance(param, click.Option):
            return max(param.opts, key=len)
    return None


def body_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given, as the API takes them: ``quota__fgpu`` is quota.fgpu.

    Raises UsageError.
    """
    body: dict[str, Any] = {}
    for name, value in values.items():
        if value is None or value == ():
            continue
        *above, last = name.split("__")
        place = body
        for word in above:
            place = place.setdefault(word, {})
        place[last] = _plain(value)
    return body


class Null:
    """A value that is given and empty: the API's null."""


NULL = Null()


def _plain(value: Any) -> Any:
    if value is NULL or value == (NULL,):
        return None
    if not isinstance(value, tuple):
        return value
    if NULL in value:
        raise click.UsageError("A word for all of them stands alone.")
    return list(value)


def print_json(values: Mapping[str, Any]) -> None:
    """As the API has it, for programs."""
    click.echo(json.dumps(values, indent=2, ensure_ascii=False))


def warn_all(answer: Mapping[str, Any]) -> None:
    """What the service says about a change that it has made."""
    for warning in answer.get("warnings") or ():
        click.echo(f"Note: {warning}", err=True)
