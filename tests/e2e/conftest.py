"""Deployments and browsers for the end-to-end tests; all of this needs a Docker engine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.e2e.lab import SHOTS, Lab, Person

BASE = "apportion/base:0.1.0"
_CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is end to end."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="module")
def make_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Lab]]:
    """Starts deployments; stops them after the module."""
    labs: list[Lab] = []

    def make(*options: str, config: Path | None = None) -> Lab:
        labs.append(Lab(tmp_path_factory.mktemp("lab"), *options, config=config))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium. For a module only: while it is there, an event loop counts as running."""
    path = shutil.which("chromium") or "/usr/bin/chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def window(browser: Browser) -> Iterator[Callable[[Person], Page]]:
    """A browser window in which somebody has logged in by hand."""
    contexts: list[BrowserContext] = []

    def open_window(person: Person) -> Page:
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}))
        page = contexts[-1].new_page()
        page.goto(f"{person.lab.url}/hub/login")
        page.fill("#username_input", person.name)
        page.fill("#password_input", person.password)
        page.click("#login_submit")
        page.wait_for_url("**/hub/**")
        return page

    yield open_window
    for context in contexts:
        context.close()


@pytest.fixture
def shot(request: pytest.FixtureRequest) -> Callable[[Page, str], None]:
    """Keeps a screenshot in test-results/ for people to look at."""

    def take(page: Page, name: str) -> None:
        SHOTS.mkdir(exist_ok=True)
        page.screenshot(path=SHOTS / f"{request.node.name.split('[')[0]}-{name}.png")

    return take
