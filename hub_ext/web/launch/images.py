"""The images of the launch form: families, their versions, and what is said of each."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.images.families import Family, families
from hub_ext.images.visibility import visible_images
from hub_ext.site import Site
from hub_ext.web.formats import number
from hub_ext.web.translation import gettext as _

_GIB = 1024**3
_USED = 50
"""So many images that somebody has had are remembered."""


def launch_families(
    db: Session, site: Site, user: str, groups: Collection[str]
) -> list[dict[str, Any]]:
    """The families that the form offers this user, in order; their images as the form has them."""
    visible = visible_images(db, site, user, groups, False)
    last_order = func.max(SessionRow.order)
    used = db.scalars(
        select(SessionRow.image)
        .where(SessionRow.user == user)
        .group_by(SessionRow.image)
        .order_by(last_order.desc())
        .limit(_USED)
    ).all()
    offered = families(visible.values(), [*used, site.policy.default_image, *list(visible)[:1]])
    return [_family_json(family) for family in offered]


def _family_json(family: Family) -> dict[str, Any]:
    return {
        "title": family.title,
        "images": [_image_json(image, _version(image, family)) for image in family.images],
    }


def _version(image: CatalogueImage, family: Family) -> str:
    """What tells an image from the others of its family."""
    if not family.labelled:
        return image.reference
    same = [other for other in family.images if other.version == image.version]
    return image.version if len(same) == 1 else f"{image.version} ({image.reference})"


def _image_json(image: CatalogueImage, version: str) -> dict[str, Any]:
    return {
        "reference": image.reference,
        "version": version,
        "text": f"{image.title} {version}" if image.labelled else version,
        "description": image.description,
        "framework": image.framework,
        "apps": ", ".join(app.title for app in image.apps),
        "size": f"{number(round(image.size_bytes / _GIB, 1))} GiB" if image.size_bytes else "",
        "needs": _needs(image),
    }


def _needs(image: CatalogueImage) -> str:
    """ "at least 0.5 fGPU, 2 GiB of memory"; "" when it asks for nothing."""
    memory = image.min_memory_mib
    amount = f"{number(memory / 1024)} GiB" if memory >= 1024 else f"{number(memory)} MiB"
    needs = [
        f"{number(float(image.min_fgpu))} fGPU" if image.min_fgpu else "",
        f"{number(image.min_cpu_milli / 1000)} CPU" if image.min_cpu_milli else "",
        _("%(amount)s of memory") % {"amount": amount} if memory else "",
    ]
    stated = ", ".join(need for need in needs if need)
    return _("at least %(needs)s") % {"needs": stated} if stated else ""
