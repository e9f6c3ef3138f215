"""JupyterLab of a session, as its user has it on the screen."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.e2e.lab import Lab


def open_lab(page: Page, lab: Lab, session: dict[str, Any]) -> None:
    """With its launcher and nothing else, until the hub has told about the session."""
    page.goto(f"{lab.url}{session['url']}lab?reset")
    page.locator(".jp-Launcher").wait_for(timeout=60_000)
    expect(status(page)).to_be_visible(timeout=30_000)


def status(page: Page) -> Locator:
    """What the status bar says of the session."""
    return page.locator(".apl-status-button")


def panel(page: Page) -> Locator:
    """Opened from the status bar if it is not open."""
    found = page.locator("#apportion-session-panel")
    if not found.is_visible():
        status(page).click()
    expect(found).to_be_visible()
    return found


def toast(page: Page, text: str | re.Pattern[str]) -> Locator:
    """Open notifications that say so."""
    return page.locator(".jp-toastContainer .Toastify__toast").filter(has_text=text)


def card(page: Page, title: str) -> Locator:
    """Of open launchers."""
    return page.locator(".jp-LauncherCard").filter(has_text=title)


def menu(page: Page, bar: str, *entries: str | re.Pattern[str]) -> None:
    """Choose an entry of the menu bar: ("Settings", "Theme", "JupyterLab Dark")."""
    page.locator(".lm-MenuBar-item", has_text=bar).click()
    for entry in entries:
        page.locator(".lm-Menu-item").get_by_text(entry, exact=True).click()
