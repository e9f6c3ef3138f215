"""What the service's database says is live, read without changing it."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from hub_ext.db.connection import Database, DatabaseError
from hub_ext.db.models import SessionRow
from hub_ext.sessions.status import LIVE


def live_session_ids(database: Database) -> set[str]:
    """Ids of sessions that have not ended. Raises DatabaseError when it cannot be read."""
    query = select(SessionRow.id).where(SessionRow.status.in_([str(status) for status in LIVE]))
    try:
        with database.transaction() as session:
            return set(session.scalars(query))
    except SQLAlchemyError as error:
        raise DatabaseError(f"The sessions cannot be read: {error}") from error
    finally:
        database.engine.dispose()
