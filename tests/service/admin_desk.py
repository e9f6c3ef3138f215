"""Somebody at the admin's pages, with a browser that runs no script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from html import escape, unescape
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.site import Site
from tests.service.rest_client import PREFIX, RestClient, serving

HOSTILE = "<script>alert('x')</script>"
SHOWN = escape(HOSTILE).replace("&#x27;", "&#39;")
"""The same as Jinja writes it."""


@dataclass
class Desk:
    """A site and a way to its pages."""

    site: Site
    api: RestClient

    async def send(
        self,
        path: str,
        by: str = "root",
        *,
        cookie: str = "",
        language: str = "en",
        **fields: str | list[str],
    ) -> HTTPResponse:
        """A page, or with ``fields`` a form as a browser without script sends it."""
        return await AsyncHTTPClient().fetch(
            self.api.base + path,
            method="POST" if fields else "GET",
            body=urlencode(fields, doseq=True) if fields else None,
            headers={
                "Authorization": f"token {by}",
                "Cookie": cookie,
                "Accept-Language": language,
            },
            follow_redirects=False,
            raise_error=False,
            request_timeout=60,
        )

    async def page(self, path: str, by: str = "root") -> str:
        """A page that is there."""
        answer = await self.send(path, by)
        assert answer.code == 200, answer.body
        return answer.body.decode()

    async def follow(self, answer: HTTPResponse, by: str = "root") -> str:
        """The page that a form leads to, with what it says."""
        assert answer.code == 303, answer.body
        said = answer.headers["Set-Cookie"].partition(";")[0]
        there = await self.send(answer.headers["Location"].removeprefix(PREFIX), by, cookie=said)
        assert there.code == 200, there.body
        return there.body.decode()

    def hidden(self, page: str, name: str) -> str:
        """Value of a hidden field."""
        match = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
        assert match is not None, page
        return unescape(match[1])


@asynccontextmanager
async def serving_desk(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Desk]:
    """Serve the site while the context lasts."""
    async with serving(site, monkeypatch) as api:
        yield Desk(site, api)
