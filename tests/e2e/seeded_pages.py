"""The service's pages on a seeded lab, in a process of its own, for a browser: no Docker.

JupyterHub's own style sheets and scripts are there; a session cannot be opened.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ViewportSize

from benchmarks.reachable_pages import Answer, Found, reachable
from benchmarks.seeded_site import SMALL, Size, fill
from benchmarks.served_site import Served
from hub_ext.db.connection import Database
from tests.service.rest_client import PREFIX

WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}


def seed(directory: Path, size: Size = SMALL) -> str:
    """URL of a database with a site in it."""
    url = f"sqlite:///{directory / 'site.sqlite'}"
    database = Database(url)
    database.upgrade()
    fill(database, size)
    database.engine.dispose()
    return url


def log_in(browser: Browser, site: Served, who: str, **options: object) -> BrowserContext:
    """A browser in which somebody has logged in; ``options`` of the context."""
    # Colours that still change would be measured half-way.
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce", **options)  # type: ignore[arg-type]
    front = f"{PREFIX}announcements/shown"
    answer = context.request.get(f"{site.url}/hub/login?user={who}&next={front}")
    assert answer.ok, answer.status
    return context


def pages_of(context: BrowserContext, site: Served) -> list[Found]:
    """Every kind of page that he reaches, without the live parts."""
    return [found for found in reachable(_get(context, site)) if not found.is_part]


def _get(context: BrowserContext, site: Served) -> Callable[[str, bool], Answer]:
    def get(path: str, is_part: bool) -> Answer:
        headers = {"HX-Request": "true"} if is_part else {}
        answer = context.request.get(f"{site.url}{PREFIX}{path}", headers=headers)
        text = answer.text() if "text/" in answer.headers.get("content-type", "") else ""
        return Answer(answer.status, answer.headers.get("content-type", ""), text)

    return get
