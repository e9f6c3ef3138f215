"""Whatever text somebody stores, pages show it as text; what is refused names its field."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.site import Site
from tests.service.role_lab import IDS, PEOPLE, RoleLab, role_lab

PLAIN = "plain"
_SHOWN = 60
"""So much of a long text is everywhere; the audit log cuts it."""
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "quotes": "\"'`><img src=x onerror=alert(1)>",
    "long": "x" * 300,
    "right to left": "\u202e\u0645\u0631\u062d\u0628\u0627\u202c",
    "zero width": "a\u200bb\ufeffc",
    "emoji": "👩\u200d🔬🧪",
    "template": "{{7*7}}${7*7}#{7*7}",
    "newline": "one\ntwo",
    "entity": "&lt;b&gt;&amp;",
}


@dataclass(frozen=True, slots=True)
class Field:
    """Where a text is sent, and the pages that show it to ``sees``."""

    name: str
    method: str
    path: str
    body: dict[str, Any]
    shown: tuple[str, ...]
    by: str = "r"
    refused_as: str = ""
    """What a refusal calls it, where that is not its name."""

    def __str__(self) -> str:
        return f"{self.path} {self.name}"


_COURSE = ("projects", "projects/optics5", "projects/optics5/settings", "projects/optics5/members")
_FOLDER = "folders/{folder}"
_NODES = ("admin/nodes", "admin/nodes/gpu-1", "admin/audit")
_GROUPS = ("admin/groups", "admin/nodes", "admin/nodes/gpu-1", "admin/audit")
_PRESETS = ("admin/presets", "launch", "admin/audit")
_TOLD = ("", "admin/announcements", "folders", "admin/audit")
_SIZE = {"fgpu": 0, "cpu_milli": 1000, "memory_mib": 1024}
_SESSION = {"image": "apportion/base:test", "project": "default", "cpu": 1, "memory_mib": 1024}

FIELDS = [
    Field("name", "POST", "sessions", _SESSION, ("", "sessions/table", "launch"), by="a"),
    Field("name", "POST", "folders", {}, ("folders", "launch", "admin/audit")),
    Field("name", "PATCH", _FOLDER, {}, ("folders", "folders/{folder}", "launch"), by="a"),
    Field("path", "POST", f"{_FOLDER}/files", {}, ("folders/{folder}",), by="a"),
    Field("users", "POST", f"{_FOLDER}/shares", {"mode": "ro"},
          ("folders/{folder}/settings", "invitations"), by="a"),
    Field("name", "POST", "sessions/{session}/image-request", {},
          ("images", "sessions/{session}"), by="a"),
    Field("description", "POST", "sessions/{session}/image-request", {"name": "kept"},
          ("images", "sessions/{session}"), by="a"),
    Field("reason", "POST", "image-requests/{request}/decline", {}, ("images",)),
    Field("name", "POST", "projects", {}, ("projects", "admin/limits", "admin/audit")),
    Field("title", "PATCH", "projects/optics5", {}, (*_COURSE, "launch", "")),
    Field("description", "PATCH", "projects/optics5", {}, (*_COURSE, "admin/audit")),
    Field("user", "POST", "projects/optics5/members", {}, (*_COURSE, "projects/optics5/audit")),
    Field("text", "POST", "projects/optics5/announcements", {},
          ("projects/optics5/messages", "", "projects/optics5/audit"), by="t"),
    Field("text", "POST", "announcements", {}, _TOLD),
    Field("name", "POST", "presets", {"title": "T", **_SIZE}, _PRESETS),
    Field("title", "POST", "presets", {"name": "new", **_SIZE}, (*_PRESETS, "admin/presets/new")),
    Field("description", "POST", "presets", {"name": "new", "title": "T", **_SIZE}, _PRESETS),
    Field("name", "POST", "resource-groups", {}, _GROUPS),
    Field("title", "POST", "resource-groups", {"name": "new"}, (*_GROUPS, "admin/groups/new")),
    Field("labels", "PATCH", "nodes/gpu-1", {}, _NODES),
]  # fmt: skip


class _Shape(HTMLParser):
    """The elements of a page with the names of their attributes, and all text in it."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Values of attributes may be texts of somebody, too."""
        self.elements.append((tag, *sorted(name for name, _ in attrs)))
        self.texts += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        """Text as the reader has it."""
        self.texts.append(data)

    def shows(self, text: str) -> bool:
        """Spaces are folded, as a browser folds them."""
        return _folded(text) in _folded(" ".join(self.texts))


