"""What the spawners inside the hub ask: a slice, its progress, its release."""

from __future__ import annotations

import time
from typing import Any

from hub_ext.db.models import SessionRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.folders.handover import hand_over
from hub_ext.folders.holders import identify
from hub_ext.gpu.enforcers import hami_files
from hub_ext.nodes import inventory
from hub_ext.nodes.engine import EngineRefused, EngineUnavailable
from hub_ext.sessions.grant import grant_json, place_of
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.status import BOOKED, STOPPING, Status
from hub_ext.sessions.store import Why, is_live
from hub_ext.sessions.submission import Submitter, check_server_name
from hub_ext.sessions.views import forecast_json, session_json
from hub_ext.web import translation
from hub_ext.web.base import SpawnerApiHandler
from hub_ext.web.launch.announced import announcements_html
from hub_ext.web.launch.filled import Filled, filled_as_typed
from hub_ext.web.launch.form import Refusal, render_launch_form

_STEPS = (Status.PREPARING, Status.STARTING, Status.RUNNING)
_FIRST_LOOK_S = 1.0
"""How long the answer to a request waits for what the scheduler says of it."""
_OUTCOMES = (Status.TERMINATED, Status.CANCELLED, Status.ERROR)


class SpawnerHandler(SpawnerApiHandler):
    """What the hub says in its requests."""

    def text(self, values: Any, field: str, *, limit: int = 2000) -> str:
        """A string field of the body. Raises BadValue."""
        value = values.get(field) if isinstance(values, dict) else None
        if not isinstance(value, str) or len(value) > limit:
            raise BadValue(f"'{field}' must be a string of at most {limit}.", field=field)
        return value

    def run_id(self, values: Any) -> int | None:
        """Which run of the session a report is about; None when the spawner cannot tell."""
        run_id = values.get("run_id")
        if run_id is not None and type(run_id) is not int:
            raise BadValue("'run_id' must be a whole number.", field="run_id")
        return run_id

    def named_user(self, values: Any) -> Submitter:
        """The user that the hub names, with his groups there. Raises BadValue."""
        groups = values.get("groups", []) if isinstance(values, dict) else None
        if not isinstance(groups, list) or not all(isinstance(name, str) for name in groups):
            raise BadValue("'groups' must be a list of names.", field="groups")
        admin = values.get("admin") is True
        return Submitter(self.text(values, "user"), frozenset(groups), admin)

    async def reply_session(self, row: SessionRow) -> None:
        """The session and, once there is one, its grant."""
        row = await hand_over(self.site, row)
        if any(part.enforcer == "hami" for part in row.slices):
            session_dir = place_of(self.site, row.id).session_dir
            hami_files.prepare(session_dir, self.site.policy.user_ids)
        grant = grant_json(self.site, row)
        if grant is not None and row.status == Status.SCHEDULED:
            self.parts.launcher.handed_over(row.id)
        self.reply(session_json(self.site, row) | {"grant": grant})


class RequestsHandler(SpawnerHandler):
    """A spawn of the hub enters the queue here."""

    async def post(self) -> None:
        """The live session of (user, server name), or a new PENDING one: a repeated
        request finds its old place. ``joins``: the one that the start is for; when it has
        ended meanwhile, that is the answer, and no new one is queued."""
        values = self.body()
        submitter = self.named_user(values)
        server_name = check_server_name(self.text(values, "server_name"))
        row = self.site.store.live(submitter.user, server_name)
        joins = self.text(values, "joins") if "joins" in values else ""
        if joins and (row is None or row.id != joins):
            asked_for = self.site.store.get(joins)
            if asked_for.user != submitter.user:
                raise NotFound("There is no such session.")
            await self.reply_session(asked_for)
            return
        if row is not None and row.status in STOPPING:
            raise Conflict("This session is still being stopped; try again in a moment.")
        request = read_launch_request(values.get("options") or {})
        if row is not None:
            self.parts.submissions.check_same(row, request)
            with self.site.database.transaction() as db:
                identify(db, row.id, submitter.person)
        else:
            await inventory.refresh_images(self.site, unless_known=request.image or "")
            rows = self.parts.submissions.submit(submitter, request, server_name=server_name)
            await self.site.changes.wait(rows[0].id, _FIRST_LOOK_S)
            row = self.site.store.get(rows[0].id)
        await self.reply_session(row)


class WaitHandler(SpawnerHandler):
    """Long poll for one session."""

    async def get(self, session_id: str) -> None:
        """Answers as soon as the version is above ``since``, at the latest after ``timeout`` s."""
        since = self.whole_number("since", 0, 0, 2**40)
        timeout = self.whole_number("timeout", 20, 1, 25)
        row = self.site.store.get(session_id)
        if row.version <= since and is_live(row):
            await self.site.changes.wait(session_id, timeout)
            row = self.site.store.get(session_id)
        await self.reply_session(row)


