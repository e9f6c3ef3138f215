"""Nobody can see or do by URL, form or API what the page does not offer: all of it is tried."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from tornado import web
from tornado.httpclient import HTTPResponse

from hub_ext.site import Site
from hub_ext.web.api.routes import ROUTES as API_ROUTES
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.launch import LaunchAgainForm
from hub_ext.web.pages.routes import ROUTES as PAGE_ROUTES
from tests.service.role_lab import IDS, MISSING, RoleLab, role_lab
from tests.service.role_table import ALL, API, OPEN, PAGES, PRIVATE, STREAMS, Try

_METHODS = ("get", "post", "put", "patch", "delete")
_TOKENS = re.compile(rb'_xsrf=[^"&]*|name="_xsrf" value="[^"]*"|"X-XSRFToken": "[^"]*"')
_NOT_HERE = ("spawner/", ".*")
"""Routes of the API that have no caller among people."""


@pytest.fixture
def database_url(migrated_sqlite: Path, tmp_path: Path) -> str:
    """SQLite alone: its file can be put back."""
    shutil.copyfile(migrated_sqlite, tmp_path / "apportion.sqlite")
    return f"sqlite:///{tmp_path / 'apportion.sqlite'}"


@pytest.fixture
async def lab(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[RoleLab]:
    """See ``role_lab.py``."""
    async with role_lab(site, monkeypatch, tmp_path / "kept.sqlite") as lab:
        yield lab


def _named(value: Any, ids: dict[str, str]) -> Any:
    """With ids for names in braces."""
    if isinstance(value, dict):
        return {key: _named(each, ids) for key, each in value.items()}
    return value.format(**ids) if isinstance(value, str) else value


async def _ask(lab: RoleLab, one: Try, who: str, prefix: str, ids: dict[str, str]) -> HTTPResponse:
    path, body = prefix + _named(one.path, ids), _named(one.body, ids)
    is_form = body is not None and not prefix and one.method == "POST"
    if body is not None and not is_form:
        body = json.dumps(body)
    return await lab.ask(one.method, path, who, body, form=is_form)


def _outcome(answer: HTTPResponse, one: Try, who: str) -> str:
    if answer.code >= 500:
        return f"error {answer.code}"
    if answer.code == 400 and who not in one.yes:
        return "unknown"
    return {401: "login", 403: "refused", 404: "hidden"}.get(answer.code, "yes")


def _told(answer: HTTPResponse, one: Try, who: str) -> list[str]:
    """What is private, was not in the question, and is in the answer to somebody else."""
    text, asked = (answer.body or b"").decode(errors="replace"), f"{one.path} {one.body}"
    private = [name for name, allowed in PRIVATE.items() if who not in allowed]
    found = [name for name in private if f"{{{name}}}" not in asked and IDS[name] in text]
    if who in "zd" and "optics5" not in asked and "optics5" in text:
        found.append("course")
    return found


async def _wrong(lab: RoleLab, table: Iterable[Try], prefix: str = "") -> list[str]:
    """Sentences about requests that went otherwise than the table says.

    Those who may not go first: they must not have changed anything for those who may.
    """
    found = []
    for one in table:
        for who in sorted(ALL, key=lambda each: (each in one.yes, ALL.index(each))):
            answer = await _ask(lab, one, who, prefix, IDS)
            outcome, expected = _outcome(answer, one, who), _expected(one, who)
            request = f"{one.method} /{one.path} as {who}"
            if outcome != expected:
                found.append(f"{request}: {answer.code}, not {expected}")
            found += [f"{request} tells the {name}" for name in _told(answer, one, who)]
            if one.method != "GET" and answer.code < 400:
                lab.put_back()
    return found


def _expected(one: Try, who: str) -> str:
    if who in one.yes:
        return "yes"
    if who in one.unknown:
        return "unknown"
    return "refused" if who in one.refused else "hidden"


def _without_a_row(
    routes: Iterable[tuple[str, type[web.RequestHandler]]], table: Iterable[Try]
) -> list[str]:
    """Routes and methods that the table forgets."""
    tried = {(one.method, urlsplit(_named(one.path, IDS)).path) for one in table}
    return [
        f"{method} {pattern}"
        for pattern, handler in routes
        for method in _methods(handler)
        if not any(
            which == method and re.fullmatch(pattern.removeprefix("?"), path)
            for which, path in tried
        )
    ]


def _methods(handler: type[web.RequestHandler]) -> list[str]:
    """That the handler has itself; a form's GET only leads back to its page."""
    inherited = {web.RequestHandler.get, Form.get, LaunchAgainForm.get}
    nothing = {getattr(web.RequestHandler, method) for method in _METHODS} | inherited
    return [
        method.upper()
        for method in _METHODS
        if method.upper() in handler.SUPPORTED_METHODS and getattr(handler, method) not in nothing
    ]


async def test_pages_and_forms_serve_those_who_may_and_nobody_else(lab: RoleLab) -> None:
    wrong = await _wrong(lab, PAGES)
    assert not wrong, "\n".join(wrong)


