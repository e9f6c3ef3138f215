"""Opening the database: SQLite in WAL mode by default, PostgreSQL by URL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from hub_ext.db.changed_tables import ChangedTables

_MIGRATIONS = Path(__file__).parent / "migrations"


class DatabaseError(Exception):
    """The database cannot be reached, or is from a newer release."""


class Database:
    """One engine and its transactions."""

    def __init__(self, url: str) -> None:
        """Raises DatabaseError for a URL that is none, or a driver that is missing."""
        try:
            parsed = make_url(url)
            if parsed.drivername == "postgresql":
                parsed = parsed.set(drivername="postgresql+psycopg")
            limits = {"connect_timeout": 5} if parsed.get_backend_name() == "postgresql" else {}
            self.engine: Engine = create_engine(parsed, pool_pre_ping=True, connect_args=limits)
        except ArgumentError as error:
            raise DatabaseError(
                "ApportionService.db_url is not a database URL; write sqlite:////PATH"
                " or postgresql://USER@HOST/NAME."
            ) from error
        except ModuleNotFoundError as error:
            raise DatabaseError(
                f"The driver for {parsed.drivername} is not installed ({error.name});"
                " install apportion[postgresql]."
            ) from error
        if parsed.get_backend_name() == "sqlite":
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_immediate)
        self._sessions = sessionmaker(self.engine, expire_on_commit=False)
        self.changed_tables = ChangedTables(self._sessions)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """One transaction: committed at the end, rolled back on any exception."""
        with self._sessions.begin() as session:
            yield session

    def upgrade(self) -> None:
        """Bring the tables to this release. Raises DatabaseError with the way out."""
        config = self._alembic()
        try:
            current = self.revision()
            known = {
                script.revision for script in ScriptDirectory.from_config(config).walk_revisions()
            }
            if current is not None and current not in known:
                raise DatabaseError(
                    f"The database is at revision {current}, which this release does not know:"
                    " it was used by a newer release. Install that release, or restore a backup."
                )
            with self.engine.begin() as connection:
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
        except OperationalError as error:
            raise DatabaseError(f"The database does not answer: {error.orig}") from error

    def revision(self) -> str | None:
        """The migration the tables are at; None when there are no tables yet."""
        with self.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()

    def head(self) -> str:
        """The newest migration of this release."""
        return ScriptDirectory.from_config(self._alembic()).get_current_head() or ""

    def _alembic(self) -> Config:
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        return config


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """WAL for readers beside the writer; foreign keys; our own BEGIN (below).

    synchronous=NORMAL: a killed service loses nothing; a power cut may take the last moments,
    in which every session has ended too. It saves a wait for the disk at each commit.
    """
    connection.isolation_level = None
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "busy_timeout=10000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    """Take the write lock at once, so that no transaction fails half-way for lack of it."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")
