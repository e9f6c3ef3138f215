"""What every page of the service is: behind the hub's login, in the reader's language."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from tornado import web

from hub_ext.announcements import ends_in_s, shown_to
from hub_ext.errors import ApportionError
from hub_ext.web import translation
from hub_ext.web.base import BaseHandler
from hub_ext.web.formats import about, ordinal
from hub_ext.web.navigation import image_requests_waiting, invitations_waiting
from hub_ext.web.sentences import sentence
from hub_ext.web.templating import ROOT, templates

log = logging.getLogger(__name__)

_SAID = "apportion-said"
_LONGEST_SAID = 2800
"""Bytes that are kept in it: a browser drops a cookie of more than 4096, signature and all."""


class Page(BaseHandler):
    """A page behind the hub's login."""

    SUPPORTED_METHODS: tuple[str, ...] = ("GET", "HEAD", "POST")
    """A page that shows what a handler of the API answers does not take over what else it does."""

    section = "-"
    """Path, below the service, of the part of the navigation that the page belongs to."""

    async def prepare(self) -> None:
        """Without login: to the hub and back here."""
        self.choose_language()
        if await self.identify():
            return
        if self.request.method == "GET" and "HX-Request" not in self.request.headers:
            self.redirect(self.get_login_url())
            return
        raise web.HTTPError(403, "Log in again.")

    def say(self, sentences: Sequence[str]) -> None:
        """On the next page."""
        kept = [sentence[:500] for sentence in sentences[:5]]
        while len(text := json.dumps(kept, ensure_ascii=False).encode()) > _LONGEST_SAID:
            kept.pop()
        self.set_signed_cookie(_SAID, text, None, path=ROOT, httponly=True, samesite="Lax")

    def said(self) -> list[str]:
        """What the last form has said, once."""
        kept = self.get_signed_cookie(_SAID)
        if kept is None:
            return []
        self.clear_cookie(_SAID, path=ROOT)
        return [str(sentence) for sentence in json.loads(kept)]

    def show(self, name: str, **context: Any) -> None:
        """Render a template. Pages are never cached: they are about now."""
        self.set_header("Cache-Control", "no-store")
        self.finish(
            templates.get_template(name).render(
                user=self.current_user,
                xsrf_token=(self.xsrf_token or b"").decode() if self.current_user else "",
                about=about,
                ordinal=ordinal,
                here=self.section,
                navigation=cache(self._navigation),
                **context,
            )
        )

    def _navigation(self) -> dict[str, Any]:
        """What stands on every page, not in its parts; an error page must not fail for it."""
        nothing: dict[str, Any] = {
            "invitations_waiting": 0,
            "image_requests_waiting": 0,
            "announcements": [],
            "announcements_end_in_s": None,
        }
        if not self.current_user:
            return nothing
        caller = self.caller
        try:
            roles, now = self.roles(), time.time()
            with self.site.database.transaction() as db:
                announcements = shown_to(db, caller.name, roles, now)
                return {
                    "invitations_waiting": invitations_waiting(db, caller.name),
                    "image_requests_waiting": image_requests_waiting(db) if caller.admin else 0,
                    "announcements": announcements,
                    "announcements_end_in_s": ends_in_s(announcements, now),
                }
        except SQLAlchemyError:
            log.warning("No numbers for the navigation", exc_info=True)
            return nothing

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """A page that says what is wrong, with a way back."""
        error = kwargs.get("exc_info", (None, None))[1]
        message = translation.gettext("Something went wrong here.")
        if isinstance(error, ApportionError):
            status_code, message = error.status, sentence(error.message)
        elif isinstance(error, web.HTTPError) and status_code < 500:
            message = sentence(error.log_message or self._reason)
        self.set_status(status_code)
        self.show("error.html", status=status_code, message=message)


class NotFoundPage(Page):
    """Everything else."""

    async def prepare(self) -> None:
        """404, whoever asks."""
        self.choose_language()
        self._hub_auth_user_cache = None
        raise web.HTTPError(404, "There is nothing here.")
