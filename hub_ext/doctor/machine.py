"""The machine: Python, the programs that the hub starts, disk, certificates."""

from __future__ import annotations

import os
import shutil
import ssl
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hub_ext.doctor.finding import Deployment, Finding, fail, ok, warn

OLDEST_PYTHON = (3, 11)
PACKAGES = ("jupyterhub", "dockerspawner", "jupyterhub-nativeauthenticator", "docker")
PROGRAMS = ("jupyterhub", "configurable-http-proxy", "alembic")
DISK_FAIL_MIB = 100
DISK_WARN_MIB = 5 * 1024
CERTIFICATE_VARIABLES = ("PIP_CERT", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
_MIB = 1024 * 1024


def python(_: Deployment) -> Iterator[Finding]:
    """The interpreter and the packages that everything stands on."""
    running = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        yield fail("python", f"Python {running} is too old.", "Use Python 3.11 or newer.")
        return
    found, absent = [], []
    for package in PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            absent.append(package)
    if absent:
        yield fail(
            "python",
            f"Missing in {sys.prefix}: {', '.join(absent)}.",
            "Remove .venv and run ./apportion again: it is made anew.",
        )
    else:
        yield ok("python", f"Python {running}; {', '.join(found)}")


def programs(_: Deployment) -> Iterator[Finding]:
    """Programs that the hub starts by name, in this environment or on the PATH."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}"
    absent = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if absent:
        yield fail(
            "programs",
            f"Not found: {', '.join(absent)}.",
            "Remove .venv and run ./apportion again: it is made anew.",
        )
    else:
        yield ok("programs", f"{', '.join(PROGRAMS)} are there")


def disk(deployment: Deployment) -> Iterator[Finding]:
    """Free space where the data lie."""
    place = deployment.data
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free // _MIB
    message = f"{free / 1024:.1f} GiB free at {deployment.data}"
    if free < DISK_FAIL_MIB:
        yield fail("disk", message, "Free some space, or move the data: --data DIR.")
    elif free < DISK_WARN_MIB:
        yield warn("disk", message, "Users' folders grow here; free some space in time.")
    else:
        yield ok("disk", message)


def certificates(_: Deployment) -> Iterator[Finding]:
    """CA bundles that the environment names, and the system's own."""
    broken = [
        f"{name}={value}"
        for name in CERTIFICATE_VARIABLES
        if (value := os.environ.get(name)) and not os.access(value, os.R_OK)
    ]
    if broken:
        yield fail(
            "certificates",
            f"Named in the environment but not readable: {', '.join(broken)}.",
            "Correct or unset the variable; package downloads and image builds use it.",
        )
        return
    paths = ssl.get_default_verify_paths()
    bundle = os.environ.get("SSL_CERT_FILE") or paths.cafile or paths.capath
    if bundle is None:
        yield warn(
            "certificates",
            "No CA certificates are installed.",
            "Install them (Debian, Ubuntu: apt-get install ca-certificates).",
        )
    else:
        yield ok("certificates", f"CA certificates in {bundle}")
