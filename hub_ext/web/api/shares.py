"""``/api/v1/folders/{id}/shares`` for who shares, ``invitations`` for who is invited."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow, ShareRow
from hub_ext.db.models import SessionRow
from hub_ext.errors import BadValue
from hub_ext.folders import body, sharing
from hub_ext.folders.access import Action, Mode
from hub_ext.folders.catalogue import one
from hub_ext.folders.holders import Holder, holders, let_go, revoked
from hub_ext.folders.sharing import ShareState
from hub_ext.folders.views import share_json
from hub_ext.projects.body import read_body
from hub_ext.projects.member_list import doubts
from hub_ext.sessions.changes import Change
from hub_ext.web.api.folders import FolderApiHandler

_MOST = 500


class ShareApiHandler(FolderApiHandler):
    """Pages of invitations."""

    def page(self) -> dict[str, Any]:
        """``limit``, ``after`` (an id) and ``ended`` of the query."""
        return {
            "limit": self.whole_number("limit", 100, 1, _MOST),
            "after": self.get_query_argument("after", ""),
            "ended": self.get_query_argument("ended", "") == "1",
        }

    def reply_page(self, key: str, db: Session, rows: list[ShareRow], limit: int) -> None:
        """One more row than ``limit`` says that there are more."""
        page = rows[:limit]
        self.reply(
            {
                key: [share_json(row, one(db, row.folder_id)) for row in page],
                "after": page[-1].id if len(rows) > limit else None,
            }
        )

    def reply_stopped(self, answer: dict[str, Any], stopped: list[SessionRow]) -> None:
        """Once it is committed that these sessions have been warned."""
        for row in stopped:
            self.site.changes.announce(Change(row.id, row.user, row.project))
        self.reply(answer)


class SharesHandler(ShareApiHandler):
    """With whom a folder is shared."""

    def get(self, folder_id: str) -> None:
        """Open invitations, the oldest first; ``ended=1``: those that were."""
        page = self.page()
        with self.site.database.transaction() as db:
            _, folder = self.allowed(db, folder_id, Action.SHARE)
            rows = sharing.of_folder(db, folder.id, **page)
            self.reply_page("shares", db, rows, page["limit"])

    def post(self, folder_id: str) -> None:
        """Invite. A name that the hub does not know is as good as any."""
        new = read_body(body.NewShares, self.body())
        with self.site.database.transaction() as db:
            _, folder = self.allowed(db, folder_id, Action.SHARE)
            rows = sharing.invite(db, folder, new.users, Mode(new.mode), by=self.person)
            shares = [share_json(row, folder) for row in rows]
        self.reply({"shares": shares, "warnings": doubts(new.users)}, 201)


class ShareHandler(ShareApiHandler):
    """One of them."""

    def patch(self, folder_id: str, share_id: str) -> None:
        """Another mode; sessions that run keep theirs, see ``stop_sessions``."""
        change = read_body(body.ShareChange, self.body())
        with self.site.database.transaction() as db:
            _, folder = self.allowed(db, folder_id, Action.SHARE)
            share = sharing.of_folder_one(db, folder.id, share_id)
            sharing.change_mode(db, share, Mode(change.mode), by=self.caller.name)
            described, stopped = self._ended(db, folder, share)
        self.reply_stopped(described, stopped)

    def delete(self, folder_id: str, share_id: str) -> None:
        """Cancel it, or stop sharing."""
        with self.site.database.transaction() as db:
            _, folder = self.allowed(db, folder_id, Action.SHARE)
            share = sharing.of_folder_one(db, folder.id, share_id)
            sharing.stop(db, share, by=self.caller.name)
            described, stopped = self._ended(db, folder, share)
        self.reply_stopped(described, stopped)

    def _ended(
        self, db: Session, folder: FolderRow, share: ShareRow
    ) -> tuple[dict[str, Any], list[SessionRow]]:
        """Which sessions of the invited hold more than he has now.

        ``stop_sessions=1``: they are stopped after the warning that every ending session gets.
        """
        policy = self.site.policy
        found = [each for each in holders(db, [folder.id])[folder.id] if each.user == share.user]
        held = revoked(db, policy, folder, found)
        stopped: list[SessionRow] = []
        if self.get_query_argument("stop_sessions", "") == "1":
            stopped = let_go(db, folder, held, policy.ending_warning_s)
        described = share_json(share, folder) | {
            "sessions": [holder.as_json() for holder in held],
            "warnings": _still_held(held, {row.id for row in stopped}),
        }
        return described, stopped


class HoldersHandler(ShareApiHandler):
    """Sessions that mount a folder."""

    def delete(self, folder_id: str) -> None:
        """Stop, after a warning, those whose users have no right to it any more."""
        policy = self.site.policy
        with self.site.database.transaction() as db:
            _, folder = self.allowed(db, folder_id, Action.SHARE)
            held = revoked(db, policy, folder, holders(db, [folder.id])[folder.id])
            stopped = let_go(db, folder, held, policy.ending_warning_s)
        answer = {
            "sessions": [holder.as_json() for holder in held],
            "warnings": _still_held(held, {row.id for row in stopped}),
        }
        self.reply_stopped(answer, stopped)


class InvitationsHandler(ShareApiHandler):
    """The caller's."""

    def get(self) -> None:
        """``box``: mine (default), those he got; sent, those he made. ``ended=1``: that were."""
        page, name = self.page(), self.caller.name
        box = self.get_query_argument("box", "mine")
        if box not in {"mine", "sent"}:
            raise BadValue("'box' is mine or sent.", field="box")
        with self.site.database.transaction() as db:
            if box == "mine":
                rows = sharing.received(db, name, **page)
            else:
                rows = sharing.sent(db, self.access(db), **page)
            self.reply_page("invitations", db, rows, page["limit"])


class AnswerHandler(ShareApiHandler):
    """What the invited says to it."""

    _STEPS = {
        "accept": ShareState.ACCEPTED,
        "reject": ShareState.REJECTED,
        "leave": ShareState.LEFT,
    }

    def post(self, share_id: str, answer: str) -> None:
        """accept, reject or leave; 409 when it is too late for that."""
        name = self.caller.name
        with self.site.database.transaction() as db:
            share, folder = sharing.of_user(db, share_id, name)
            sharing.step(db, share, self._STEPS[answer], by=name)
            self.reply(share_json(share, folder))


def _still_held(held: list[Holder], stopped: set[str]) -> list[str]:
    """What running sessions have of it all the same."""
    return [
        f"Session {each.told()} is being stopped: it mounts the folder {each.mount.mode}."
        if each.session_id in stopped
        else f"Session {each.told()} keeps the folder ({each.mount.mode}) until it ends;"
        " stop_sessions=1 stops it."
        for each in held
    ]
