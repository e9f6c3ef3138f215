"""A root file system of this machine's own distribution, where no image registry answers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from hub_ext.images.apt_sources import (
    COMPONENTS,
    Distribution,
    official_sources,
    read_distribution,
)
from hub_ext.images.command import Say, run_command
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.site import proxies

EDITION = "1"
"""Raise it when this module makes another file system of the same packages."""

_OTHER_WAY = "or name an image of a registry to build on: --from debian:12-slim"
_LEFT_OUT = (
    *("./dev/*", "./proc/*", "./sys/*", "./run/*", "./tmp/*", "./debootstrap"),
    *("./var/cache/apt/*.bin", "./var/cache/apt/archives/*.deb", "./var/lib/apt/lists/*"),
    *("./var/log/*.log", "./var/log/apt/*", "./var/log/*tmp", "./var/cache/debconf/*-old"),
    *("./usr/share/man/*", "./usr/share/info/*", "./usr/share/locale/*", "./var/lib/dpkg/*-old"),
    *("./etc/resolv.conf", "./etc/hostname", "./etc/machine-id"),
)


def this_distribution() -> Distribution:
    """What this machine runs. Raises ImageBuildError when debootstrap cannot make it."""
    etc = Path("/etc")
    lists = [etc / "apt" / "sources.list", *sorted((etc / "apt/sources.list.d").glob("*.list"))]
    found = read_distribution(
        _text(etc / "os-release"),
        [_text(path) for path in lists],
        [_text(path) for path in sorted((etc / "apt/sources.list.d").glob("*.sources"))],
    )
    if found is None:
        raise ImageBuildError(
            "Bases are made from this machine's own packages; it is neither Debian nor Ubuntu.",
            "Name a Debian or Ubuntu image to build on: "
            "apportion image build --from debian:12-slim",
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def require_debootstrap(say: Say, *, may_install: bool) -> str:
    """The path of debootstrap; installed by apt when it is missing and that is allowed.

    Raises ImageBuildError when this user cannot run it: it needs root.
    """
    if os.geteuid() != 0:
        raise ImageBuildError(
            "The first build makes the distribution's base with debootstrap, which needs root.",
            f"Run it once as root: sudo ./apportion image build; {_OTHER_WAY}",
        )
    path = "/usr/sbin:/sbin:" + os.environ.get("PATH", "")
    found = shutil.which("debootstrap", path=path)
    if found is None and may_install and shutil.which("apt-get"):
        say("Installing debootstrap")
        for command in (["update"], ["install", "-y", "--no-install-recommends", "debootstrap"]):
            run_command(
                ["apt-get", *command], "Installing debootstrap", say, {**os.environ, **_QUIET}
            )
        found = shutil.which("debootstrap", path=path)
    if found is None:
        raise ImageBuildError(
            "debootstrap is missing; it makes the images' base where no registry answers.",
            f"Install it: apt-get install debootstrap; {_OTHER_WAY}",
        )
    return found


_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


@contextmanager
def root_file_system(
    distribution: Distribution, packages: list[str], say: Say, *, may_install: bool = True
) -> Iterator[IO[bytes]]:
    """A tar stream of the distribution with ``packages``, free of this machine's traces.

    Raises ImageBuildError.
    """
    program = require_debootstrap(say, may_install=may_install)
    with tempfile.TemporaryDirectory(prefix="apportion-", ignore_cleanup_errors=True) as scratch:
        root = Path(scratch, "root")
        command = [
            program,
            "--variant=minbase",
            f"--components={COMPONENTS[distribution.family]}",
            f"--include={','.join(packages)}",
            *([f"--keyring={distribution.keyring}"] if distribution.keyring else []),
            distribution.suite,
            str(root),
            distribution.mirror,
        ]
        run_command(
            command, "Making the distribution's base", say, {**os.environ, **_proxy(), **_QUIET}
        )
        _clean(root, distribution)
        with _tar(root) as stream:
            yield stream


def _proxy() -> Mapping[str, str]:
    """apt's own proxy, for debootstrap's downloads."""
    found = proxies(os.environ)
    if shutil.which("apt-config"):
        asked = subprocess.run(
            ["apt-config", "shell", "http_proxy", "Acquire::http::Proxy"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.strip()
        value = asked.removeprefix("http_proxy=").strip("'\"")
        if value.startswith("http"):
            found["http_proxy"] = value
    return found


def _clean(root: Path, distribution: Distribution) -> None:
    """Public servers instead of this machine's mirror; no manuals (licences stay)."""
    (root / "etc/apt/sources.list").write_text(official_sources(distribution))
    for path in (root / "usr/share/doc").rglob("*"):
        if path.name != "copyright" and not path.is_dir():
            path.unlink()


@contextmanager
def _tar(root: Path) -> Iterator[IO[bytes]]:
    left_out = [f"--exclude={pattern}" for pattern in _LEFT_OUT]
    command = ["tar", "-C", str(root), "--numeric-owner", *left_out, "-c", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        assert tar.stdout is not None
        try:
            yield tar.stdout
        except BaseException:
            tar.kill()
            raise
    if tar.returncode:
        raise ImageBuildError(f"Packing the distribution's base failed (tar: {tar.returncode}).")
