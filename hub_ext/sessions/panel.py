"""All about one session for the panel in its JupyterLab: what it has, how long, what may be done.

Read in one transaction; whoever asks has seen to it that the session is his own. Sentences are
English, durations are as of now, since a browser's clock may be wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.db.image_models import ImageRequestRow
from hub_ext.db.models import ProjectRow, SessionRow
from hub_ext.folders.access import Access
from hub_ext.folders.quota import Room, keeps, rooms
from hub_ext.folders.session_mounts import Mount
from hub_ext.gpu.enforcers import ENFORCERS
from hub_ext.images.request_states import UNFINISHED, State, may_follow
from hub_ext.images.requests import request_json
from hub_ext.metering.samples import Sample
from hub_ext.nodes.engine import SavingEngine
from hub_ext.projects.holdings import holding_of
from hub_ext.projects.shares import quota_now
from hub_ext.projects.tree import read_lineage
from hub_ext.scheduling.model import UNLIMITED
from hub_ext.sessions.activity import Activity
from hub_ext.sessions.edits import MAX_LIFETIME_S, longest_lifetime, too_long
from hub_ext.sessions.endings import Ending
from hub_ext.sessions.glance import glance, use_json
from hub_ext.sessions.outlook import idle_limits, outlook
from hub_ext.sessions.status import GRANTED, Status
from hub_ext.sessions.submission import Submitter
from hub_ext.site import Site

RECENT_S = 600.0
"""How far back the plots of the panel go."""


def panel(
    db: Session,
    site: Site,
    activity: Activity,
    who: Submitter,
    row: SessionRow,
    *,
    free_bytes: int | None,
    request: ImageRequestRow | None,
    now: float,
) -> dict[str, Any]:
    """The session of ``who``, who owns it. free_bytes: of the storage; request: its newest one
    for an image. ``links`` are below the address of the service."""
    ending = outlook(db, site.policy, activity, [row]).get(row.id)
    image = site.images.get(row.image)
    extend = _extend(row, longest_lifetime(db, site, who, row))
    return glance(site, row, ending, site.meter.latest(row.id), now) | {
        "image": row.image,
        "image_title": row.image_title,
        "image_version": "" if image is None else image.version,
        "node": row.node,
        "enforcer": _enforcer(row),
        "folders": _folders(db, site, who, row, free_bytes),
        "quota": _quota(db, site, row.project, now),
        "time": _time(row, ending, now)
        | {
            "extend": extend,
            "idle": _idle(db, activity, row, now),
        },
        "recent": {"points": [_point(each, now) for each in site.meter.recent(row.id, RECENT_S)]},
        "image_request": None if request is None else image_request_json(request),
        "can": {
            "extend": extend["allowed"],
            "stop": row.ended_at is None,
            "image_request": _may_become_image(site, row, request),
        },
        "links": {
            "page": f"sessions/{row.id}",
            "launch_again": f"launch?from={row.id}",
            "image_requests": "images",
        },
    }


def image_request_json(row: ImageRequestRow) -> dict[str, Any]:
    """A request for an image, as its user follows it. ``pending``: it can be withdrawn."""
    told = request_json(row)
    names = ("id", "name", "description", "state", "reason", "reference", "progress")
    pending = may_follow(row.state, State.CANCELLED)
    return {name: told[name] for name in names} | {"pending": pending}


def _may_become_image(site: Site, row: SessionRow, request: ImageRequestRow | None) -> bool:
    under_way = request is not None and request.state in UNFINISHED
    engine = isinstance(site.engine, SavingEngine)
    return engine and row.status == Status.RUNNING and not under_way


def _enforcer(row: SessionRow) -> dict[str, str] | None:
    """What keeps the session inside its slice; None without one, or of a simulated device."""
    names = [part.enforcer for part in row.slices if not part.simulated]
    enforcer = ENFORCERS.get(names[0]) if names else None
    if enforcer is None:
        return None
    return {
        "name": enforcer.name,
        "title": enforcer.title,
        "isolates": f"GPU memory: {enforcer.memory} Computing: {enforcer.compute}",
    }


def _folders(
    db: Session, site: Site, who: Submitter, row: SessionRow, free_bytes: int | None
) -> list[dict[str, Any]]:
    mounts = [Mount.read(values, row.user) for values in row.mounts]
    query = select(FolderRow).where(FolderRow.id.in_({mount.id for mount in mounts}))
    known = {folder.id: folder for folder in db.scalars(query)}
    access = Access(db, site.policy, who.person)
    room = rooms(db, site.policy, {(folder.kind, folder.owner) for folder in known.values()})
    found = []
    for mount in mounts:
        folder = known.get(mount.id)
        own = None if folder is None else room[folder.kind, folder.owner]
        told = folder is not None and keeps(access.right(folder))
        found.append(
            {"name": mount.name or "home", "target": mount.target, "mode": mount.mode}
            | _room(own, free_bytes, told=told)
        )
    return found


def _room(room: Room | None, free_bytes: int | None, *, told: bool) -> dict[str, Any]:
    """Bytes; the numbers are for those alone who answer for the folder's room (``told``)."""
    full = free_bytes == 0 or (room is not None and room.full)
    if room is None or not told:
        return {"used_bytes": None, "limit_bytes": None, "free_bytes": None, "full": full}
    left = [] if room.limit is None else [max(0, room.limit - room.used)]
    if free_bytes is not None:
        left.append(free_bytes)
    return {
        "used_bytes": room.used,
        "limit_bytes": room.limit,
        "free_bytes": min(left, default=None),
        "full": full,
    }