def _folded(text: str) -> str:
    return " ".join(text.split())


@dataclass
class Desk:
    """Sends a text, and reads the pages that show it."""

    lab: RoleLab
    field: Field
    problems: list[str] = field(default_factory=list)

    async def send(self, text: str) -> HTTPResponse:
        """By the API, which the forms share."""
        value: Any = {"users": [text], "labels": {"key": text}}.get(self.field.name, text)
        body = json.dumps(self.field.body | {self.field.name: value})
        path = f"api/v1/{self.field.path.format(**IDS)}"
        return await self.lab.ask(self.field.method, path, self.field.by, body)

    async def shapes(self) -> dict[str, _Shape]:
        """Of every page that shows it."""
        found = {}
        for path in self.field.shown:
            who = "zoe" if path == "invitations" else PEOPLE[self.field.by]
            if path.startswith(("admin", "images")):
                who = "root"
            answer = await AsyncHTTPClient().fetch(
                self.lab.base + path.format(**IDS),
                headers={"Authorization": f"token {who}"},
                raise_error=False,
            )
            if answer.code == 404 and path.endswith("/new"):
                continue
            assert answer.code == 200, (path, answer.code, answer.body)
            found[path] = _Shape(answer.body.decode())
        return found

    def reset(self) -> None:
        """Rows and files as they began."""
        shutil.rmtree(self.lab.site.folders.storage.path(IDS["folder"]), ignore_errors=True)
        self.lab.put_back()


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


@pytest.mark.parametrize("field", FIELDS, ids=str)
async def test_a_text_is_shown_as_text_or_refused_by_its_field(lab: RoleLab, field: Field) -> None:
    desk = Desk(lab, field)
    answer = await desk.send(PLAIN)
    assert answer.code < 300, answer.body
    plain = await desk.shapes()
    assert any(shape.shows(PLAIN) for shape in plain.values()), "no page shows it at all"
    for kind, text in HOSTILE.items():
        desk.reset()
        answer = await desk.send(text)
        if answer.code < 300:
            _compare(desk, kind, text, plain, await desk.shapes())
        else:
            _check_refusal(desk, kind, answer)
    assert not desk.problems, "\n".join(desk.problems)


def _compare(
    desk: Desk, kind: str, text: str, plain: dict[str, _Shape], hostile: dict[str, _Shape]
) -> None:
    """The same elements as with a harmless text, and the text wherever that one is."""
    for path, shape in hostile.items():
        new = Counter(shape.elements)
        new.subtract(plain[path].elements)  # a list may be in another order
        if any(new.values()):
            other = [each for each, count in new.items() if count]
            desk.problems.append(f"{kind}: /{path} has other elements: {other[:5]}")
        if plain[path].shows(PLAIN) and not shape.shows(text[:_SHOWN]):
            desk.problems.append(f"{kind}: /{path} does not show it")
        if "49" in text and not shape.shows(text):
            desk.problems.append(f"{kind}: /{path} has worked it out")


def _check_refusal(desk: Desk, kind: str, answer: HTTPResponse) -> None:
    if answer.code == 404 and desk.field.name == "path" and "/" in HOSTILE[kind]:
        return  # a directory that is not there
    if answer.code not in {400, 422}:
        desk.problems.append(f"{kind}: {answer.code}")
        return
    named = str(json.loads(answer.body)["error"].get("field", ""))
    if named.split(".")[0] != (desk.field.refused_as or desk.field.name):
        desk.problems.append(f"{kind}: the refusal names {named or 'no field'}: {answer.body!r}")
