"""What the Sessions page is asked to show, and the addresses of what it shows next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from hub_ext.errors import NotFound
from hub_ext.sessions.listing import SORTS, Place, Wanted, read_place, read_sort
from hub_ext.sessions.status import ENDED, LIVE, Status
from hub_ext.web.base import BaseHandler
from hub_ext.web.session_filters import (
    check_looked_after,
    projects_looked_after,
    read_node,
    read_statuses,
    read_text,
)

EVERY = "*"
"""For ``project``: all that the reader looks after."""


@dataclass(frozen=True, slots=True)
class Look:
    """``projects``: those whose sessions are shown; None: not by project.

    ``looked_after``: the projects that the reader may choose from, as an instructor.
    """

    user: str
    everybody: bool = False
    project: str = ""
    projects: tuple[str, ...] | None = None
    looked_after: tuple[str, ...] = ()
    ended: bool = False
    text: str = ""
    statuses: tuple[Status, ...] = ()
    node: str = ""
    sort: str = "line"
    after: str = ""
    before: str = ""

    @property
    def mine(self) -> bool:
        """One's own sessions only."""
        return not self.everybody and self.projects is None

    @property
    def filtered(self) -> bool:
        """Not all of them are shown."""
        return bool(self.text or self.statuses or self.node)

    @property
    def scope(self) -> Wanted:
        """Whose, in this tab, without the reader's filters."""
        return Wanted(
            user=self.user if self.mine else None,
            projects=self.projects,
            ended=self.ended,
        )

    @property
    def wanted(self) -> Wanted:
        """What to look for."""
        return replace(self.scope, statuses=self.statuses, text=self.text, node=self.node)

    @property
    def place(self) -> Place | None:
        """Where the page starts. Raises BadValue."""
        if self.before:
            return read_place(self.before, self.sort, "before", backwards=True)
        return read_place(self.after, self.sort, "after")

    @property
    def standard_sort(self) -> str:
        """Of the tab, when nobody has chosen."""
        return _standard_sort(self.ended)

    def query(self, **changes: Any) -> str:
        """The part of an address after "?" for this with some changes; always a first page,
        unless ``after`` or ``before`` is among them."""
        new = replace(self, **{"after": "", "before": "", **changes})
        values = {
            "all": "1" if new.everybody else "",
            "project": new.project,
            "state": "ended" if new.ended else "",
            "q": new.text,
            "status": ",".join(new.statuses),
            "node": new.node,
            "sort": "" if new.sort == new.standard_sort else new.sort,
            "after": new.after,
            "before": new.before,
        }
        return urlencode({name: value for name, value in values.items() if value})

    def address(self, **changes: Any) -> str:
        """The same with its "?", "?" alone for the plain page."""
        return f"?{self.query(**changes)}"

    def tab(self, *, ended: bool) -> str:
        """Address of the other tab: what does not fit there is left out."""
        return self.address(ended=ended, statuses=(), sort=_standard_sort(ended))

    def whose(self, *, everybody: bool = False, project: str = "") -> str:
        """Address for other people's sessions, with nothing else changed."""
        projects = (project,) if project else None
        return self.address(everybody=everybody, project=project, projects=projects, node="")

    def sorted_by(self, column: str) -> str:
        """Address for this column; once more turns it round."""
        return self.address(sort=f"-{column}" if self.sort == column else column)

    def direction(self, column: str) -> str:
        """For ``aria-sort``; "" when it is not sorted by this column."""
        if self.sort.removeprefix("-") != column:
            return ""
        down = SORTS[column].down != self.sort.startswith("-")
        return "descending" if down else "ascending"

    @property
    def topics(self) -> tuple[str, ...]:
        """What the page wants to hear of (see ``hub_ext.web.live``)."""
        if self.everybody:
            return ("sessions:*",)
        if self.projects is None:
            return ("sessions",)
        return tuple(f"sessions:{name}" for name in self.projects)


def read_look(handler: BaseHandler) -> Look:
    """From the address. Raises BadValue, NotFound (a project that one does not look after)."""
    ended = handler.get_query_argument("state", "") == "ended"
    of_tab = ENDED if ended else LIVE
    project, projects, looked_after = _projects(handler)
    return Look(
        user=handler.caller.name,
        everybody=handler.caller.admin and handler.get_query_argument("all", "") == "1",
        project=project,
        projects=projects,
        looked_after=looked_after,
        ended=ended,
        text=read_text(handler),
        statuses=tuple(status for status in read_statuses(handler) if status in of_tab),
        node=read_node(handler),
        sort=read_sort(handler.get_query_argument("sort", ""), _standard_sort(ended)),
        after=handler.get_query_argument("after", ""),
        before=handler.get_query_argument("before", ""),
    )


def _projects(handler: BaseHandler) -> tuple[str, tuple[str, ...] | None, tuple[str, ...]]:
    """The chosen one, those that it stands for, and those to choose from. Raises NotFound."""
    looked_after = tuple(projects_looked_after(handler))
    project = handler.get_query_argument("project", "")
    if not project:
        return "", None, looked_after
    if project != EVERY:
        return project, (check_looked_after(handler, project),), looked_after
    if not looked_after:
        raise NotFound("You look after no project.")
    return EVERY, looked_after, looked_after


def _standard_sort(ended: bool) -> str:
    return "ended" if ended else "line"
