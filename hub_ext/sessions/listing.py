"""Lists of sessions: filtered, sorted and cut into pages by the database.

A page starts behind a row of the page before (keyset), not at a number: rows that come and
go meanwhile neither hide a session nor show it twice.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from sqlalchemy import ColumnElement, Select, Subquery, and_, case, func, null, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.models import SessionRow
from hub_ext.errors import BadValue
from hub_ext.projects.limits import LARGEST
from hub_ext.sessions.status import ENDED, LIVE, Status

PAGE = 50
"""Sessions of a page."""
LONGEST_QUERY = 200
"""Letters of a text to look for."""
_FOREVER = 1e12
"""Unix s: sorts a session without an end behind all others."""
_SEARCHED: ColumnElement[str] = reduce(
    lambda left, right: left + " " + right,
    [
        SessionRow.name.expression,
        SessionRow.user.expression,
        SessionRow.project.expression,
        SessionRow.image_title.expression,
        SessionRow.image.expression,
    ],
)
"""In one piece: one comparison a word. Words have no blanks, so none is found across two."""


@dataclass(frozen=True, slots=True)
class _Sort:
    """What to sort by; equal ones: the newest first. ``kind`` reads a value of it back."""

    key: ColumnElement[Any]
    kind: Callable[[str], Any]
    down: bool = False


def _whole(text: str) -> int:
    """Raises ValueError, also for what no column holds: a database refuses to compare it."""
    number = int(text) if len(text) < 20 else LARGEST + 1
    if abs(number) > LARGEST:
        raise ValueError(f"{number} is beyond any column.")
    return number


def _ends() -> ColumnElement[Any]:
    lifetime = SessionRow.running_at + SessionRow.lifetime_s
    return func.coalesce(SessionRow.stops_at, SessionRow.ends_at, lifetime, _FOREVER)


_RANKS = {status: rank for rank, status in enumerate(Status)}
SORTS: dict[str, _Sort] = {
    "new": _Sort(SessionRow.order.expression, _whole, down=True),
    "age": _Sort(-SessionRow.order, _whole),
    "line": _Sort(func.coalesce(SessionRow.position, 0), _whole),
    "name": _Sort(func.lower(SessionRow.name), str),
    "user": _Sort(func.lower(SessionRow.user), str),
    "status": _Sort(case(_RANKS, value=SessionRow.status, else_=99), _whole),
    "image": _Sort(func.lower(SessionRow.image_title), str),
    "slice": _Sort(SessionRow.gpu_milli.expression, _whole, down=True),
    "node": _Sort(func.coalesce(SessionRow.node, ""), str),
    "left": _Sort(_ends(), float),
    "ended": _Sort(func.coalesce(SessionRow.ended_at, 0.0), float, down=True),
}
"""Ways to sort, by the name in the address. "line": what runs, then the queue. A minus in
front turns one round: "-age" is the oldest first."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sessions. None and "" do not filter; ``projects``: any of these.

    ``ended``: only those that have, or have not. ``text``: each word is in one of the columns
    that are searched.
    """

    user: str | None = None
    projects: Collection[str] | None = None
    ended: bool | None = None
    statuses: Collection[Status] = ()
    text: str = ""
    node: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """For the database."""
        found: list[ColumnElement[bool]] = []
        if self.user is not None:
            found.append(SessionRow.user == self.user)
        if self.projects is not None:
            found.append(SessionRow.project.in_(self.projects))
        if self.ended is not None:
            ended = SessionRow.ended_at
            found.append(ended.is_not(None) if self.ended else ended.is_(None))
        if self.statuses:
            found.append(SessionRow.status.in_(self.statuses))
        for word in self.text.split():
            found.append(_SEARCHED.icontains(word, autoescape=True))
        if self.node:
            found.append(SessionRow.node == self.node)
        return found

    @property
    def looks_at_all(self) -> bool:
        """No index knows the answer: every session of these users and projects is looked at."""
        return bool(self.text or self.node)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page starts: behind (or, ``backwards``, before) the row with this order."""

    order: int
    value: Any
    backwards: bool = False


@dataclass(frozen=True, slots=True)
class SessionPage:
    """Some rows in order, and how many there are on all pages.

    ``after``, ``before``: texts for what comes next and came before; None: nothing does.
    """

    rows: Sequence[SessionRow]
    total: int
    after: str | None = None
    before: str | None = None