class StatusHandler(SpawnerHandler):
    """A spawner reports how far it is."""

    async def post(self, session_id: str) -> None:
        """PREPARING, STARTING, RUNNING in this order; steps left out are filled in.

        409 when the session has been cancelled or stopped meanwhile. A running session
        that is taken over by a new hub stays RUNNING.
        """
        values = self.body()
        to = self.text(values, "to")
        if to not in _STEPS:
            raise BadValue(f"'to' must be one of {', '.join(_STEPS)}.", field="to")
        row = self.site.store.get(session_id)
        if row.status not in {Status.SCHEDULED, *_STEPS}:
            raise Conflict(f"The session is {row.status}.")
        if self.run_id(values) not in {None, row.run_id}:
            raise Conflict("The session has been back in the queue since.")
        if "container_id" in values:
            self._note_container(session_id, self.text(values, "container_id"))
        order = (Status.SCHEDULED, *_STEPS)
        here, goal = order.index(Status(row.status)), order.index(Status(to))
        for step in order[here + 1 : goal + 1]:
            running_at = {"running_at": time.time()} if step is Status.RUNNING else {}
            row = self.site.store.transition(
                session_id, step, Why(), by="spawner", allowed={order[here]}, **running_at
            )
            here += 1
        await self.reply_session(self.site.store.get(session_id))

    def _note_container(self, session_id: str, container_id: str) -> None:
        with self.site.database.transaction() as db:
            row = db.get(SessionRow, session_id)
            if row is not None:
                row.container_id = container_id


class EndedHandler(SpawnerHandler):
    """A spawner has let go of its server; idempotent."""

    async def post(self, session_id: str | None = None) -> None:
        """By id, or by user and server name when the id is not known any more."""
        values = self.body()
        outcome = self.text(values, "outcome")
        if outcome not in _OUTCOMES:
            raise BadValue(f"'outcome' must be one of {', '.join(_OUTCOMES)}.", field="outcome")
        message = self.text({"message": "", **values}, "message", limit=10_000)
        if session_id is None:
            row = self.site.store.live(self.text(values, "user"), self.text(values, "server_name"))
            if row is None:
                raise NotFound("There is no such session.")
            if row.status == Status.PREEMPTED:  # its user gives it up: it need not come back
                row = self.parts.launcher.stop(row.id, Why(message), by=row.user)
        else:
            row = self.site.store.get(session_id)
        if is_live(row) and self.run_id(values) in {None, row.run_id}:
            gone = values.get("server_gone") is True
            row = await self._end(row, Status(outcome), Why(message), gone=gone)
        await self.reply_session(row)

    async def _end(self, row: SessionRow, outcome: Status, why: Why, *, gone: bool) -> SessionRow:
        """The slice of a container that still lives is not freed: it is removed first.

        ``gone``: the spawner has seen to that.
        """
        if row.status in BOOKED and not gone:
            try:
                await self.parts.launcher.remove_container(row)
            except (EngineRefused, EngineUnavailable):
                if row.status in STOPPING:
                    return row  # the reconciler finishes it
                return self.parts.launcher.stop(row.id, why, by="spawner")
        return self.parts.launcher.end(row.id, outcome, why, by="spawner", run_id=row.run_id)


class LookupHandler(SpawnerHandler):
    """The pending page's question."""

    def get(self) -> None:
        """The live session of a user's server, else its last one; 404 when there is none."""
        user = self.get_query_argument("user")
        server_name = self.get_query_argument("server_name", "")
        row = self.site.store.live(user, server_name) or self.site.store.last(user, server_name)
        if row is None:
            raise NotFound("There is no such session.")
        self.reply(session_json(self.site, row))


class SpawnerDryRunHandler(SpawnerHandler):
    """The live line of the hub's spawn form."""

    async def post(self) -> None:
        """As the public dry run, for the user that the hub names."""
        values = self.body()
        submitter = self.named_user(values)
        request = read_launch_request(values.get("options") or {})
        await inventory.refresh_images(self.site, unless_known=request.image or "")
        forecasts = await self.parts.submissions.forecast_soon(submitter, request)
        self.reply(forecast_json(forecasts))


class LaunchFormHandler(SpawnerHandler):
    """The fields of the hub's spawn page."""

    async def post(self) -> None:
        """HTML for this user and server; ``refused``: as it was sent, and why it comes back."""
        values = self.body()
        submitter = self.named_user(values)
        server_name = self.text(values, "server_name")
        translation.use(translation.choose(self.text(values, "language"), ""))
        filled, refusal = self._refused(values.get("refused"))
        await inventory.refresh_images(self.site)
        html = render_launch_form(
            self.site,
            submitter.user,
            server_name,
            submitter.groups,
            submitter.admin,
            filled=filled,
            refusal=refusal,
        )
        self.reply({"html": announcements_html(self.site, submitter) + html})

    def _refused(self, refused: Any) -> tuple[Filled | None, Refusal | None]:
        if refused is None:
            return None, None
        fields = refused.get("fields") if isinstance(refused, dict) else None
        if not isinstance(fields, dict) or not all(map(_is_texts, fields.values())):
            raise BadValue("'refused.fields' must have lists of texts.", field="refused")
        message, field = self.text(refused, "message", limit=10_000), self.text(refused, "field")
        return filled_as_typed(fields), Refusal(message, field)


def _is_texts(values: Any) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)
