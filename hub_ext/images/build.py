"""Builds the images of images/ on the local Docker Engine, in order, each only when needed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import docker
import docker.errors
import requests.exceptions

from hub_ext.images import debootstrap
from hub_ext.images.catalogue import HIDDEN_LABEL, PREFIX
from hub_ext.images.failure import ImageBuildError, explain
from hub_ext.images.installation import context_archive, install_packages, stage_reference
from hub_ext.images.labextension import prebuilt_extension, why_missing
from hub_ext.images.progress import BuildEvent, Report, ignore
from hub_ext.images.recipes import (
    DEFAULT_DIRECTORY,
    EXTENSION_LABEL,
    REPOSITORY,
    SOURCE_LABEL,
    Recipe,
    choose,
    files_below,
    load_recipes,
    source_hash,
)
from hub_ext.images.site import SiteSettings, proxies, read_site

FROM_LABEL = PREFIX + "from"
DISTRIBUTION = "distribution"
_TRY_AGAIN = "try again: ./apportion image build"
NEEDED_BYTES = 6 * 1024**3
"""Disk that a first build may need at its peak, with the downloads."""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """``built`` is False when an image of the same sources was there already."""

    reference: str
    built: bool
    seconds: float


def connect() -> Any:
    """A client of the local engine. Raises ImageBuildError when there is none."""
    try:
        client = docker.from_env(timeout=600, version="auto")
        client.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        raise ImageBuildError(
            f"No Docker Engine answers: {error}",
            "Start it (systemctl start docker, or dockerd), or join the group that may use it "
            "(usermod -aG docker YOU, then log in again).",
        ) from error
    return client


def build_images(
    client: Any,
    names: Sequence[str] = (),
    *,
    from_image: str = "",
    force: bool = False,
    may_install: bool = True,
    retry_extension: bool = False,
    report: Report = ignore,
    directory: Path = DEFAULT_DIRECTORY,
    site: SiteSettings | None = None,
) -> list[BuiltImage]:
    """Build the named images and their parents, or all; parents first.

    An image whose tag carries the hash of the same sources is skipped, unless ``force``.
    ``from_image``: build on this image of a registry instead of debootstrap's; the choice is
    kept for later builds until it is "distribution". ``retry_extension``: build an image again
    whose JupyterLab extension could not be built the last time. Blocks for minutes the first
    time. Raises ImageBuildError; KeyboardInterrupt leaves finished parts.
    """
    recipes = choose(load_recipes(directory), names)
    with _explained():
        from_image = from_image or _label(client, recipes[0].reference, FROM_LABEL) or DISTRIBUTION
    if from_image == DISTRIBUTION:
        from_image = ""
    site = site or read_site(os.environ, Path.home())
    steps = 2 + 2 * len(recipes)
    work = _Build(client, site, from_image, force, may_install, retry_extension, report, steps)
    with _one_at_a_time(), _explained():
        return work.run(recipes, directory / "os")


class _Build:
    """One run over some recipes; counts its steps for the report."""

    def __init__(
        self,
        client: Any,
        site: SiteSettings,
        from_image: str,
        force: bool,
        may_install: bool,
        retry_extension: bool,
        report: Report,
        steps: int,
    ) -> None:
        self._client = client
        self._site = site
        self._from_image = from_image
        self._force = force
        self._may_install = may_install
        self._retry_extension = retry_extension
        self._extension: Path | None = None
        self._report = report
        self._steps = steps
        self._step = 0

    def run(self, recipes: list[Recipe], os_directory: Path) -> list[BuiltImage]:
        built = []
        os_reference, os_hash = _os_identity(os_directory, self._from_image)
        hashes = self._hashes(recipes, os_hash)
        current = {r.reference: self._is_current(r, hashes[r.reference]) for r in recipes}
        if self._force or not all(current[r.reference] for r in recipes if not r.parent):
            _require_space(self._client, NEEDED_BYTES)
            self._make_os(os_reference, os_hash, os_directory)
        else:
            self._skip("distribution")
        for recipe in recipes:
            started = time.monotonic()
            if current[recipe.reference] and not self._force:
                self._skip(recipe.name, steps=2)
                built.append(BuiltImage(recipe.reference, False, 0.0))
                continue
            _require_space(self._client, recipe.disk_gib * 1024**3)
            self._make(recipe, recipe.parent or os_reference, hashes[recipe.reference])
            built.append(BuiltImage(recipe.reference, True, time.monotonic() - started))
        return built

    def _hashes(self, recipes: list[Recipe], os_hash: str) -> dict[str, str]:
        """The sources' hash of each image; makes the JupyterLab extension if one needs it."""
        complete = _chain(recipes, os_hash)
        roots = [recipe for recipe in recipes if not recipe.parent]
        if not self._force and all(self._is_current(r, complete[r.reference]) for r in roots):
            self._skip("jupyterlab")
            return complete
        without = _chain(recipes, os_hash, has_extension=False)
        known = all(self._is_current(r, without[r.reference]) for r in roots)
        if known and not (self._force or self._retry_extension):
            self._skip("jupyterlab", message=f"Without its extension; {_TRY_AGAIN}")
            return without
        self._make_extension()
        return complete if self._extension else without

    def _make_extension(self) -> None:
        """Images without it are better than none: its failure is told and ends nothing."""

        def make(say: Callable[[str], None]) -> str | None:
            try:
                self._extension = prebuilt_extension(_cache(), self._site, say)
            except ImageBuildError as error:
                return why_missing(error)
            except OSError as error:
                return why_missing(explain(str(error), "Building the JupyterLab extension"))
            return None

        self._do("jupyterlab", "Building the JupyterLab extension", make)

    def _is_current(self, recipe: Recipe, source: str) -> bool:
        return _label(self._client, recipe.reference, SOURCE_LABEL) == source

    def _make_os(self, reference: str, source: str, directory: Path) -> None:
        """The distribution's base: kept as an image of its own, shared by all builds."""
        if _label(self._client, reference, SOURCE_LABEL) == source:
            self._skip("distribution")
            return
        if self._from_image:
            self._do(
                "distribution",
                f"Preparing {self._from_image}",
                self._from_registry(reference, source, directory),
            )
            return
        distribution = debootstrap.this_distribution()

        def make(say: Callable[[str], None]) -> None:
            packages = _package_names(directory)
            repository, _, tag = reference.rpartition(":")
            with debootstrap.root_file_system(
                distribution, packages, say, may_install=self._may_install
            ) as stream:
                say("Importing it into the engine")
                self._client.api.import_image_from_data(
                    stream,
                    repository=repository,
                    tag=tag,
                    changes=[f"LABEL {SOURCE_LABEL}={source}", f"LABEL {HIDDEN_LABEL}=1"],
                )

        title = f"Making the base from {distribution.family} {distribution.suite}'s packages"
        self._do("distribution", title, make)

    def _from_registry(
        self, reference: str, source: str, directory: Path
    ) -> Callable[[Callable[[str], None]], None]:
        def make(say: Callable[[str], None]) -> None:
            try:
                self._client.images.get(self._from_image)
            except docker.errors.ImageNotFound:
                say(f"Pulling {self._from_image}")
                self._client.images.pull(self._from_image)
            recipe = Recipe(reference, directory, labels={HIDDEN_LABEL: "1"})
            arguments = {"FROM": self._from_image, **proxies(os.environ)}
            self._docker_build(recipe, arguments, source, say)

        return make

    def _make(self, recipe: Recipe, parent: str, source: str) -> None:
        stage = stage_reference(recipe, source)
        extension = None if recipe.parent else self._extension
        if self._force or not _exists(self._client, stage):
            self._do(
                recipe.name,
                "Installing packages",
                lambda say: install_packages(
                    self._client, recipe, parent, self._site, stage, say, extension=extension
                ),
            )
        else:
            self._skip(recipe.name)
        arguments = {"PARENT": parent, "PACKAGES": stage}
        if not (recipe.parent or extension):
            recipe = replace(recipe, labels={**recipe.labels, EXTENSION_LABEL: "missing"})
        self._do(
            recipe.name,
            "Building the image",
            lambda say: self._docker_build(recipe, arguments, source, say),
        )
        with contextlib.suppress(docker.errors.APIError):
            self._client.api.remove_image(stage, force=True)

    def _docker_build(
        self, recipe: Recipe, arguments: dict[str, str], source: str, say: Callable[[str], None]
    ) -> None:
        """The classic builder; an image that loses its tag to the new one is removed."""
        before = _image_id(self._client, recipe.reference)
        # The parent may be hidden; labels are inherited.
        labels = {HIDDEN_LABEL: "0", **recipe.labels, SOURCE_LABEL: source}
        if not recipe.parent and self._from_image:
            labels[FROM_LABEL] = self._from_image
        try:
            image, _ = self._client.images.build(
                fileobj=context_archive(recipe),
                custom_context=True,
                tag=recipe.reference,
                buildargs=arguments,
                labels=labels,
                network_mode="host" if "FROM" in arguments else "none",
                rm=True,
                forcerm=True,
            )
        except docker.errors.BuildError as error:
            output = "\n".join(
                str(line.get("stream") or line.get("error") or "") for line in error.build_log
            )
            raise explain(f"{output}\n{error}", f"Building {recipe.name}") from error
        if before and before != image.id:
            with contextlib.suppress(docker.errors.APIError):
                self._client.api.remove_image(before)

    def _do(self, image: str, message: str, work: Callable[[Callable[[str], None]], Any]) -> None:
        """One step. ``work`` may return what to say of it in the end instead of ``message``."""
        self._step += 1
        step, steps, started = self._step, self._steps, time.monotonic()

        def say(detail: str = "") -> None:
            self._report(BuildEvent(image, step, steps, "running", message, detail))

        say()
        outcome = work(say) or message
        seconds = time.monotonic() - started
        self._report(BuildEvent(image, step, steps, "done", outcome, seconds=seconds))

    def _skip(self, image: str, steps: int = 1, message: str = "Already built") -> None:
        self._step += steps
        self._report(BuildEvent(image, self._step, self._steps, "skipped", message))


