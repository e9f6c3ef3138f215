"""``/api/v1/sessions/{id}/logs``: what a session prints."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from hub_ext.errors import BadValue
from hub_ext.sessions.logs import MOST_LINES, SessionLog, read_log
from hub_ext.sessions.store import is_live
from hub_ext.web.base import ApiHandler

_NS = 1_000_000_000
_TAIL = 200


class LogsHandler(ApiHandler):
    """Its last lines."""

    async def get(self, session_id: str) -> None:
        """``tail``: lines at most. ``since``: only later ones; the ``next`` of an answer before.

        ``format=text``: the lines alone, as text.
        """
        tail = self.whole_number("tail", _TAIL, 1, MOST_LINES)
        since, kind = self._since(), self.get_query_argument("format", "json")
        if kind not in {"json", "text"}:
            raise BadValue("'format' is json or text.", field="format")
        row = self.readable_log(session_id)
        log = await read_log(self.site, row, tail, since)
        if kind == "text":
            self._reply_text(row.name, log)
            return
        self.reply(log_json(log, since) | {"live": is_live(self.site.store.get(row.id))})

    def _since(self) -> int:
        """In nanoseconds. Raises BadValue."""
        text = self.get_query_argument("since", "") or "0"
        if not re.fullmatch(r"[0-9]{1,10}(\.[0-9]{1,9})?", text):
            raise BadValue("'since' is a time in seconds since 1970.", field="since")
        return int(Decimal(text) * _NS)

    def _reply_text(self, name: str, log: SessionLog) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.set_header("Cache-Control", "no-store")
        safe = re.sub(r"[^A-Za-z0-9._-]+", "-", name)[:64] or "session"
        self.set_header("Content-Disposition", f'attachment; filename="{safe}.log"')
        lines = [line.text for line in log.lines] or [log.message] * bool(log.message)
        self.finish("".join(f"{line}\n" for line in lines))


def log_json(log: SessionLog, since: int = 0) -> dict[str, Any]:
    """``next`` is for ``since``; a decimal number as text, since no float is that exact."""
    after = log.last_at or since
    return {
        "lines": [{"at": line.at / _NS, "text": line.text} for line in log.lines],
        "cut": log.cut,
        "message": log.message,
        "next": f"{after // _NS}.{after % _NS:09}" if after else "0",
    }
