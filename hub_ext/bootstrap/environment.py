"""The project's own Python environment in ``.venv``, made and kept current before anything else.

Run as a script by ``./apportion`` with the machine's Python, so it imports the standard
library only. pip runs with the caller's environment and configuration untouched: a site's
index, certificates and proxies are honoured and never written down.

A marker file, written last, says which ``pyproject.toml`` and which extras the environment
was made from. An environment without a marker is the rest of an interrupted set-up and is
made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TextIO

MARKER = "apportion-setup.json"
SETUP_LOG = "apportion-setup.log"
EXTRAS_BY_COMMAND = {"test": ("local", "test")}
FAILURE_LINES = 25


class SetupError(Exception):
    """The environment cannot be made; the message says how to go on."""


def main(arguments: Sequence[str]) -> int:
    """Make the environment of ``arguments[0]`` and become the command in it."""
    root, command = Path(arguments[0]), list(arguments[1:])
    extras = EXTRAS_BY_COMMAND.get(command[0], ()) if command else ()
    try:
        ensure_environment(root, extras)
    except SetupError as error:
        print(f"apportion: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\napportion: set-up interrupted; run the command again.", file=sys.stderr)
        return 130
    python = str(environment_python(root))
    os.execv(python, [python, "-m", "hub_ext.cli", *command])


def environment_python(root: Path) -> Path:
    """The interpreter of the environment."""
    return root / ".venv" / "bin" / "python"


def ensure_environment(root: Path, extras: Sequence[str] = ()) -> None:
    """Bring ``root/.venv`` up to date with pyproject.toml, with at least ``extras`` installed.

    Safe to call from several processes at once: one works, the others wait for it.
    Raises SetupError.
    """
    if _is_current(root, extras):
        return
    with _only_one(root):
        if _is_current(root, extras):
            return
        marker = root / ".venv" / MARKER
        known = _read_marker(root)
        try:
            marker.unlink(missing_ok=True)
            if known is None:
                _create(root)
            wanted = sorted({*extras, *(known or {}).get("extras", [])})
            _install(root, wanted)
            draft = marker.with_suffix(".new")
            draft.write_text(json.dumps({"pyproject": _fingerprint(root), "extras": wanted}))
            draft.replace(marker)
        except OSError as error:
            raise SetupError(f"{root / '.venv'} cannot be written: {error}") from error


def _fingerprint(root: Path) -> str:
    return hashlib.sha256((root / "pyproject.toml").read_bytes()).hexdigest()


def _read_marker(root: Path) -> dict[str, list[str]] | None:
    """The marker of a complete environment; None when there is none to build on."""
    if not environment_python(root).exists():
        return None
    try:
        marker = json.loads((root / ".venv" / MARKER).read_text())
    except (OSError, ValueError):
        return None
    return marker if isinstance(marker, dict) else None


def _is_current(root: Path, extras: Sequence[str]) -> bool:
    marker = _read_marker(root)
    return (
        marker is not None
        and marker.get("pyproject") == _fingerprint(root)
        and set(extras) <= set(marker.get("extras", []))
    )


@contextlib.contextmanager
def _only_one(root: Path) -> Iterator[None]:
    """Hold the set-up lock: a lock on the project's folder itself, gone with the process."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say("Another process is setting up .venv; waiting for it ...")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _create(root: Path) -> None:
    """A new empty environment in place of whatever is there."""
    _require_venv_module()
    target = root / ".venv"
    if not os.access(root, os.W_OK):
        raise SetupError(f"{root} is not writable for you; clone the project where you may write.")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise SetupError(f"{target} is not a directory; move it away.")
    shutil.rmtree(target, ignore_errors=True)
    _say(f"Making {target} with Python {sys.version.split()[0]} ...")
    result = subprocess.run(
        [sys.executable, "-m", "venv", str(target)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if result.returncode != 0:
        raise SetupError(
            f"{target} could not be made:\n{(result.stdout + result.stderr).strip()}\n"
            "If the disk is full, free some space (2 GB are enough); if Python's venv module"
            " is incomplete, install it (Debian, Ubuntu: apt-get install python3-venv)."
        )


def _require_venv_module() -> None:
    """Debian ships Python without ensurepip; as root it can be added, else say how."""
    check = [sys.executable, "-c", "import ensurepip, venv"]
    if subprocess.run(check, capture_output=True).returncode == 0:
        return
    package = f"python{sys.version_info.major}.{sys.version_info.minor}-venv"
    way_out = f"Install it (Debian, Ubuntu: sudo apt-get install {package}) and run this again."
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SetupError(f"{sys.executable} cannot make environments: no ensurepip. {way_out}")
    _say(f"Installing {package} (apt-get) ...")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (
        ["apt-get", "-q", "update"],
        ["apt-get", "-q", "-y", "--no-install-recommends", "install", package],
    ):
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    if result.returncode != 0:
        raise SetupError(f"apt-get could not install {package}: {result.stderr.strip()}")


def _install(root: Path, extras: Sequence[str]) -> None:
    """pip install of the project, editable, with its extras."""
    target = f"{root}[{','.join(extras)}]" if extras else str(root)
    command = [str(environment_python(root)), "-m", "pip", "install", "--no-input", "-e", target]
    named = f" with {', '.join(extras)}" if extras else ""
    _say(f"Installing the project{named} (pip); the first time takes a few minutes ...")
    started = time.monotonic()
    log = root / ".venv" / SETUP_LOG
    pip = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert pip.stdout is not None
    try:
        with log.open("w", encoding="utf-8") as copy:
            _follow(pip.stdout, copy)
    finally:
        if pip.poll() is None and sys.exc_info()[0] is not None:
            pip.terminate()
        code = pip.wait()
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-FAILURE_LINES:])
        raise SetupError(
            f"pip failed (exit code {code}); its last lines:\n{tail}\n"
            f"All of it: {log}. Check the package index and certificates that pip uses here"
            " (pip config list), then run the command again."
        )
    _say(f"Environment ready in {time.monotonic() - started:.0f} s.")


def _follow(lines: Iterable[str], copy: TextIO) -> None:
    """Copy pip's output to the log and show one line of progress."""
    interactive = sys.stderr.isatty()
    collected = 0
    for line in lines:
        copy.write(line)
        words = line.split()
        if not words:
            continue
        if words[0] == "Collecting":
            collected += 1
            if interactive:
                print(f"\r\033[K  {collected:3d}  {words[1]}", end="", file=sys.stderr, flush=True)
        elif words[0] == "Installing" and "collected" in line:
            if interactive:
                print("\r\033[K", end="", file=sys.stderr)
            _say(f"  {collected} packages found; writing them ...")
    if interactive:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
