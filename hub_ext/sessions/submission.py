"""From a launch request to stored sessions, or to the forecast of a dry run.

Refused at once is what waiting cannot cure; whatever merely has to wait, waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from jupyterhub.slugs import is_valid_safe_slug
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.models import NodeRow, SessionRow
from hub_ext.errors import BadValue, Conflict, OverLimit
from hub_ext.folders.access import Person
from hub_ext.folders.holders import identify
from hub_ext.folders.session_mounts import MountPlan
from hub_ext.projects.admission import Admission, Ask, admit, launch_project
from hub_ext.scheduling import dry_run, model
from hub_ext.sessions.changes import Change
from hub_ext.sessions.launch import LaunchRequest, numbered, slug
from hub_ext.sessions.once import stored
from hub_ext.sessions.shape import Shape, shape_of
from hub_ext.sessions.snapshot import read_snapshot, view_of
from hub_ext.sessions.start_time import check_start_time
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import NewSession, live_session
from hub_ext.site import Site


@dataclass(frozen=True, slots=True)
class Submitter:
    """For whom a session is: ``groups`` and ``admin`` as the hub has them.

    by: who submits it, when that is somebody else.
    """

    user: str
    groups: frozenset[str] = frozenset()
    admin: bool = False
    by: str = ""

    @property
    def person(self) -> Person:
        """As whom the session mounts folders: its user, whoever submits it."""
        if self.by:
            return Person(self.user)
        return Person(self.user, self.groups, self.admin)


class Submissions:
    """The one way into the queue, for the page, the API, the CLI and the hub's own spawn."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def submit(
        self,
        submitter: Submitter,
        request: LaunchRequest,
        *,
        server_name: str | None = None,
        ids: Sequence[str] = (),
    ) -> list[SessionRow]:
        """Store ``count`` PENDING sessions, all or none.

        ``server_name`` is the hub server that is being started, if the hub asks; the
        first session takes it. ``ids``: what the sessions are to be called (see ``once_ids``);
        when they are there already, they are the answer.
        Raises BadValue, Forbidden, OverLimit, Conflict.
        """
        user = submitter.user
        with self._site.database.transaction() as db:
            before = stored(db, ids) if ids else []
            if before:
                return before
            if server_name is not None:
                # the hub keeps the options of a server, also when their time has passed
                request = _without_past_start(request)
            shape, admission = self._admitted(db, submitter, request)
            plan = MountPlan(db, self._site, submitter.person, keep=True)
            mounts = plan.mounts(request.folders, request.new_folders, admission.project)
            rows = []
            for number in range(1, request.count + 1):
                name, server = self._names(db, user, request, shape, number, server_name)
                row = self._site.store.add(
                    db,
                    NewSession(
                        user=user,
                        server_name=server,
                        name=name,
                        project=admission.project,
                        image=shape.image.reference,
                        image_title=shape.image.title,
                        preset=shape.preset,
                        gpu_milli=shape.gpu_milli,
                        cpu_milli=shape.cpu_milli,
                        memory_mib=shape.memory_mib,
                        lifetime_s=admission.lifetime_s,
                        options=_options(request, name),
                        mounts=[mount.as_json() for mount in mounts],
                        priority=request.priority,
                        preemptible=request.preemptible,
                        requeue=request.requeue,
                        not_before=request.not_before,
                        **({"id": ids[number - 1]} if ids else {}),
                    ),
                    by=submitter.by or user,
                )
                identify(db, row.id, submitter.person)
                rows.append(row)
        for row in rows:
            self._site.changes.announce(Change(row.id, row.user, row.project))
        return rows

    def forecast(self, submitter: Submitter, request: LaunchRequest) -> list[model.Forecast]:
        """What would happen to each of ``count`` sessions submitted now; stores nothing.

        Raises as ``submit`` does.
        """
        return self._play(*self._candidates(submitter, request))

    async def forecast_soon(
        self, submitter: Submitter, request: LaunchRequest
    ) -> list[model.Forecast]:
        """As ``forecast``; others are served while it thinks."""
        return await asyncio.to_thread(self._play, *self._candidates(submitter, request))

    def _candidates(
        self, submitter: Submitter, request: LaunchRequest
    ) -> tuple[model.Snapshot, list[model.Session]]:
        """The site as it is, and the sessions that would be submitted."""
        user = submitter.user
        with self._site.database.transaction() as db:
            shape, admission = self._admitted(db, submitter, request)
            plan = MountPlan(db, self._site, submitter.person, keep=False)
            plan.mounts(request.folders, request.new_folders, admission.project)
            rows = [
                _candidate(user, number, request, shape, admission)
                for number in range(request.count)
            ]
            snapshot = read_snapshot(db, view_of(self._site), rows)
        names = {row.id for row in rows}
        candidates = [session for session in snapshot.sessions if session.id in names]
        others = tuple(session for session in snapshot.sessions if session.id not in names)
        return replace(snapshot, sessions=others), candidates

    def _play(
        self, snapshot: model.Snapshot, sessions: list[model.Session]
    ) -> list[model.Forecast]:
        """One dry run a session, each after those before it."""
        forecasts = []
        for session in sessions:
            forecast = dry_run(snapshot, session, self._site.policy.placement)
            snapshot = replace(snapshot, sessions=(*snapshot.sessions, _assumed(session, forecast)))
            forecasts.append(_with_start_time(forecast, session, snapshot.now))
        return forecasts

    def check_same(self, row: SessionRow, request: LaunchRequest) -> None:
        """A repeated request finds its old place, but only if it asks for the same.

        Raises Conflict while another request of the same server waits.
        """
        if row.status == Status.PENDING and _options(request, row.name) != row.options:
            raise Conflict(
                f"Another request for this server waits already ({row.image_title},"
                f" {self._site.policy.unit.fgpu(row.gpu_milli):g} fGPU). Cancel it first.",
                field="name",
            )

    def _admitted(
        self, db: Session, submitter: Submitter, request: LaunchRequest
    ) -> tuple[Shape, Admission]:
        """Refuse what waiting cannot cure. What is not asked for, the project may choose."""
        user, groups, admin = submitter.user, submitter.groups, submitter.admin
        check_start_time(request.not_before, self._site.policy.timezone)
        project, _role = launch_project(db, self._site, user, groups, admin, request.project)
        sees_all = admin and not submitter.by
        shape = shape_of(db, self._site, user, groups, sees_all, request, project.name)
        ask = Ask(
            user=user,
            groups=groups,
            admin=admin,
            project=project.name,
            image=shape.image.reference,
            preset=shape.preset,
            kind="interactive",
            demand=shape.demand(),
            preemptible=request.preemptible,
            priority=request.priority,
            count=request.count,
            lifetime_s=request.lifetime_s,
        )
        admission = admit(db, self._site, ask)
        self._check_fits_somewhere(db, shape, admission)
        self._check_pending(db, submitter.user, request.count)
        return shape, admission

    def _check_fits_somewhere(self, db: Session, shape: Shape, admission: Admission) -> None:
        """Refuse what no node that its project may use could hold even when it is empty."""
        query, groups = select(NodeRow), admission.resource_groups
        if groups is not None:
            query = query.where(NodeRow.resource_group.in_(groups))
        nodes = db.scalars(query).all()
        unit = self._site.policy.unit
        largest = max(
            (sum(device.capacity_milli for device in node.devices) for node in nodes), default=0
        )
        if shape.gpu_milli > largest:
            raise OverLimit(
                f"Asks for {unit.fgpu(shape.gpu_milli):g} fGPU on one node;"
                f" the largest node has {unit.fgpu(largest):g} fGPU.",
                field="fgpu",
            )
        cpu = max((node.cpu_milli for node in nodes), default=0)
        memory = max((node.memory_mib for node in nodes), default=0)
        for field, asked, there, unit_name in (
            ("cpu", shape.cpu_milli / 1000, cpu / 1000, "cores"),
            ("memory_mib", shape.memory_mib, memory, "MiB of memory"),
        ):
            if asked > there:
                raise OverLimit(
                    f"Asks for {asked:.12g} {unit_name};"
                    f" the largest node has {there:.12g} to give.",
                    field=field,
                )

    def _check_pending(self, db: Session, user: str, count: int) -> None:
        limit = self._site.policy.max_pending_per_user
        query = select(func.count()).where(
            SessionRow.user == user, SessionRow.status == Status.PENDING
        )
        waiting = db.scalar(query) or 0
        if waiting + count > limit:
            raise OverLimit(
                f"{waiting} of your sessions wait already; with {count} more that is above"
                f" the limit of {limit}.",
                field="count",
            )

    def _names(
        self,
        db: Session,
        user: str,
        request: LaunchRequest,
        shape: Shape,
        number: int,
        server_name: str | None,
    ) -> tuple[str, str]:
        """Display name and hub server name of the ``number``-th session."""
        base = request.name or server_name or shape.image.family or "session"
        name = numbered(base, number) if request.count > 1 else base
        if server_name is not None and number == 1:
            return name, server_name
        server = slug(base, number if request.count > 1 else None)
        if request.name is None or server != name:
            server = self._free_server(db, user, server)
        return name, server

    def _free_server(self, db: Session, user: str, server: str) -> str:
        """A name that no live session of the user has; only for names we made up."""
        free = server
        for number in range(2, 1000):
            if live_session(db, user, free) is None:
                break
            free = slug(server, number)
        return free


