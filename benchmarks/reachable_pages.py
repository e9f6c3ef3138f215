"""Which pages somebody can reach, by following links and live parts as a browser does.

So a new page is measured and looked at without being entered anywhere: of each route one
page, and one more for each set of query fields that links to it have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from urllib.parse import parse_qsl, urljoin, urlsplit

from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.routes import ROUTES
from tests.service.rest_client import PREFIX

# "?" alone would be "nothing to repeat": it makes the slash of the prefix optional.
_COMPILED = [(path, handler, re.compile(path.removeprefix("?"))) for path, handler in ROUTES]


_MOST_FIELDS = 2
"""Links with more query fields are of combinations that were seen one by one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a page answered: ``url`` after redirects, below the service's prefix."""

    status: int
    kind: str
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """A page or a live part: ``path`` with its query, below the prefix."""

    path: str
    is_part: bool
    answer: Answer

    @property
    def route(self) -> str | None:
        """The pattern that answers it."""
        return _route(self.path)


def reachable(get: Callable[[str, bool], Answer], *start: str) -> list[Found]:
    """Every kind of page; ``get(path, is_part)`` asks for one below the prefix."""
    waiting = [(path, False) for path in start or ("",)]
    seen: set[tuple[object, ...]] = set()
    found: list[Found] = []
    while waiting:
        path, is_part = waiting.pop(0)
        kind = _kind(path, is_part)
        if kind is None or kind in seen:
            continue
        seen.add(kind)
        answer = get(path, is_part)
        found.append(Found(path, is_part, answer))
        if answer.status == 200 and answer.kind.startswith("text/html"):
            waiting += [link for link in _links(path, answer.text) if _kind(*link) not in seen]
    return found


def unreached(found: list[Found]) -> list[str]:
    """Patterns of pages that were not among them."""
    reached = {each.route for each in found}
    return [pattern for pattern, handler in ROUTES if not issubclass(handler, Form)
            and pattern not in reached]  # fmt: skip


def _kind(path: str, is_part: bool) -> tuple[object, ...] | None:
    """What makes one page like another; None: it is no page."""
    route = _route(path)
    if route is None:
        return None
    keys = sorted({key for key, _ in parse_qsl(urlsplit(path).query, keep_blank_values=True)})
    return None if len(keys) > _MOST_FIELDS else (route, is_part, *keys)


def _route(path: str) -> str | None:
    """The pattern that answers; None for forms, the API and everything else."""
    plain = urlsplit(path).path
    for pattern, handler, compiled in _COMPILED:
        if compiled.fullmatch(plain):
            return None if issubclass(handler, Form) else pattern
    return None


class _Links(HTMLParser):
    """Where links lead, and what live parts ask for: the attribute's value, whether a part."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[tuple[str, bool], None] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """``link`` elements name style sheets."""
        for name, value in attrs:
            if value and tag != "link" and name in {"href", "hx-get"}:
                self.found[value, name == "hx-get"] = None


def _links(path: str, html: str) -> Iterator[tuple[str, bool]]:
    """Paths below the prefix."""
    parser = _Links()
    parser.feed(html)
    for value, is_part in parser.found:
        parts = urlsplit(urljoin(PREFIX + path, value))
        if not (parts.scheme or parts.netloc) and parts.path.startswith(PREFIX):
            query = f"?{parts.query}" if parts.query else ""
            yield parts.path.removeprefix(PREFIX) + query, is_part
