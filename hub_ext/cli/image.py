"""``apportion image``: build, list, pull and remove kernel images of the local Docker Engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
import docker.errors
import requests.exceptions
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.cli.image_list import (
    images_json,
    optional_names,
    recipes_not_built,
    seen_by,
    show_images,
)
from hub_ext.cli.tables import say
from hub_ext.cli.terminal import Terminal
from hub_ext.images.build import build_images, connect
from hub_ext.images.catalogue import list_images
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.progress import BuildEvent
from hub_ext.images.pull import pull_image

_INTERRUPTED = 130  # as a shell reports SIGINT


@click.group()
def image() -> None:
    """Kernel images: what a session runs in."""


@image.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--force", is_flag=True, help="Build again even if nothing has changed.")
@click.option(
    "--from",
    "from_image",
    default="",
    metavar="IMAGE",
    help="Build on a Debian or Ubuntu image of a registry instead of this machine's own packages "
    "(debootstrap). Later builds stay with it; 'distribution' goes back.",
)
@click.option("--no-install", is_flag=True, help="Do not install debootstrap when it is missing.")
def build(names: tuple[str, ...], force: bool, from_image: str, no_install: bool) -> None:
    """Build the images under images/: all but the large ones, or NAMEs such as pytorch:2.15."""
    with _failures(), _build_display() as display:
        built = build_images(
            connect(),
            names,
            from_image=from_image,
            force=force,
            may_install=not no_install,
            retry_extension=True,
            report=display.show,
        )
        for each in built:
            how = f"built in {each.seconds:.0f} s" if each.built else "up to date"
            display.say(f"{each.reference}: {how}")
        there = [each.reference for each in built]
        if not names and (optional := optional_names(recipes_not_built(there))):
            display.say(f"Built only by name: {', '.join(optional)}")


@image.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--all", "show_all", is_flag=True, help="Also images without Apportion's labels.")
def list_(as_json: bool, show_all: bool) -> None:
    """List the images that sessions can be started from, and those that can be built."""
    with _failures():
        found = [entry for entry in list_images(connect()) if show_all or entry.labelled]
        missing = recipes_not_built(entry.reference for entry in found)
    seen = seen_by() if found else {}
    if as_json:
        click.echo(json.dumps(images_json(found, missing, seen), indent=2))
        return
    if found:
        show_images(found, seen)
    else:
        click.echo("No images yet: apportion image build")
    if optional := optional_names(missing):
        say(f"\nBuilt only by name: {', '.join(optional)}.")
        say(f"For example: apportion image build {optional[-1]}")


@image.command()
@click.argument("reference")
def pull(reference: str) -> None:
    """Pull an image from its registry."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    console = Console(highlight=False)
    if not console.is_terminal:
        click.echo(f"Pulling {reference}")
    with _failures(), Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(f"Pulling {escape(reference)}", total=None)
        for done, total in pull_image(connect(), reference):
            bar.update(task, completed=done, total=total or None)
    click.echo(f"Pulled {reference}")


@image.command()
@click.argument("references", nargs=-1, required=True, metavar="REFERENCE...")
@click.option("--force", is_flag=True, help="Also if stopped containers use it.")
def rm(references: tuple[str, ...], force: bool) -> None:
    """Remove images from this machine."""
    with _failures():
        client = connect()
        for reference in references:
            try:
                client.api.remove_image(reference, force=force)
            except docker.errors.ImageNotFound:
                raise ImageBuildError(
                    f"There is no image {reference} here.", "apportion image list --all"
                ) from None
            except docker.errors.APIError as error:
                if error.status_code != 409:
                    raise
                raise ImageBuildError(
                    f"{reference} is in use: {error.explanation}",
                    "End the sessions that run it; --force if only stopped containers use it.",
                ) from error
            click.echo(f"Removed {reference}")


class _BuildDisplay:
    """A bar over all steps on a terminal; one line for each step in a log."""

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress
        self._task: TaskID | None = None

    def show(self, event: BuildEvent) -> None:
        """Report one event of a build."""
        what = f"{event.image}: {event.message}"
        if event.state == "done":
            self.say(f"[{event.step}/{event.steps}] {what} ({event.seconds:.0f} s)")
        elif event.state == "skipped":
            self.say(f"[{event.step}/{event.steps}] {what}")
        elif not event.detail and not self._console.is_terminal:
            self.say(f"[{event.step}/{event.steps}] {what} ...")
        if self._task is None:
            self._task = self._progress.add_task("", total=event.steps, detail="")
        self._progress.update(
            self._task,
            description=escape(what),
            completed=event.step - (event.state == "running"),
            detail=escape(event.detail),
        )

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(escape(line))


@contextmanager
def _build_display() -> Iterator[_BuildDisplay]:
    console = Console(highlight=False, soft_wrap=True)
    columns: tuple[Any, ...] = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("[dim]{task.fields[detail]}", table_column=_one_line()),
    )
    quiet = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=quiet) as progress:
        yield _BuildDisplay(console, progress)


def _one_line() -> Any:
    from rich.table import Column

    return Column(no_wrap=True, overflow="ellipsis", ratio=1)


@contextmanager
def _failures() -> Iterator[None]:
    """Say what went wrong and how to go on, and end with the right exit status."""
    terminal = Terminal(Console(stderr=True, highlight=False, soft_wrap=True))
    try:
        yield
    except ImageBuildError as error:
        terminal.error(BootstrapError(error.message, error.way_out))
        sys.exit(1)
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        terminal.error(BootstrapError(f"The Docker Engine refused: {error}", ""))
        sys.exit(1)
    except KeyboardInterrupt:
        terminal.error(
            BootstrapError("Interrupted.", "Finished parts are kept: run the same command again.")
        )
        sys.exit(_INTERRUPTED)


commands = [image]