def _chain(recipes: list[Recipe], os_hash: str, *, has_extension: bool = True) -> dict[str, str]:
    """The hash of each recipe on those of its parents; "" is the distribution."""
    hashes = {"": os_hash}
    for recipe in recipes:
        complete = has_extension or bool(recipe.parent)
        hashes[recipe.reference] = source_hash(
            recipe, hashes[recipe.parent], has_extension=complete
        )
    return hashes


def _os_identity(directory: Path, from_image: str) -> tuple[str, str]:
    """Reference and content hash of the distribution's base."""
    facts = [from_image, debootstrap.EDITION]
    if from_image:
        tag = "from-" + hashlib.sha256(from_image.encode()).hexdigest()[:8]
    else:
        distribution = debootstrap.this_distribution()
        tag = f"{distribution.family}-{distribution.suite}"
    facts.append(tag)
    for name, path in sorted(files_below(directory).items()):
        facts += [name, path.read_text(encoding="utf-8")]
    return f"{REPOSITORY}/os:{tag}", hashlib.sha256("\0".join(facts).encode()).hexdigest()


def _package_names(directory: Path) -> list[str]:
    lines = (directory / "packages.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _label(client: Any, reference: str, label: str) -> str | None:
    try:
        return (client.images.get(reference).labels or {}).get(label)
    except docker.errors.ImageNotFound:
        return None


def _image_id(client: Any, reference: str) -> str:
    try:
        return str(client.images.get(reference).id)
    except docker.errors.ImageNotFound:
        return ""


def _exists(client: Any, reference: str) -> bool:
    return bool(_image_id(client, reference))


def _require_space(client: Any, needed: int) -> None:
    """Refuse early what would end on a full disk; an engine elsewhere is not looked at."""
    root = Path(client.info().get("DockerRootDir") or "/var/lib/docker")
    try:
        free = shutil.disk_usage(root).free
    except OSError:
        return
    if free < needed:
        raise ImageBuildError(
            f"Building the images needs {needed / 1024**3:.0f} GiB of disk; "
            f"{root} has {free / 1024**3:.1f} GiB free.",
            "Free some space: `docker system df` shows what images and containers hold.",
        )


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "apportion")


@contextlib.contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Two builds of one user would tread on each other's containers."""
    cache = _cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = (cache / "build.lock").open("w")
    except OSError as error:
        raise ImageBuildError(
            f"Cannot write {cache}: {error.strerror}", "Set XDG_CACHE_HOME to a writable directory."
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ImageBuildError(
                "Another build of images is running.", "Wait until it ends, then try again."
            ) from error
        yield


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Turn what the engine and the system raise into an ImageBuildError."""
    try:
        yield
    except docker.errors.DockerException as error:
        raise explain(str(error), "Building the images") from error
    except requests.exceptions.RequestException as error:
        raise ImageBuildError(
            f"The Docker Engine stopped answering: {error}",
            "Look at its log, start it again, and build again: finished parts are kept.",
        ) from error
    except OSError as error:
        raise explain(str(error), "Building the images") from error
