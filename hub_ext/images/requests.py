"""Requests to keep a session as an image: asked, shown, approved or declined."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.db.models import SessionRow
from hub_ext.errors import Conflict, EngineAway, NotFound, OverLimit
from hub_ext.images.detached import detached
from hub_ext.images.diff import summarise
from hub_ext.images.request_states import UNFINISHED, State, may_follow
from hub_ext.images.saved_names import check_name
from hub_ext.nodes.engine import (
    EngineRefused,
    EngineUnavailable,
    ImageStore,
    SavingEngine,
)
from hub_ext.projects.audit import note
from hub_ext.sessions.status import Status
from hub_ext.site import Site

ENDED = "The session has ended, or was started again, before it was saved."
_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=_PRINTABLE)]


class NewImageRequest(BaseModel):
    """Body of ``POST /sessions/{id}/image-request``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=256)]
    description: Annotated[_Text, AfterValidator(str)] = ""


class Decline(BaseModel):
    """Body of ``POST /image-requests/{id}/decline``."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[_Text, Field(min_length=1)]


def image_store(site: Site) -> ImageStore:
    """Raises Conflict when sessions of this site are no containers."""
    if not isinstance(site.engine, SavingEngine):
        raise Conflict("Sessions are no containers here, so they cannot become images.")
    return site.engine.image_store


class ImageRequests:
    """The requests of a site."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def ask(self, session: SessionRow, by: str, new: NewImageRequest) -> ImageRequestRow:
        """A request by the session's owner; approved at once where the site says so.

        Raises BadValue, Conflict (the session does not run), OverLimit, EngineAway.
        """
        name = check_name(new.name)
        _check_runs(session)
        with self._site.database.transaction() as db:
            self._check_room(db, session.id, by)
        # the engine walks through every file: only for what may become a request
        parent_id, size, diff = await self._look(session.container_id or "")
        with self._site.database.transaction() as db:
            session = db.get_one(SessionRow, session.id)
            _check_runs(session)
            self._check_room(db, session.id, by)
            row = ImageRequestRow(
                id=uuid.uuid4().hex,
                session_id=session.id,
                user=by,
                project=session.project,
                name=name,
                description=new.description,
                state=State.REQUESTED,
                container_id=session.container_id,
                parent_id=parent_id,
                parent=session.image,
                size_bytes=size,
                diff=diff,
                requested_at=time.time(),
            )
            db.add(row)
            db.flush()
            asked = {"name": name, "session": session.id, "size_bytes": size}
            note(db, by, "image.request", row.id, session.project, None, asked)
            if self._site.policy.approve_own_images:
                _decide(db, row, State.APPROVED, by)
        return row

    async def approve(self, request_id: str, by: str) -> ImageRequestRow:
        """Let it be saved. Size and diff are read again. Raises NotFound, Conflict, EngineAway."""
        row = self.get(request_id)
        _check_follows(row, State.APPROVED)
        if not self.session_runs(row):
            self._fail_ended(request_id)
            raise Conflict(ENDED)
        _parent, size, diff = await self._look(row.container_id or "")
        with self._site.database.transaction() as db:
            row = _fresh(db, request_id)
            row.size_bytes, row.diff = size, diff
            _decide(db, row, State.APPROVED, by)
        return row

    def decline(self, request_id: str, by: str, reason: str) -> ImageRequestRow:
        """With a reason for the requester. Raises NotFound, Conflict."""
        return self._end(request_id, State.DECLINED, by, reason)

    def cancel(self, request_id: str, by: str) -> ImageRequestRow:
        """Before it is worked on. Raises NotFound, Conflict."""
        return self._end(request_id, State.CANCELLED, by, f"Cancelled by {by}.")

    def push_again(self, request_id: str, by: str) -> ImageRequestRow:
        """Try to bring a finished image to the registry once more. Raises NotFound, Conflict."""
        with self._site.database.transaction() as db:
            row = _fresh(db, request_id)
            registry, image = self._site.policy.registry, None
            if row.reference is not None:
                image = db.get(ImageRow, row.reference)
            _check_follows(row, State.PUSHING)
            if not registry or not (row.reference or "").startswith(f"{registry}/"):
                raise Conflict("This image is not named for the site's registry.")
            if image is None or image.deleted_at is not None:
                raise Conflict("The image has been deleted.")
            row.state, row.reason, row.ended_at = State.PUSHING, "", None
            note(db, by, "image.push", row.reference or "", row.project, None, None)
        return row

    def get(self, request_id: str) -> ImageRequestRow:
        """Raises NotFound."""
        with self._site.database.transaction() as db:
            return _fresh(db, request_id)

    def newest(self, session_id: str) -> ImageRequestRow | None:
        """The last one about this session."""
        query = select(ImageRequestRow).where(ImageRequestRow.session_id == session_id)
        query = query.order_by(ImageRequestRow.requested_at.desc(), ImageRequestRow.id)
        with self._site.database.transaction() as db:
            return db.scalar(query.limit(1))

    def find(
        self, *, user: str | None, states: Sequence[str], limit: int, before: float
    ) -> Sequence[ImageRequestRow]:
        """The newest first; None: of everybody; no states: all."""
        query = select(ImageRequestRow).where(ImageRequestRow.requested_at < before)
        if user is not None:
            query = query.where(ImageRequestRow.user == user)
        if states:
            query = query.where(ImageRequestRow.state.in_(states))
        with self._site.database.transaction() as db:
            return db.scalars(
                query.order_by(ImageRequestRow.requested_at.desc()).limit(limit)
            ).all()

    def session_runs(self, row: ImageRequestRow) -> bool:
        """Whether the session still runs in the container that the request is about."""
        with self._site.database.transaction() as db:
            session = db.get(SessionRow, row.session_id)
            return (
                session is not None
                and session.status == Status.RUNNING
                and session.container_id == row.container_id
            )

    def fail_ended(self) -> None:
        """Requests whose session is gone cannot be carried out any more."""
        for row in self.find(
            user=None, states=[State.REQUESTED, State.APPROVED], limit=1000, before=time.time() + 1
        ):
            if not self.session_runs(row):
                self._fail_ended(row.id)

    def _fail_ended(self, request_id: str) -> None:
        with self._site.database.transaction() as db:
            row = _fresh(db, request_id)
            if may_follow(row.state, State.FAILED):
                row.state, row.reason, row.ended_at = State.FAILED, ENDED, time.time()

    async def _look(self, container_id: str) -> tuple[str, int, dict[str, Any]]:
        """Image id, bytes written, summary of the paths. Raises EngineAway, Conflict."""
        store = image_store(self._site)

        def look() -> tuple[str, int, dict[str, Any]]:
            facts = store.container(container_id)
            if facts is None or not facts.running:
                raise Conflict(ENDED)
            size, changes = store.written(container_id)
            return facts.image_id, size, summarise(changes)

        try:
            return await detached(look)
        except EngineUnavailable as error:
            raise EngineAway(str(error)) from error
        except EngineRefused as error:
            raise Conflict(f"The session cannot be looked at: {error}") from error

    def _end(self, request_id: str, to: State, by: str, reason: str) -> ImageRequestRow:
        with self._site.database.transaction() as db:
            row = _fresh(db, request_id)
            _decide(db, row, to, by, reason)
            row.ended_at = time.time()
        return row

    def _check_room(self, db: Session, session_id: str, user: str) -> None:
        """Raises Conflict, OverLimit."""
        self._check_none_waits(db, session_id)
        self._check_limit(db, user)

    def _check_none_waits(self, db: Session, session_id: str) -> None:
        query = select(ImageRequestRow).where(
            ImageRequestRow.session_id == session_id, ImageRequestRow.state.in_(UNFINISHED)
        )
        row = db.scalar(query.limit(1))
        if row is not None:
            raise Conflict(
                f"This session is to become '{row.name}' already ({row.state}). Cancel that"
                " request first, or wait until it is done."
            )

    def _check_limit(self, db: Session, user: str) -> None:
        limit = self._site.policy.max_saved_images
        images, requests = held(db, user)
        if images + requests >= limit:
            raise OverLimit(
                f"You have {images} saved images and {requests} requests; the limit is {limit}"
                " together. Delete an image or cancel a request first.",
                field="name",
            )


