"""The Sessions page: one's own, those of projects that one looks after, everybody's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.models import NodeRow
from hub_ext.sessions.listing import find_page, nodes_of
from hub_ext.sessions.status import ENDED, LIVE
from hub_ext.web.pages.page import Page
from hub_ext.web.pages.session_card import Card, cards, is_stoppable
from hub_ext.web.pages.session_query import Look, read_look
from hub_ext.web.pages.session_words import status_words

_MOST_TOPICS = 18
"""That a page can listen to; one about more projects asks for news by itself."""


class SessionsTable(Page):
    """The live part of the Sessions page: one page of a list that the database makes."""

    section = ""

    template = "sessions_table.html"

    def get(self) -> None:
        """As the address asks for it (see ``session_query``)."""
        look = read_look(self)
        with self.site.database.transaction() as db:
            page = find_page(db, look.wanted, sort=look.sort, place=look.place)
            shown = cards(self, db, page.rows)
            more = self.around(db, look)
        self.show(
            self.template,
            look=look,
            sessions=shown,
            total=page.total,
            after=page.after,
            before=page.before,
            tickable=_ids_to_stop(shown),
            admin=self.caller.admin,
            **more,
        )

    def around(self, db: Session, look: Look) -> dict[str, Any]:
        """What the part shows besides."""
        return {}


class SessionsPage(SessionsTable):
    """The Sessions page."""

    template = "sessions.html"

    def around(self, db: Session, look: Look) -> dict[str, Any]:
        """Choices of the filter, and what the page listens to."""
        words, of_tab = status_words(), ENDED if look.ended else LIVE
        return {
            "said": self.said(),
            "status_words": [(status, word) for status, word in words.items() if status in of_tab],
            "nodes": _all_nodes(db) if look.everybody else nodes_of(db, look.scope),
            "topics": look.topics[:_MOST_TOPICS],
            "many": len(look.topics) > _MOST_TOPICS,
        }


def _ids_to_stop(shown: list[Card]) -> list[str]:
    return [session["id"] for session in shown if is_stoppable(session)]


def _all_nodes(db: Session) -> list[str]:
    """Cheaper than to look through everybody's sessions."""
    return list(db.scalars(select(NodeRow.name).order_by(NodeRow.name)))
