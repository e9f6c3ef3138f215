"""The launches that a user may want again: his last different ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, lazyload

from hub_ext.db.models import SessionRow
from hub_ext.errors import NotFound
from hub_ext.sessions.launch import LaunchRequest, numbered, read_launch_request, slug
from hub_ext.sessions.store import live_session
from hub_ext.site import Site
from hub_ext.web.launch.filled import Filled, filled_from_options

SHOWN = 5
_LOOKED_AT = 200
"""So many sessions are looked through for different ones."""


def recent_launches(db: Session, site: Site, user: str) -> list[dict[str, Any]]:
    """The last ones that differ in image, resources, project or folders; the newest first."""
    query = select(SessionRow).where(SessionRow.user == user).options(lazyload(SessionRow.slices))
    rows = db.scalars(query.order_by(SessionRow.order.desc()).limit(_LOOKED_AT))
    different: dict[str, SessionRow] = {}
    for row in rows:
        if len(different) < SHOWN:
            different.setdefault(_what(row), row)
    return [_recent_json(site, row) for row in different.values()]


def own_session(db: Session, user: str, session_id: str) -> SessionRow:
    """A session of this user's. Raises NotFound, whether it is another's or none."""
    row = db.get(SessionRow, session_id)
    if row is None or row.user != user:
        raise NotFound("There is no such session of yours.")
    return row


def filled_from_session(row: SessionRow, name: str) -> Filled:
    """The form as it was for this session, with another name."""
    return filled_from_options(row.options, project=row.project, image=row.image, name=name)


def same_again(row: SessionRow) -> LaunchRequest:
    """A request for the same. Raises BadValue when it could not be asked for any more."""
    asked = {"image": row.image, "project": row.project, **row.options, "name": row.name}
    return read_launch_request(asked)


def free_name(db: Session, user: str, name: str) -> str:
    """The name, or one like it, that no live session of the user has."""
    free, base = name, re.sub(r"-[0-9]{1,3}$", "", name)
    for number in range(2, 1000):
        if live_session(db, user, slug(free)) is None:
            break
        free = numbered(base, number)
    return free


def _what(row: SessionRow) -> str:
    """What makes a launch another one."""
    wishes = [sorted(wish.items()) for wish in _wishes(row)]
    numbers = (row.gpu_milli, row.cpu_milli, row.memory_mib)
    return repr((row.image, numbers, row.project, sorted(wishes)))


def _wishes(row: SessionRow) -> Sequence[dict[str, str]]:
    return row.options.get("folders") or []


def _recent_json(site: Site, row: SessionRow) -> dict[str, Any]:
    folders = [mount["name"] for mount in row.mounts if not mount.get("auto")]
    image = site.images.get(row.image)
    return {
        "id": row.id,
        "name": row.name,
        "image": f"{row.image_title} {image.version}" if image and image.labelled else row.image,
        "there": image is not None,
        "project": row.project,
        "fgpu": site.policy.unit.fgpu(row.gpu_milli),
        "cpu": row.cpu_milli / 1000,
        "memory_gib": row.memory_mib / 1024,
        "folders": ", ".join(folders),
        "at": row.submitted_at,
    }