def held(db: Session, user: str) -> tuple[int, int]:
    """Saved images of a user and his requests under way, which have one limit together."""
    mine = (ImageRow.owner == user, ImageRow.deleted_at.is_(None))
    # the row of an image comes before the request for it is done
    under_way = select(ImageRequestRow.reference).where(
        ImageRequestRow.user == user,
        ImageRequestRow.state.in_(UNFINISHED),
        ImageRequestRow.reference.is_not(None),
    )
    images = select(func.count()).where(*mine, ImageRow.reference.not_in(under_way))
    requests = select(func.count()).where(
        ImageRequestRow.user == user, ImageRequestRow.state.in_(UNFINISHED)
    )
    return db.scalar(images) or 0, db.scalar(requests) or 0


def may_push_again(row: ImageRequestRow, registry: str) -> bool:
    """Whether an image is there that should be in the registry, and did not get there."""
    named = bool(registry) and (row.reference or "").startswith(f"{registry}/")
    return row.state == State.DONE and bool(row.reason) and named


def request_json(row: ImageRequestRow) -> dict[str, Any]:
    """For the API. ``reference`` is there as soon as the image is; progress from 0 to 1."""
    there = row.state in {State.PUSHING, State.DONE}
    return {
        "id": row.id,
        "session_id": row.session_id,
        "user": row.user,
        "project": row.project,
        "name": row.name,
        "description": row.description,
        "parent": row.parent,
        "state": row.state,
        "reason": row.reason,
        "reference": row.reference if there else None,
        "size_bytes": row.size_bytes,
        "diff": row.diff,
        "unsearched": row.unsearched,
        "progress": row.progress,
        "requested_at": row.requested_at,
        "decided_at": row.decided_at,
        "decided_by": row.decided_by,
        "ended_at": row.ended_at,
    }


def _check_runs(session: SessionRow) -> None:
    if session.status != Status.RUNNING or not session.container_id:
        raise Conflict(f"Only a running session can become an image; this one is {session.status}.")


def _fresh(db: Session, request_id: str) -> ImageRequestRow:
    row = db.get(ImageRequestRow, request_id)
    if row is None:
        raise NotFound("There is no such request.")
    return row


def _check_follows(row: ImageRequestRow, to: State) -> None:
    if not may_follow(row.state, to):
        raise Conflict(f"The request is {row.state}; it cannot become {to}.")


def _decide(db: Session, row: ImageRequestRow, to: State, by: str, reason: str = "") -> None:
    _check_follows(row, to)
    before = {"state": str(row.state)}
    row.state, row.reason, row.decided_by, row.decided_at = to, reason, by, time.time()
    after = {"state": str(to)} | ({"reason": reason} if reason else {})
    note(db, by, f"image.{to}", row.id, row.project, before, after)
