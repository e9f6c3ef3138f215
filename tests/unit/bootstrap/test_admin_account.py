"""The first admin, in the hub's database before its first start and while it runs."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyterhub import orm
from nativeauthenticator.orm import UserInfo
from sqlalchemy.orm import Session

from hub_ext.bootstrap import admin_account
from hub_ext.bootstrap.admin_account import ensure_admin
from hub_ext.bootstrap.failure import BootstrapError


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/jupyterhub.sqlite"


@pytest.fixture
def hub_session(url: str) -> Iterator[Session]:
    """The database as the hub opens it: it checks the migration and makes missing tables."""
    session = orm.new_session_factory(url)()
    yield session
    session.close()
    session.get_bind().dispose()


def test_first_start_makes_an_admin_and_returns_the_password(
    url: str, request: pytest.FixtureRequest
) -> None:
    password = ensure_admin(url, "admin")
    hub_session = request.getfixturevalue("hub_session")

    account = UserInfo.find(hub_session, "admin")
    assert password is not None
    assert account.is_valid_password(password)
    assert account.is_authorized
    assert orm.User.find(hub_session, "admin").admin


def test_password_can_be_read_out_loud() -> None:
    passwords = {admin_account.readable_password() for _ in range(100)}

    assert len(passwords) == 100
    assert all(re.fullmatch(r"([a-z]{6}-){3}[a-z]{6}", password) for password in passwords)


def test_second_start_keeps_the_password_and_tells_nothing(url: str, hub_session: Session) -> None:
    password = ensure_admin(url, "admin")

    assert ensure_admin(url, "admin") is None
    assert UserInfo.find(hub_session, "admin").is_valid_password(password)


def test_reset_replaces_the_password_and_the_second_factor(url: str, hub_session: Session) -> None:
    old = ensure_admin(url, "admin")
    account = UserInfo.find(hub_session, "admin")
    account.has_2fa = True
    account.is_authorized = False
    hub_session.commit()

    new = ensure_admin(url, "admin", reset=True)

    hub_session.expire_all()
    account = UserInfo.find(hub_session, "admin")
    assert account.is_valid_password(new)
    assert not account.is_valid_password(old)
    assert account.is_authorized
    assert not account.has_2fa


def test_name_is_stored_as_the_hub_will_look_for_it(url: str, hub_session: Session) -> None:
    ensure_admin(url, "Ada")

    assert UserInfo.find(hub_session, "ada")
    assert ensure_admin(url, "ADA") is None


def test_second_admin_gets_a_password_of_her_own(url: str) -> None:
    assert ensure_admin(url, "admin") != ensure_admin(url, "ada")
    assert ensure_admin(url, "ada") is None


def test_student_named_as_admin_becomes_one(url: str, hub_session: Session) -> None:
    hub_session.add(orm.User(name="ada"))
    hub_session.commit()

    ensure_admin(url, "ada")

    hub_session.expire_all()
    assert orm.User.find(hub_session, "ada").admin


@pytest.mark.parametrize("name", ["", "two words", "a/b", "a,b", "a\nb"])
def test_name_that_could_not_log_in_is_refused(url: str, name: str) -> None:
    with pytest.raises(BootstrapError, match="cannot be the admin's name"):
        ensure_admin(url, name)


def test_damaged_database_is_named(tmp_path: Path, url: str) -> None:
    (tmp_path / "jupyterhub.sqlite").write_bytes(b"no database at all" * 100)

    with pytest.raises(BootstrapError, match="cannot be used") as refusal:
        ensure_admin(url, "admin")

    assert "jupyterhub.sqlite" in refusal.value.message


def test_database_that_stays_busy_says_what_to_do(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_admin(url, "admin")
    monkeypatch.setattr(admin_account, "BUSY_TIMEOUT_S", 0.05)
    writer = sqlite3.connect(tmp_path / "jupyterhub.sqlite", isolation_level=None)
    writer.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(BootstrapError, match="busy") as refusal:
            ensure_admin(url, "admin", reset=True)
    finally:
        writer.close()

    assert "--reset-admin-password" in refusal.value.way_out
