"""Local accounts: NativeAuthenticator, made to work with JupyterHub 6.

Release 1.3's own login page fails on JupyterHub 6.1: it uses the ``statsd`` attribute that the
hub no longer has, and its ``_render`` does not take what the hub's error page passes. The hub's
stock login page does the same work and asks this class whether the password is right.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import Any

import bcrypt
from nativeauthenticator import NativeAuthenticator
from tornado import web
from traitlets import default

LONGEST_PASSWORD_BYTES = 72
"""bcrypt reads no more; bcrypt 5 raises ValueError instead of cutting in silence."""
NOBODYS_HASH = bcrypt.hashpw(b"nobody's password", bcrypt.gensalt())


class LocalAccountAuthenticator(NativeAuthenticator):
    """Accounts with passwords in the hub's own database; new ones wait for an admin's approval."""

    @default("allow_all")
    def _default_allow_all(self) -> bool:
        return True  # who may log in is decided by the approval of the account

    @default("minimum_password_length")
    def _default_minimum_password_length(self) -> int:
        return 8

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        """NativeAuthenticator's pages but its login page."""
        return [entry for entry in super().get_handlers(app) if entry[0] != "/login"]

    async def authenticate(self, handler: Any, data: dict[str, str]) -> str | None:
        """The user's name, or None if name, password or second factor is wrong.

        Raises HTTPError 403, shown on the login page, for an account that awaits approval.

        bcrypt takes a quarter of a second, so it runs on a thread: the hub serves others
        meanwhile. An unknown name takes as long as a wrong password.
        """
        username = self.normalize_username(data["username"])
        account = self.get_user(username)
        if self.allowed_failed_logins and self.is_blocked(username):
            return None
        stored = NOBODYS_HASH if account is None else account.password
        right = await _matches(data["password"], stored)
        if account is None:
            return None
        if right and not account.is_authorized:
            raise web.HTTPError(403, "An administrator has not approved this account yet.")
        if right and self._second_factor_is_right(account, data):
            self.successful_login(username)
            return username
        self.add_login_attempt(username)
        return None

    def is_password_strong(self, password: str) -> bool:
        """Also refuses what bcrypt could not tell from a shorter password."""
        fits = len(password.encode()) <= LONGEST_PASSWORD_BYTES
        return fits and super().is_password_strong(password)

    def _second_factor_is_right(self, account: Any, data: dict[str, str]) -> bool:
        return not account.has_2fa or account.is_valid_token(data.get("2fa"))


async def _matches(password: str, stored: bytes) -> bool:
    encoded = password.encode()
    if len(encoded) > LONGEST_PASSWORD_BYTES or b"\0" in encoded:
        return False
    found = await asyncio.to_thread(bcrypt.hashpw, encoded, stored)
    return hmac.compare_digest(found, stored)
