"""Tells which tables a committed transaction has changed: pages that show them are told.

One mechanism for every change, so that no place that writes can forget to tell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import event
from sqlalchemy.orm import ORMExecuteState, Session, sessionmaker

_CHANGED = "changed_tables"

Listener = Callable[[frozenset[str]], None]


class ChangedTables:
    """Listens to the sessions that a factory makes."""

    def __init__(self, factory: sessionmaker[Session]) -> None:
        self._listeners: list[Listener] = []
        event.listen(factory, "after_flush", _note_flushed)
        event.listen(factory, "do_orm_execute", _note_executed)
        event.listen(factory, "after_commit", self._tell)
        event.listen(factory, "after_rollback", _forget)

    def listen(self, callback: Listener) -> None:
        """Call it with the tables' names after each commit that has changed some.

        It is called in the thread of the transaction.
        """
        self._listeners.append(callback)

    def _tell(self, session: Session) -> None:
        changed = session.info.pop(_CHANGED, None)
        if changed:
            for callback in self._listeners:
                callback(frozenset(changed))


def _note_flushed(session: Session, _: Any) -> None:
    rows = (*session.new, *(row for row in session.dirty if session.is_modified(row)))
    for row in (*rows, *session.deleted):
        session.info.setdefault(_CHANGED, set()).add(row.__tablename__)


def _note_executed(state: ORMExecuteState) -> None:
    """Of UPDATE ... WHERE and the like, which touch no object."""
    written = state.is_update or state.is_delete or state.is_insert
    if written and state.bind_mapper is not None:
        name = state.bind_mapper.local_table.description
        state.session.info.setdefault(_CHANGED, set()).add(name)


def _forget(session: Session) -> None:
    session.info.pop(_CHANGED, None)