def read_sort(text: str, default: str) -> str:
    """A name of ``SORTS``, maybe with a minus in front. Raises BadValue."""
    text = text or default
    if text.removeprefix("-") not in SORTS:
        known = ", ".join(SORTS)
        raise BadValue(f"'sort' is one of {known}, or one of these with '-'.", field="sort")
    return text


def read_place(text: str, sort: str, field: str, *, backwards: bool = False) -> Place | None:
    """A place as ``SessionPage`` writes it; None: the start. Raises BadValue."""
    if not text:
        return None
    order, separator, value = text.partition(":")
    kind = SORTS[sort.removeprefix("-")].kind
    try:
        number = _whole(order)
        if number < 0:
            raise ValueError
        return Place(number, kind(value if separator else order), backwards)
    except ValueError:
        raise BadValue(
            f"'{field}' is as an earlier page has given it, for the same sort.", field=field
        ) from None


def find_page(
    db: Session, wanted: Wanted, *, sort: str, place: Place | None, limit: int = PAGE
) -> SessionPage:
    """The sessions of one page, in the caller's transaction. sort: as ``read_sort`` gives it."""
    chosen = SORTS[sort.removeprefix("-")]
    down = chosen.down != sort.startswith("-")
    backwards = place is not None and place.backwards
    # the ids first: the rows are wide, and only those of the page are needed
    matching = _matching(wanted, chosen.key)
    query = _ordered(select(matching), matching, down=down, turned=backwards)
    if place is not None:
        query = query.where(_beyond(matching, place, down=down))
    found = list(db.execute(query.limit(limit + 1)))
    total = found[0].total if found else 0 if place is None else None
    if total is None:
        total = count_sessions(db, wanted)
    more, found = len(found) > limit, found[:limit]
    if backwards:
        found.reverse()
    if not found:
        return SessionPage([], total)
    first, last = (f"{each.order}:{each.key}" for each in (found[0], found[-1]))
    later, earlier = (True, more) if backwards else (more, place is not None)
    rows = _rows(db, [each.id for each in found])
    return SessionPage(rows, total, last if later else None, first if earlier else None)


def _matching(wanted: Wanted, key: ColumnElement[Any]) -> Subquery:
    """id, key, order of what is wanted; and its number, where that costs a look at each anyhow."""
    total = func.count().over() if wanted.looks_at_all else null()
    query = select(
        SessionRow.id, key.label("key"), SessionRow.order.label("order"), total.label("total")
    )
    return query.where(*wanted.conditions()).subquery()


def count_sessions(db: Session, wanted: Wanted) -> int:
    """How many there are on all pages."""
    if wanted.ended is not None and not wanted.statuses:  # an index knows the statuses
        wanted = replace(wanted, ended=None, statuses=ENDED if wanted.ended else LIVE)
    query = select(func.count()).select_from(SessionRow).where(*wanted.conditions())
    return int(db.scalar(query) or 0)


def nodes_of(db: Session, wanted: Wanted) -> list[str]:
    """The nodes that such sessions are on, by name."""
    query = select(SessionRow.node).where(*wanted.conditions(), SessionRow.node.is_not(None))
    return sorted(node for node in db.scalars(query.distinct()) if node)


def _beyond(matching: Subquery, place: Place, *, down: bool) -> ColumnElement[bool]:
    """Behind the place in this order, or before it. Among equal ones the newest is first."""
    key, order = matching.c.key, matching.c.order
    further = key < place.value if down != place.backwards else key > place.value
    return or_(
        further,
        and_(key == place.value, order > place.order if place.backwards else order < place.order),
    )


def _ordered(query: Select[Any], matching: Subquery, *, down: bool, turned: bool) -> Select[Any]:
    """By the key, equal ones newest first; ``turned``: all the other way round."""
    key, order = matching.c.key, matching.c.order
    return query.order_by(
        key.desc() if down != turned else key.asc(), order.asc() if turned else order.desc()
    )


def _rows(db: Session, ids: Sequence[str]) -> list[SessionRow]:
    """The rows, in the order of their ids."""
    found = {row.id: row for row in db.scalars(select(SessionRow).where(SessionRow.id.in_(ids)))}
    return [found[each] for each in ids]
