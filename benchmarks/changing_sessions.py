"""Changes sessions of random users at a steady rate, as a class at work does."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

from sqlalchemy import select

from hub_ext.db.models import MemberRow, SessionRow
from hub_ext.errors import Conflict
from hub_ext.sessions.changes import Change
from hub_ext.sessions.status import LIVE, Status
from hub_ext.sessions.store import NewSession, Why
from hub_ext.site import Site

NEXT = {
    Status.SCHEDULED: Status.PREPARING,
    Status.PREPARING: Status.STARTING,
    Status.STARTING: Status.RUNNING,
    Status.RUNNING: Status.TERMINATING,
    Status.TERMINATING: Status.TERMINATED,
    Status.PREEMPTED: Status.TERMINATED,
}
"""How a session goes on; what waits is left to the queue."""


class ChangingSessions:
    """Moves sessions on, and submits new ones for those who have none left."""

    def __init__(self, site: Site, chance: random.Random) -> None:
        self._site = site
        self._chance = chance
        with site.database.transaction() as db:
            query = select(MemberRow.project, MemberRow.user).where(MemberRow.role == "member")
            self._members = [tuple(row) for row in db.execute(query)]

    async def drive(self, rate: float, seconds: float) -> list[dict[str, Any]]:
        """``rate`` changes a second; each with its time by the machine's monotonic clock."""
        changes = []
        begun = time.monotonic()
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begun + number / rate - time.monotonic()))
            change = self._change()
            if change is not None:
                changes.append(change)
        return changes

    def _change(self) -> dict[str, Any] | None:
        """One; None when the queue was faster."""
        project, user = self._chance.choice(self._members)
        row = self._candidate(user)
        try:
            if row is None:
                row = self._submit(user, project)
            else:
                to = NEXT[Status(row.status)]
                row = self._site.store.transition(row.id, to, Why("It goes on."), by=user)
        except Conflict:
            return None
        return {
            "at": time.monotonic(),
            "session": row.id,
            "user": user,
            "project": row.project,
            "status": row.status,
        }

    def _candidate(self, user: str) -> SessionRow | None:
        """What of his can be moved on."""
        with self._site.database.transaction() as db:
            query = select(SessionRow).where(
                SessionRow.user == user,
                SessionRow.status.in_(LIVE - {Status.PENDING}),
            )
            rows = db.scalars(query).all()
        return self._chance.choice(rows) if rows else None

    def _submit(self, user: str, project: str) -> SessionRow:
        """A new one, for the queue to place."""
        name = f"exercise-{self._chance.getrandbits(32):08x}"
        new = NewSession(
            user=user,
            server_name=name,
            name=name,
            project=project,
            image="apportion/datascience:2026.1",
            image_title="Data science 2026.1",
            preset=None,
            gpu_milli=250,
            cpu_milli=1000,
            memory_mib=2048,
            lifetime_s=None,
            options={},
            mounts=[],
        )
        with self._site.database.transaction() as db:
            row = self._site.store.add(db, new, by=user)
        self._site.changes.announce(Change(row.id, row.user, row.project))
        return row
