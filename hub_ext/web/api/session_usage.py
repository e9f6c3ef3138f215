"""``/api/v1/sessions/{id}/usage``: what a session used of what it holds."""

from __future__ import annotations

from hub_ext.metering.report import MINUTES, use_json
from hub_ext.web.base import ApiHandler


class SessionUsageHandler(ApiHandler):
    """For whoever may see the session."""

    def get(self, session_id: str) -> None:
        """``period``: minutes (the last ten), hour, day, month or year."""
        row = self.visible_session(session_id)
        period = self.get_query_argument("period", MINUTES)
        self.reply(use_json(self.site, row, period))