def _quota(db: Session, site: Site, name: str, now: float) -> dict[str, Any]:
    row = read_lineage(db, name).get(name)
    unit, held = site.policy.unit, holding_of(db, name).gpu_milli
    quota = UNLIMITED if row is None else quota_now(row, now, site.policy.timezone).gpu_milli
    limit = UNLIMITED if row is None else row.limit_gpu_milli
    return {
        "project": name,
        "title": _title(row),
        "used_fgpu": unit.fgpu(held),
        "quota_fgpu": None if quota == UNLIMITED else unit.fgpu(quota),
        "limit_fgpu": None if limit == UNLIMITED else unit.fgpu(limit),
        "sentence": _quota_sentence(name, held, quota, unit.fgpu),
    }


def _title(row: ProjectRow | None) -> str:
    return "" if row is None else row.title


def _quota_sentence(name: str, held: int, quota: int, fgpu: Callable[[int], float]) -> str:
    used = f"{fgpu(held):g}"
    if quota == UNLIMITED:
        return f"Project {name} holds {used} fGPU; its quota has no limit."
    most = f"{fgpu(quota):g}"
    if held > quota:
        return (
            f"Project {name} holds {used} fGPU, more than its quota of {most}: those of its"
            " sessions that may be reclaimed can be stopped for others."
        )
    return f"Project {name} holds {used} of its quota of {most} fGPU."


def _time(row: SessionRow, ending: Ending | None, now: float) -> dict[str, Any]:
    return {
        "seconds_left": None if ending is None else max(0.0, ending.at - now),
        "code": None if ending is None else ending.code,
        "message": "" if ending is None else ending.message,
        "running_s": None if row.running_at is None else max(0.0, now - row.running_at),
        "lifetime_s": row.lifetime_s,
    }


def _extend(row: SessionRow, most_s: int | None) -> dict[str, Any]:
    """Whether its user may give it more time, and how many seconds at most (None: any)."""
    if row.status not in GRANTED | {Status.PENDING}:
        why = f"The session is {row.status}; it cannot be extended."
        return {"allowed": False, "most_s": 0, "why": why}
    if row.lifetime_s is None:
        return {"allowed": False, "most_s": 0, "why": "Its lifetime has no limit."}
    more = min(most_s or MAX_LIFETIME_S, MAX_LIFETIME_S) - row.lifetime_s
    if more <= 0:
        return {
            "allowed": False,
            "most_s": 0,
            "why": too_long(row.project, most_s or MAX_LIFETIME_S),
        }
    return {"allowed": True, "most_s": None if most_s is None else more, "why": ""}


def _idle(db: Session, activity: Activity, row: SessionRow, now: float) -> dict[str, Any]:
    """How long it may idle and does, in seconds; of a batch session nobody asks."""
    limit = None
    if row.kind == "interactive" and row.status == Status.RUNNING:
        limits = idle_limits(db, read_lineage(db, row.project), [row])
        limit = limits.get((row.project, row.user))
    active_at = activity.of(row.user, row.server_name)
    idle_s = left_s = None
    if active_at is not None:
        idle_s = max(0.0, now - max(active_at, row.running_at or 0.0))
        left_s = None if limit is None else max(0.0, limit - idle_s)
    return {"limit_s": limit, "idle_s": idle_s, "left_s": left_s}


def _point(used: Sample, now: float) -> dict[str, Any]:
    return {"ago_s": max(0.0, now - used.at)} | use_json(used)
