"""What a launch request comes to: an image, and resources in integers."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import NodeRow, PresetRow, SessionRow
from hub_ext.errors import BadValue, EngineAway, OverLimit
from hub_ext.images.catalogue import CatalogueImage, split_reference
from hub_ext.images.visibility import visible_images
from hub_ext.nodes.presets import list_presets
from hub_ext.projects.shares import allowed
from hub_ext.projects.tree import read_projects
from hub_ext.scheduling import model
from hub_ext.sessions.launch import LaunchRequest
from hub_ext.site import Site


@dataclass(frozen=True, slots=True)
class Shape:
    """What a request comes to: image and integers (milli-GPU, milli-CPU, MiB)."""

    image: CatalogueImage
    preset: str | None
    gpu_milli: int
    cpu_milli: int
    memory_mib: int

    def demand(self) -> model.Demand:
        """For the scheduler."""
        return model.Demand(self.gpu_milli, self.cpu_milli, self.memory_mib)


def shape_of(
    db: Session,
    site: Site,
    user: str,
    groups: Collection[str],
    admin: bool,
    request: LaunchRequest,
    project: str,
) -> Shape:
    """What the request comes to in this project. Raises BadValue, OverLimit, EngineAway.

    ``admin``: names any image; one that is chosen for him is from those of his own.
    """
    projects = read_projects(db)
    named = bool(request.image)
    visible = visible_images(db, site, user, groups, admin and named)
    image = _image(db, site, user, request, visible, allowed(projects, project, "images"))
    preset = _preset(db, request, allowed(projects, project, "presets"))
    unit = site.policy.unit
    shape = Shape(
        image=image,
        preset=request.preset or (preset.name if preset is not None else None),
        gpu_milli=preset.gpu_milli if preset and request.fgpu is None else 0,
        cpu_milli=preset.cpu_milli if preset else 1000,
        memory_mib=preset.memory_mib if preset else 2048,
    )
    if request.fgpu is not None:
        shape = replace(shape, gpu_milli=unit.parse(request.fgpu))
    if request.cpu is not None:
        shape = replace(shape, cpu_milli=max(10, round(request.cpu * 1000)))
    if request.memory_mib is not None:
        shape = replace(shape, memory_mib=request.memory_mib)
    _check_image_minimum(site, shape)
    return shape


def _image(
    db: Session,
    site: Site,
    user: str,
    request: LaunchRequest,
    images: dict[str, CatalogueImage],
    allowed: frozenset[str] | None,
) -> CatalogueImage:
    """The named image; else of those allowed the user's last, the site's default, the first."""
    if not site.images:
        _check_node(db, site)
        raise OverLimit(
            "No image is there yet. An admin builds one with 'apportion image build'.",
            field="image",
        )
    if request.image:
        image = images.get(request.image) or images.get(":".join(split_reference(request.image)))
        if image is None:
            raise BadValue(f"There is no image '{request.image}'.", field="image")
        return image
    if allowed is not None:
        images = {name: image for name, image in images.items() if name in allowed}
    if not images:
        raise OverLimit("No image that the project may use is there yet.", field="image")
    last = db.scalar(
        select(SessionRow.image)
        .where(SessionRow.user == user, SessionRow.image.in_(images))
        .order_by(SessionRow.order.desc())
        .limit(1)
    )
    fallback = site.policy.default_image
    chosen = last or (fallback if fallback in images else next(iter(images)))
    return images[chosen]


def _check_node(db: Session, site: Site) -> None:
    """Say so when the reason for having nothing is an engine that is away."""
    name = next(iter(site.nodes))  # all of them are of the same engine
    node = db.get(NodeRow, name)
    if node is None or node.problem:
        problem = node.problem if node is not None else "it has not answered yet"
        raise EngineAway(f"Node {name} cannot take sessions now: {problem}")


def _preset(
    db: Session, request: LaunchRequest, allowed: frozenset[str] | None
) -> PresetRow | None:
    """The named preset; the first one allowed when nothing at all was said."""
    if request.preset is not None:
        preset = db.get(PresetRow, request.preset)
        if preset is None:
            raise BadValue(f"There is no preset '{request.preset}'.", field="preset")
        return preset
    if request.fgpu is None and request.cpu is None and request.memory_mib is None:
        presets = list_presets(db)
        return next((p for p in presets if allowed is None or p.name in allowed), None)
    return None


def _check_image_minimum(site: Site, shape: Shape) -> None:
    image, unit = shape.image, site.policy.unit
    if shape.memory_mib < image.min_memory_mib:
        raise BadValue(
            f"{image.title} needs at least {image.min_memory_mib} MiB of memory,"
            f" not {shape.memory_mib}.",
            field="memory_mib",
        )
    if shape.cpu_milli < image.min_cpu_milli:
        raise BadValue(
            f"{image.title} needs at least {image.min_cpu_milli / 1000:g} cores,"
            f" not {shape.cpu_milli / 1000:g}.",
            field="cpu",
        )
    if unit.fgpu(shape.gpu_milli) < float(image.min_fgpu):
        raise BadValue(
            f"{image.title} needs at least {float(image.min_fgpu):g} fGPU,"
            f" not {unit.fgpu(shape.gpu_milli):g}.",
            field="fgpu",
        )