async def test_the_api_serves_those_who_may_and_nobody_else(lab: RoleLab) -> None:
    wrong = await _wrong(lab, API, "api/v1/")
    assert not wrong, "\n".join(wrong)


def test_no_route_is_forgotten() -> None:
    api = [route for route in API_ROUTES if not route[0].startswith(_NOT_HERE)]
    streams = [Try("GET", path) for path, _ in STREAMS.values()]
    assert _without_a_row(PAGE_ROUTES, PAGES) == []
    assert _without_a_row(api, [*API, *streams]) == []


async def test_a_stranger_is_sent_to_the_login_and_changes_nothing(lab: RoleLab) -> None:
    wrong = []
    for one in PAGES:
        answer = await _ask(lab, one, "-", "", IDS)
        expected = 302 if one.method == "GET" else 403
        if "launch/forecast" in one.path:
            expected = 401
        if answer.code != expected:
            wrong.append(f"{one.method} /{one.path}: {answer.code}, not {expected}")
    for one in API:
        answer = await _ask(lab, one, "-", "api/v1/", IDS)
        expected = 200 if one.path in OPEN else 401
        if answer.code != expected:
            wrong.append(f"{one.method} api /{one.path}: {answer.code}, not {expected}")
    assert wrong == []


async def test_what_is_missing_and_what_is_anothers_cannot_be_told_apart(lab: RoleLab) -> None:
    wrong = []
    for prefix, table in (("", PAGES), ("api/v1/", API)):
        for one in table:
            if "{" not in one.path + str(one.body or ""):
                continue
            for who in (each for each in ALL if each not in one.yes + one.refused):
                theirs = await _ask(lab, one, who, prefix, IDS)
                missing = await _ask(lab, one, who, prefix, MISSING)
                if _plain(theirs, IDS) != _plain(missing, MISSING):
                    wrong.append(f"{one.method} /{one.path} as {who}: {theirs.body!r}")
    assert not wrong, "\n".join(wrong)


def _plain(answer: HTTPResponse, ids: dict[str, str]) -> tuple[int, bytes]:
    """Without tokens, and without the ids that were asked for."""
    body = _TOKENS.sub(b"", answer.body or b"")
    for value in ids.values():
        if len(value) > 3:
            body = body.replace(value.encode(), b"ID").replace(quote(value, "").encode(), b"ID")
    return answer.code, body


async def test_streams_are_open_only_to_those_who_may_see_what_they_tell(lab: RoleLab) -> None:
    for path, yes in STREAMS.values():
        for who in (each for each in ALL if each not in yes):
            answer = await lab.ask("GET", f"api/v1/{path.format(**IDS)}", who)
            assert answer.code in {403, 404}, (path, who)
        assert (await lab.ask("GET", f"api/v1/{path.format(**IDS)}", "-")).code == 401


async def test_the_spawners_part_of_the_api_is_for_nobody_else(lab: RoleLab) -> None:
    session = IDS["session"]
    paths = {
        "requests": "spawner/requests",
        "wait": f"spawner/sessions/{session}/wait",
        "status": f"spawner/sessions/{session}/status",
        "ended": f"spawner/sessions/{session}/ended",
        "one ended": "spawner/ended",
        "lookup": "spawner/lookup",
        "glances": "spawner/glances",
        **{
            what: f"spawner/sessions/{session}/{what}"
            for what in ("panel", "extend", "in-use", "stop", "image-request")
        },
        "dry run": "spawner/dry-run",
        "form": "spawner/launch-form",
    }
    for pattern in (pattern for pattern, _ in API_ROUTES if pattern.startswith("spawner/")):
        assert any(re.fullmatch(pattern, path) for path in paths.values()), pattern
    for path in paths.values():
        for method in ("GET", "POST"):
            for who in ("-", *ALL):
                assert (await lab.ask(method, f"api/v1/{path}", who, "{}")).code in {401, 405}


async def test_a_form_needs_the_token_of_its_page(lab: RoleLab) -> None:
    cookies = {who: await lab.cookies(who) for who in ALL}
    wrong = []
    for one in (one for one in PAGES if one.method == "POST" and one.path != "launch/forecast"):
        who = one.yes[0]
        other = next(each for each in ALL if each != who)
        path, fields = _named(one.path, IDS), _named(one.body, IDS)
        for token in ("", "x", cookies[other]["_xsrf"]):
            answer = await lab.send_form(path, cookies[who], fields | {"_xsrf": token})
            if answer.code != 403:
                wrong.append(f"{one.path} with {token or 'none'}: {answer.code}")
        good = await lab.send_form(path, cookies[who], fields | {"_xsrf": cookies[who]["_xsrf"]})
        if good.code in {401, 403, 404} or good.code >= 500:
            wrong.append(f"{one.path} with its token: {good.code}")
        lab.put_back()
    assert not wrong, "\n".join(wrong)