def check_server_name(name: str) -> str:
    """A hub server name as JupyterHub 6 wants it ("" is the default server)."""
    if name and not is_valid_safe_slug(name):
        raise BadValue(f"{name!r} is not a server name of the hub.", field="server_name")
    return name


def _options(request: LaunchRequest, name: str) -> dict[str, Any]:
    """What the hub keeps, so that a later start asks for the same, once."""
    once = {"count", "new_folders", "not_before"}
    options = request.model_dump(exclude_defaults=True, exclude=once)
    folders = [*request.folders]
    names = {folder.name for folder in folders}
    extra = [{"name": folder} for folder in request.new_folders if folder not in names]
    if extra:
        options["folders"] = [*options.get("folders", []), *extra]
    return options | {"name": name}


def _without_past_start(request: LaunchRequest) -> LaunchRequest:
    if request.not_before is None or request.not_before > time.time():
        return request
    return request.model_copy(update={"not_before": None})


def _with_start_time(
    forecast: model.Forecast, session: model.Session, now: float
) -> model.Forecast:
    """Who is set to start later is expected then, as far as anybody knows."""
    waiting = forecast.waiting
    if waiting is None or session.not_before is None or waiting.reason.code != "not_before":
        return forecast
    return replace(forecast, waiting=replace(waiting, estimate_s=session.not_before - now))


def _candidate(
    user: str, number: int, request: LaunchRequest, shape: Shape, admission: Admission
) -> SessionRow:
    """A row as ``submit`` would store it, for the dry run alone."""
    return SessionRow(
        id=f"dry-run-{number}",
        user=user,
        project=admission.project,
        status=Status.PENDING,
        image=shape.image.reference,
        gpu_milli=shape.gpu_milli,
        cpu_milli=shape.cpu_milli,
        memory_mib=shape.memory_mib,
        lifetime_s=admission.lifetime_s,
        priority=request.priority,
        preemptible=request.preemptible,
        not_before=request.not_before,
        notice_code="",
        submitted_at=time.time(),
        order=2**40 + number,
    )


def _assumed(session: model.Session, forecast: model.Forecast) -> model.Session:
    """The session as it would be after this forecast, for the next of the same batch."""
    if forecast.placements is None:
        return session
    return replace(
        session,
        state="running",
        placements=forecast.placements,
        running_since=session.submitted_at,
    )
