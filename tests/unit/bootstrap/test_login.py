"""Local accounts: who gets in, and what the login page says otherwise."""

from __future__ import annotations

from pathlib import Path

import bcrypt
import pytest
from jupyterhub import orm
from nativeauthenticator.orm import UserInfo
from tornado.web import HTTPError

from hub_ext.login import LocalAccountAuthenticator

PASSWORD = "correct horse battery"


@pytest.fixture
def authenticator(tmp_path: Path) -> LocalAccountAuthenticator:
    """With one approved account, ada."""
    session = orm.new_session_factory(f"sqlite:///{tmp_path}/hub.sqlite")()
    made = LocalAccountAuthenticator(db=session)
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
    session.add(UserInfo(username="ada", password=hashed, is_authorized=True))
    session.commit()
    return made


async def test_right_password_lets_in(authenticator: LocalAccountAuthenticator) -> None:
    data = {"username": "Ada", "password": PASSWORD}

    assert await authenticator.authenticate(None, data) == "ada"


@pytest.mark.parametrize(
    ("username", "password"),
    [("ada", "wrong"), ("ada", ""), ("ada", "x" * 100), ("ada", "nul\0"), ("nobody", PASSWORD)],
)
async def test_anything_else_does_not(
    authenticator: LocalAccountAuthenticator, username: str, password: str
) -> None:
    data = {"username": username, "password": password}

    assert await authenticator.authenticate(None, data) is None


async def test_account_that_awaits_approval_is_told_so(
    authenticator: LocalAccountAuthenticator,
) -> None:
    UserInfo.change_authorization(authenticator.db, "ada")

    with pytest.raises(HTTPError, match="not approved"):
        await authenticator.authenticate(None, {"username": "ada", "password": PASSWORD})


async def test_wrong_password_does_not_tell_that_an_account_awaits_approval(
    authenticator: LocalAccountAuthenticator,
) -> None:
    UserInfo.change_authorization(authenticator.db, "ada")

    assert await authenticator.authenticate(None, {"username": "ada", "password": "x"}) is None


async def test_account_is_blocked_after_too_many_wrong_passwords(
    authenticator: LocalAccountAuthenticator,
) -> None:
    authenticator.allowed_failed_logins = 2
    for _ in range(2):
        await authenticator.authenticate(None, {"username": "ada", "password": "wrong"})

    right = {"username": "ada", "password": PASSWORD}
    assert await authenticator.authenticate(None, right) is None


def test_login_page_is_the_hubs_own(authenticator: LocalAccountAuthenticator) -> None:
    paths = [path for path, _ in authenticator.get_handlers(None)]

    assert "/login" not in paths
    assert "/signup" in paths


def test_password_longer_than_bcrypt_reads_is_refused_at_sign_up(
    authenticator: LocalAccountAuthenticator,
) -> None:
    assert authenticator.is_password_strong("x" * 72)
    assert not authenticator.is_password_strong("x" * 73)
