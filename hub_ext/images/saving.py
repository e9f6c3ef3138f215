"""Carries approved requests out: commit, clean, push. A state is written before its work.

Every step looks first at what is there already, so a service that was killed anywhere goes on
from the state it finds. Nobody but us sees an image before it is clean and whole.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.images.archive import BadArchive
from hub_ext.images.detached import detached
from hub_ext.images.interim import (
    INTERIM,
    interim_image,
    interim_labels,
    remove_interim,
    remove_leftovers,
    work_directory,
)
from hub_ext.images.leaks import LeakFound
from hub_ext.images.making import Making, SavingFailed, make_image
from hub_ext.images.pushing import push_image
from hub_ext.images.request_states import WORKED_ON, State, may_follow
from hub_ext.images.requests import ENDED, ImageRequests
from hub_ext.images.saved_config import REQUEST_LABEL, NewImage, site_key
from hub_ext.images.saved_names import next_reference, repository, site_prefix
from hub_ext.images.visibility import USER
from hub_ext.nodes import inventory
from hub_ext.nodes.engine import (
    EngineRefused,
    EngineUnavailable,
    ImageStore,
    SavingEngine,
)
from hub_ext.projects.audit import note
from hub_ext.site import Site

log = logging.getLogger(__name__)

_TICK_S = 2.0
_SWEEP_S = 60.0
_AWAY_S = 5.0
"""How long an engine that does not answer is left alone."""
_COMMIT_BASE_S, _COMMIT_BYTES_PER_S = 60.0, 10e6
"""A commit that a killed service began is waited for so long; then its pause is ended."""
_AFTER_COMMIT_S = 10.0
_PROGRESS_S = 0.5

_Step = Callable[["ImageRequestRow"], Any]


class Saver:
    """The loop that makes images. One at a time: each keeps the disk busy."""

    def __init__(self, site: Site, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._site = site
        self._pause = pause
        self._swept_at = 0.0
        self._progress: dict[str, float] = {}

    async def run(self) -> None:
        """For ever, if sessions are containers."""
        if not isinstance(self._site.engine, SavingEngine):
            return
        while True:
            wait_s = _TICK_S
            try:
                await self.work()
            except EngineUnavailable as error:
                log.warning("Images are not saved now: %s", error)
                wait_s = _AWAY_S
            except Exception:
                log.exception("Saving an image failed; it is tried again.")
                wait_s = _AWAY_S
            await asyncio.sleep(wait_s)

    async def work(self) -> None:
        """Do all there is to do. Raises EngineUnavailable; it can be called again then."""
        ImageRequests(self._site).fail_ended()
        if time.time() - self._swept_at > _SWEEP_S or self._has_deleted():
            await detached(partial(remove_leftovers, self._site, self._store))
            self._swept_at = time.time()
        while (row := self._next()) is not None:
            await self._advance(row)

    @property
    def _store(self) -> ImageStore:
        assert isinstance(self._site.engine, SavingEngine)
        return self._site.engine.image_store

    def _next(self) -> ImageRequestRow | None:
        query = select(ImageRequestRow).where(ImageRequestRow.state.in_(WORKED_ON))
        with self._site.database.transaction() as db:
            return db.scalar(query.order_by(ImageRequestRow.decided_at).limit(1))

    def _has_deleted(self) -> bool:
        query = select(ImageRow.reference).where(ImageRow.deleted_at.is_not(None)).limit(1)
        with self._site.database.transaction() as db:
            return db.scalar(query) is not None

    async def _advance(self, row: ImageRequestRow) -> None:
        """One step. Whatever goes wrong ends the request, so that it holds up no other.

        An engine that is away only delays it.
        """
        steps: dict[str, _Step] = {
            State.APPROVED: self._begin,
            State.COMMITTING: self._commit,
            State.CLEANING: self._clean,
            State.PUSHING: self._push,
        }
        try:
            await steps[row.state](row)
        except LeakFound as leak:
            self._fail(row, f"Not saved, nothing is kept: {leak}. Remove it there and ask again.")
        except (SavingFailed, BadArchive, EngineRefused, OSError) as error:
            log.warning("Image request %s failed: %s", row.id, error)
            self._give_up(row, str(error))
        except EngineUnavailable as error:
            self._amend(row, reason=f"Waits: {error}")
            raise
        except Exception:
            log.exception("Image request %s failed in state %s.", row.id, row.state)
            self._give_up(row, "something unexpected went wrong; the site's log has it.")

    async def _begin(self, row: ImageRequestRow) -> None:
        """Its name is fixed; nothing has been done yet."""
        facts = await detached(partial(self._store.container, row.container_id or ""))
        if facts is None or not facts.running:
            raise SavingFailed(ENDED)
        if facts.paused:
            raise SavingFailed("somebody has paused the session")
        with self._site.database.transaction() as db:
            self._move(db, row, State.COMMITTING, reference=self._free_reference(db, row))

    def _free_reference(self, db: Session, row: ImageRequestRow) -> str:
        """A name that was never used, by an image or by a request."""
        site = self._site
        prefix = site_prefix(site.policy.registry, site_key(site.deployment_id))
        of_requests = select(ImageRequestRow.reference).where(ImageRequestRow.user == row.user)
        of_images = select(ImageRow.reference)
        taken = [*db.scalars(of_requests), *db.scalars(of_images), *site.images]
        return next_reference(repository(prefix, row.user, row.name), filter(None, taken))

    async def _commit(self, row: ImageRequestRow) -> None:
        await detached(partial(self._commit_now, row))
        with self._site.database.transaction() as db:
            self._move(db, row, State.CLEANING, progress=0.1)

    def _commit_now(self, row: ImageRequestRow) -> None:
        """The session is paused by the engine, and only while it copies. Blocks."""
        store, container = self._store, row.container_id or ""
        self._end_old_pause(row)
        if interim_image(store, row.id) is not None:
            return
        facts = store.container(container)
        if facts is None or not facts.running:
            raise SavingFailed(ENDED)
        store.commit(container, INTERIM, row.id, interim_labels(self._site, row.id))

    def _end_old_pause(self, row: ImageRequestRow) -> None:
        """A pause is of a commit that a killed service began: wait for it, but not for ever.

        The engine ends it with the commit, unless the engine itself was killed.
        """
        store, container = self._store, row.container_id or ""
        patience_s = _COMMIT_BASE_S + (row.size_bytes or 0) / _COMMIT_BYTES_PER_S
        waited_s = 0.0
        while (facts := store.container(container)) is not None and facts.paused:
            if interim_image(store, row.id) is not None:
                patience_s = min(patience_s, waited_s + _AFTER_COMMIT_S)
            if waited_s >= patience_s:
                store.unpause(container)
                return
            self._pause(1.0)
            waited_s += 1.0

    async def _clean(self, row: ImageRequestRow) -> None:
        """Make the clean image; its row is there before it, so that nobody else sees it."""
        if not await detached(partial(self._is_there, row)):
            watch = asyncio.create_task(self._watch(row))
            try:
                await detached(partial(self._make, row, self._watched(row, 0.1, 0.9)))
            finally:
                watch.cancel()
        await detached(partial(remove_interim, self._site, self._store, row.id))
        registry = self._site.policy.registry
        if registry and (row.reference or "").startswith(f"{registry}/"):
            with self._site.database.transaction() as db:
                self._move(db, row, State.PUSHING, progress=0.0)
        else:
            self._finish(row, "")
        self._site.images_read_at = 0.0
        await inventory.refresh_images(self._site)

    def _is_there(self, row: ImageRequestRow) -> bool:
        found = self._store.image(row.reference or "")
        return found is not None and found.labels.get(REQUEST_LABEL) == row.id

    def _make(self, row: ImageRequestRow, progress: Callable[[float], None]) -> None:
        """Blocks. Raises SavingFailed, BadArchive, LeakFound, OSError, or as an engine does."""
        reference = row.reference or ""
        new = NewImage(
            reference=reference,
            request_id=row.id,
            title=row.name,
            version=reference.rpartition(":")[2],
            description=row.description,
            site_key=site_key(self._site.deployment_id),
            parent_reference=row.parent,
        )
        making = Making(
            new=new,
            interim=interim_image(self._store, row.id) or "",
            parent_id=row.parent_id or "",
            directory=work_directory(self._site, row.id),
            before_load=partial(self._claim, row),
        )
        make_image(self._store, making, progress)
        if not self._is_there(row):
            raise SavingFailed("the engine has not taken the image in")

    def _claim(self, row: ImageRequestRow, unsearched: str) -> None:
        """From before the image exists, it is its owner's alone."""
        with self._site.database.transaction() as db:
            db.get_one(ImageRequestRow, row.id).unsearched = unsearched
            if db.get(ImageRow, row.reference) is None:
                image = ImageRow(reference=row.reference, owner=row.user, visibility=USER)
                image.projects, image.created_at, image.changed_by = [], time.time(), row.user
                db.add(image)

    async def _push(self, row: ImageRequestRow) -> None:
        watch = asyncio.create_task(self._watch(row))
        progress = self._watched(row, 0.0, 1.0)
        try:
            problem = await detached(
                partial(push_image, self._store, row.reference or "", progress, pause=self._pause)
            )
        finally:
            watch.cancel()
        self._finish(row, problem)

    def _finish(self, row: ImageRequestRow, reason: str) -> None:
        with self._site.database.transaction() as db:
            self._move(db, row, State.DONE, progress=1.0, reason=reason, ended_at=time.time())
            unsearched = db.get_one(ImageRequestRow, row.id).unsearched
            made = {"reference": row.reference} | ({"unsearched": unsearched} if unsearched else {})
            note(db, row.decided_by or row.user, "image.saved", row.id, row.project, None, made)

    def _give_up(self, row: ImageRequestRow, why: str) -> None:
        """An image that is only to be pushed is there already, and stays."""
        if row.state == State.PUSHING:
            self._finish(row, f"The image can be used here, but was not pushed: {why}")
        else:
            self._fail(row, f"Not saved: {why}")

    def _fail(self, row: ImageRequestRow, reason: str) -> None:
        """What is left of it is removed at the next sweep, whatever happens until then."""
        with self._site.database.transaction() as db:
            image = db.get(ImageRow, row.reference) if row.reference else None
            if image is not None:
                image.deleted_at = time.time()
            self._move(db, row, State.FAILED, reason=reason, reference=None, ended_at=time.time())
            note(db, row.decided_by or row.user, "image.failed", row.id, row.project, None, None)
        self._swept_at = 0.0

    def _move(self, db: Session, row: ImageRequestRow, to: State, **columns: Any) -> None:
        """Only from the state that the work began in."""
        current = db.get_one(ImageRequestRow, row.id)
        if current.state != row.state or not may_follow(row.state, to):
            raise SavingFailed(f"the request is {current.state} by now")
        for name, value in {"reason": "", **columns, "state": to}.items():
            setattr(current, name, value)

    def _amend(self, row: ImageRequestRow, **columns: Any) -> None:
        with self._site.database.transaction() as db:
            current = db.get_one(ImageRequestRow, row.id)
            for name, value in columns.items():
                setattr(current, name, value)

    def _note_progress(self, request_id: str, progress: float) -> None:
        """Told to nobody: pages that show it look by themselves."""
        table = ImageRequestRow.__table__
        renew = update(table).where(table.c.id == request_id)  # type: ignore[arg-type]
        with self._site.database.transaction() as db:
            db.connection().execute(renew.values(progress=progress))

    def _watched(self, row: ImageRequestRow, low: float, high: float) -> Callable[[float], None]:
        """A progress for the threads that work; written down by ``_watch``."""

        def progress(part: float) -> None:
            self._progress[row.id] = low + (high - low) * min(1.0, max(0.0, part))

        return progress

    async def _watch(self, row: ImageRequestRow) -> None:
        """Write progress down while a step works."""
        try:
            while True:
                await asyncio.sleep(_PROGRESS_S)
                if row.id in self._progress:
                    self._note_progress(row.id, self._progress[row.id])
        finally:
            self._progress.pop(row.id, None)
