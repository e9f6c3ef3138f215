"""How commands talk to the person at the terminal: steps, notes, boxes and errors.

On a terminal a running step turns a spinner; in a log file it is one plain line.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.panel import Panel
from rich.status import Status

from hub_ext.bootstrap.failure import BootstrapError


class Terminal:
    """One command's output. ``log`` also gets every line, with the time, when it is set."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self.log: Path | None = None

    def say(self, message: str) -> None:
        """One line."""
        self.record(message)
        self.console.print(escape(message))

    @contextmanager
    def step(self, doing: str) -> Iterator[Step]:
        """A step that takes time; the yielded Step is told how it goes on."""
        self.record(doing)
        with self.console.status(escape(doing)) as status:
            yield Step(self, doing, status)

    def done(self, message: str) -> None:
        """A step that succeeded."""
        self.record(message)
        self.console.print(f"[green]✓[/green] {escape(message)}")

    def warn(self, title: str, message: str) -> None:
        """A yellow box that is not overlooked."""
        self.record(f"{title}: {message}")
        self._box(message, title, "bold yellow")

    def secret(self, title: str, lines: list[str]) -> None:
        """A box with what must not go to any log."""
        self._box("\n".join(lines), title, "green")

    def _box(self, text: str, title: str, style: str) -> None:
        box = Panel(escape(text), title=escape(title), border_style=style, expand=False)
        self.console.print(box, soft_wrap=False)

    def error(self, error: BootstrapError) -> None:
        """What went wrong and how to go on."""
        self.record(f"{error.message} {error.way_out}")
        self.console.print(f"[bold red]Error:[/bold red] {escape(error.message)}")
        if error.way_out:
            self.console.print(f"[bold]What to do:[/bold] {escape(error.way_out)}")

    def record(self, message: str) -> None:
        """A line for the log only."""
        if self.log is None:
            return
        try:
            with self.log.open("a", encoding="utf-8") as stream:
                stream.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {message}\n")
        except OSError:
            self.log = None  # a full disk is reported by the step that needs it


class Step:
    """A running step of a Terminal."""

    def __init__(self, terminal: Terminal, doing: str, status: Status) -> None:
        self._terminal, self._doing, self._status = terminal, doing, status

    def now(self, detail: str) -> None:
        """What the step is at: recorded, and a line of its own where no spinner turns."""
        self._terminal.record(detail)
        if self._terminal.console.is_terminal:
            self.glimpse(detail)
        else:
            self._terminal.console.print(escape(f"  {detail}"))

    def glimpse(self, detail: str) -> None:
        """Something only for who watches the spinner, replaced by the next."""
        width = max(20, self._terminal.console.width - 4)
        self._status.update(escape(f"{self._doing}: {detail}"[:width]))
