"""The step of ``up`` and ``test`` that builds the images that are not there yet."""

from __future__ import annotations

from hub_ext.bootstrap.failure import BootstrapError
from hub_ext.cli.terminal import Terminal
from hub_ext.images.build import build_images, connect
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.progress import BuildEvent


def build_missing_images(terminal: Terminal, *, may_install: bool, way_out: str = "") -> None:
    """Build what is missing or outdated; minutes the first time, at once afterwards.

    way_out: what else one can do when it fails. Raises BootstrapError.
    """
    with terminal.step("Kernel images") as step:

        def report(event: BuildEvent) -> None:
            what = f"{event.image} ({event.step}/{event.steps}) {event.message}"
            match event.state:
                case "running":
                    step.glimpse(f"{what} {event.detail}")
                case "done":
                    step.now(f"{what} ({event.seconds:.0f} s)")
                case "skipped":
                    step.glimpse(what)

        try:
            images = build_images(connect(), may_install=may_install, report=report)
        except ImageBuildError as error:
            raise BootstrapError(error.message, f"{error.way_out} {way_out}".strip()) from error
    built = sum(image.built for image in images)
    names = ", ".join(image.reference for image in images)
    terminal.done(f"Kernel images {names}" + (f" ({built} built)" if built else ""))
