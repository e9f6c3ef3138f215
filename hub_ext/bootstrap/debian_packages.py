"""Packages of a Debian-like machine, installed by apt-get when root asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from hub_ext.bootstrap.failure import BootstrapError

OS_RELEASE = Path("/etc/os-release")
LOCK_WAIT_S = 300
FAILURE_LINES = 15


def is_debian_like(os_release: Path = OS_RELEASE) -> bool:
    """Debian, Ubuntu or a relative of theirs, with apt-get."""
    try:
        text = os_release.read_text()
    except OSError:
        return False
    names: set[str] = set()
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key in ("ID", "ID_LIKE"):
            names.update(value.strip("\"'").split())
    return bool(names & {"debian", "ubuntu"}) and shutil.which("apt-get") is not None


def missing(packages: Sequence[str]) -> list[str]:
    """Those of ``packages`` that are not installed."""
    absent = []
    for package in packages:
        result = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package],
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if result.returncode != 0 or result.stdout.strip() != "installed":
            absent.append(package)
    return absent


def install(packages: Sequence[str], say: Callable[[str], None]) -> None:
    """apt-get update and install, as root. Raises BootstrapError with apt's last words."""
    names = " ".join(packages)
    say(f"apt-get install {names}")
    _apt_get("update", packages=names)
    _apt_get("install", "-y", "--no-install-recommends", *packages, packages=names)


def _apt_get(*arguments: str, packages: str) -> None:
    command = ["apt-get", "-q", "-o", f"DPkg::Lock::Timeout={LOCK_WAIT_S}", *arguments]
    result = subprocess.run(
        command,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    if result.returncode != 0:
        tail = "\n".join(result.stdout.splitlines()[-FAILURE_LINES:])
        raise BootstrapError(
            f"apt-get could not install {packages}:\n{tail}",
            f"Install it by hand (apt-get install {packages}) and run this again.",
        )
