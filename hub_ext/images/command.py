"""Runs programs whose output somebody follows."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from hub_ext.images.failure import explain

Say = Callable[[str], None]
_TAIL = 200


def run_command(
    command: Sequence[str],
    what: str,
    say: Say,
    environ: Mapping[str, str],
    directory: Path | None = None,
) -> None:
    """Run ``command``, giving each line to ``say``. Raises ImageBuildError with its reason."""
    output: list[str] = []
    with subprocess.Popen(
        command,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(environ),
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                output.append(line)
                if line.strip():
                    say(line.strip().removeprefix("I: "))
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise explain("".join(output[-_TAIL:]), what)
