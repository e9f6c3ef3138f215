"""Pages and forms of projects as a browser without script asks for them."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.nodes import inventory
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import By
from hub_ext.sessions.activity import Activity
from hub_ext.site import Site
from tests.service import rest_client
from tests.service.rest_client import RestClient, serving

ROOT = By("root", Role.ADMIN)
Fields = dict[str, str | list[str]]


@dataclass(frozen=True, slots=True)
class ProjectLab:
    """A course ml101 below dept: tess teaches it, ann and bob learn, zoe is a stranger."""

    site: Site
    rest: RestClient
    activity: Activity

    async def page(self, path: str, by: str = "tess", **headers: str) -> HTTPResponse:
        """A page as it is."""
        return await AsyncHTTPClient().fetch(
            self.rest.base + path,
            headers={"Authorization": f"token {by}", **headers},
            follow_redirects=False,
            raise_error=False,
        )

    async def text(self, path: str, by: str = "tess") -> str:
        """A page that is there."""
        answer = await self.page(path, by)
        assert answer.code == 200, (path, answer.code, answer.body.decode())
        return answer.body.decode()

    async def send(
        self, path: str, fields: Fields | None = None, by: str = "tess", **headers: str
    ) -> HTTPResponse:
        """A form."""
        return await AsyncHTTPClient().fetch(
            self.rest.base + path,
            method="POST",
            body=urlencode(fields or {"x": "1"}, doseq=True),
            headers={"Authorization": f"token {by}", **headers},
            follow_redirects=False,
            raise_error=False,
        )

    async def upload(self, path: str, content: bytes, by: str = "tess") -> HTTPResponse:
        """A form with a file in its field ``file``."""
        head = 'Content-Disposition: form-data; name="file"; filename="list.csv"'
        body = b"\r\n".join(
            [b"--edge", head.encode(), b"Content-Type: text/csv", b"", content, b"--edge--", b""]
        )
        return await AsyncHTTPClient().fetch(
            self.rest.base + path,
            method="POST",
            body=body,
            headers={
                "Authorization": f"token {by}",
                "Content-Type": "multipart/form-data; boundary=edge",
            },
            follow_redirects=False,
            raise_error=False,
        )

    async def form(self, path: str, form_id: str, by: str = "tess") -> Fields:
        """The fields of a form on a page, as a browser would send them untouched."""
        return form_fields(await self.text(path, by), form_id)


@asynccontextmanager
async def course(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProjectLab]:
    """The pages of the course while the context lasts."""
    made: list[Activity] = []

    def make(*arguments: Any) -> Activity:
        made.append(Activity(*arguments))
        return made[-1]

    monkeypatch.setattr(rest_client, "Activity", make)
    await inventory.refresh(site)
    site.projects.create("dept", {}, by=ROOT)
    site.projects.create(
        "ml101",
        {"parent": "dept", "title": "Machine learning", "quota_gpu_milli": 1000},
        by=ROOT,
    )
    for user, role in (("tess", Role.INSTRUCTOR), ("ann", Role.MEMBER), ("bob", Role.MEMBER)):
        site.projects.roster.add("ml101", user, role, {}, by=ROOT)
    async with serving(site, monkeypatch) as client:
        yield ProjectLab(site, client, made[0])


def form_fields(page: str, form_id: str) -> Fields:
    """What a browser sends of a form when nobody touches it."""
    found = re.search(rf'<form[^>]*id="{form_id}"[^>]*>(.*?)</form>', page, re.DOTALL)
    assert found is not None, f"no form {form_id}"
    inside, fields = found[1], Fields()
    for tag in re.findall(r"<input\b[^>]*>", inside):
        attributes = _attributes(tag)
        kind = attributes.get("type", "text")
        if kind in {"file", "submit"} or "name" not in attributes:
            continue
        if kind in {"checkbox", "radio"} and "checked" not in attributes:
            continue
        _add(fields, attributes["name"], attributes.get("value", "on"))
    for name, value in re.findall(
        r'<textarea[^>]*name="([^"]+)"[^>]*>\n?(.*?)</textarea>', inside, re.DOTALL
    ):
        _add(fields, name, html.unescape(value))
    for name, options in re.findall(
        r'<select[^>]*name="([^"]+)"[^>]*>(.*?)</select>', inside, re.DOTALL
    ):
        tags = [_attributes(tag) for tag in re.findall(r"<option[^>]*>", options)]
        chosen = [tag for tag in tags if "selected" in tag] or tags[:1]
        _add(fields, name, chosen[0].get("value", ""))
    fields.pop("_xsrf", None)
    return fields


def _attributes(tag: str) -> dict[str, str]:
    pairs = re.findall(r'([a-zA-Z_-]+)(?:="([^"]*)")?', tag.partition(" ")[2])
    return {name: html.unescape(value) for name, value in pairs}


def _add(fields: Fields, name: str, value: str) -> None:
    known: Any = fields.get(name)
    fields[name] = (
        value if known is None else [*([known] if isinstance(known, str) else known), value]
    )


def shown(answer: HTTPResponse) -> bytes:
    """What a page says, without the tokens around it, which change with the clock."""
    return answer.body.partition(b"data-topics")[2].partition(b"<footer")[0]
