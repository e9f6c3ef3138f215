"""The first admin: a row of NativeAuthenticator and an admin of the hub, in the hub's database.

Works before the hub's first start (the tables are made the way the hub makes them), between
starts, and while the hub runs: NativeAuthenticator reads the row at each login.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import bcrypt
from jupyterhub import dbutil, orm, roles
from nativeauthenticator.orm import UserInfo
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session
from traitlets.log import get_logger

from hub_ext.bootstrap.failure import BootstrapError

BUSY_TIMEOUT_S = 30
SYLLABLES = [c + v for c in "bdfghjkmnprstvz" for v in "aeiou"]
GROUPS = 4
SYLLABLES_PER_GROUP = 3
"""4 groups of 3 of 75 syllables: 12 x log2(75) = 75 bits, and still easy to type."""


def ensure_admin(db_url: str, name: str, *, reset: bool = False) -> str | None:
    """Make ``name`` an admin who can log in. Returns the password if one was made, else None.

    reset: give an existing admin a new password. Raises BootstrapError if the database is
    unusable or the name cannot be a user's.
    """
    name = _valid(name)
    with _session(db_url) as db:
        account = UserInfo.find(db, name)
        _ensure_hub_admin(db, name)
        if account is not None and not reset:
            db.commit()
            return None
        password = readable_password()
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt())
        if account is None:
            account = UserInfo(username=name, password=hashed)
            db.add(account)
        account.password = hashed
        account.is_authorized = True
        account.has_2fa = False
        db.commit()
        return password


def readable_password() -> str:
    """A random password of pronounceable groups, of 75 bits."""
    groups = (
        "".join(secrets.choice(SYLLABLES) for _ in range(SYLLABLES_PER_GROUP))
        for _ in range(GROUPS)
    )
    return "-".join(groups)


def _valid(name: str) -> str:
    """The name as the hub will know it (NativeAuthenticator lower-cases it at login)."""
    normal = name.strip().lower()
    if not normal or any(sign in normal for sign in " ,/") or not normal.isprintable():
        raise BootstrapError(
            f"'{name}' cannot be the admin's name.",
            "Use letters, digits and . _ - (e.g. --admin admin).",
        )
    return normal


def _ensure_hub_admin(db: Session, name: str) -> None:
    """The hub's own user row. Roles that exist already are given here; a new database gets
    its roles at the hub's start, which grants them to every row marked admin."""
    user = orm.User.find(db, name)
    if user is None:
        user = orm.User(name=name, admin=True)
        db.add(user)
    user.admin = True
    db.flush()
    for role_name in ("user", "admin"):
        role = orm.Role.find(db, role_name)
        if role is not None and role not in user.roles:
            roles.grant_role(db, user, role, commit=False)


@contextmanager
def _session(db_url: str) -> Iterator[Session]:
    """A session on the hub's database, migrated if needed, as the hub would open it."""
    options = {}
    if db_url.startswith("sqlite"):
        options["connect_args"] = {"check_same_thread": False, "timeout": BUSY_TIMEOUT_S}
    try:
        with _quiet():
            dbutil.upgrade_if_needed(db_url, log=get_logger())
            session = orm.new_session_factory(db_url, **options)()
    except (SQLAlchemyError, OSError) as error:
        raise _refusal(db_url, error) from error
    try:
        yield session
    except SQLAlchemyError as error:
        session.rollback()
        raise _refusal(db_url, error) from error
    finally:
        session.close()
        session.get_bind().dispose()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep alembic's steps off the terminal: its env.py switches its own log on."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        yield
    finally:
        logging.disable(before)


def _refusal(db_url: str, error: Exception) -> BootstrapError:
    cause = str(getattr(error, "orig", None) or error)
    where = db_url.rpartition("@")[2] if "@" in db_url else db_url
    if isinstance(error, OperationalError) and "locked" in cause:
        return BootstrapError(
            f"The hub's database is busy ({where}).",
            "Run this again; if it stays so, stop the hub (Ctrl-C in its terminal) and start it"
            " with --reset-admin-password.",
        )
    if "full" in cause:
        return BootstrapError(
            f"The disk is full: the hub's database cannot be written ({where}).",
            "Free some space and run this again.",
        )
    return BootstrapError(
        f"The hub's database cannot be used ({where}): {cause}.",
        "Check that it is whole and writable; restore it from a backup if it is damaged.",
    )
