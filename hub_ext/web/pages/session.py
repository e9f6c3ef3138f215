"""The page of one session, from which it can become an image."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from hub_ext.db.image_models import ImageRequestRow
from hub_ext.db.models import SessionRow
from hub_ext.images.request_states import UNFINISHED
from hub_ext.images.requests import request_json
from hub_ext.nodes.engine import SavingEngine
from hub_ext.sessions.status import Status
from hub_ext.sessions.views import history_json
from hub_ext.web.pages.images import MOVING
from hub_ext.web.pages.page import Page
from hub_ext.web.pages.sessions import card
from hub_ext.web.templating import clock


class SessionImage(Page):
    """The live part about the image."""

    section = ""

    def get(self, session_id: str) -> None:
        """As on the page."""
        row = self.visible_session(session_id)
        self.show("images_session.html", session=card(self, row), **self.image_part(row))

    def image_part(self, row: SessionRow) -> dict[str, Any]:
        """The newest request, for its user and admins, and whether the caller can ask."""
        request = None
        if row.user == self.caller.name or self.caller.admin:
            request = self._newest_request(row.id)
        state = "" if request is None else request["state"]
        may_ask = (
            row.user == self.caller.name
            and row.status == Status.RUNNING
            and isinstance(self.site.engine, SavingEngine)
            and state not in UNFINISHED
        )
        return {
            "image_request": request,
            "may_ask": may_ask,
            "moving": state in MOVING,
            "approved_at_once": self.site.policy.approve_own_images,
        }

    def _newest_request(self, session_id: str) -> dict[str, Any] | None:
        query = select(ImageRequestRow).where(ImageRequestRow.session_id == session_id)
        query = query.order_by(ImageRequestRow.requested_at.desc(), ImageRequestRow.id)
        with self.site.database.transaction() as db:
            row = db.scalar(query.limit(1))
            return None if row is None else request_json(row)


class SessionPage(SessionImage):
    """One session and its story."""

    def get(self, session_id: str) -> None:
        """Where it stands and how it came there."""
        row = self.visible_session(session_id)
        steps = [history_json(step) for step in self.site.store.history(row.id)]
        for step in steps:
            step["when"] = clock(step["at"])
        self.show(
            "session.html",
            session=card(self, row),
            steps=steps,
            said=self.said(),
            **self.image_part(row),
        )
