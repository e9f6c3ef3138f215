"""Every page for everybody: axe-core, narrow windows, dark mode, keyboard, no JavaScript."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect

from benchmarks.reachable_pages import Found
from benchmarks.seeded_site import ADMIN, INSTRUCTOR, SMALL, STUDENT
from benchmarks.served_site import Served, served
from tests.e2e.seeded_pages import PHONE, WIDE, log_in, pages_of, seed
from tests.service.rest_client import PREFIX

PEOPLE = (ADMIN, INSTRUCTOR, STUDENT)
_SERIOUS = {"serious", "critical"}


@pytest.fixture(scope="module")
def pages_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A small lab with something on every page."""
    directory = tmp_path_factory.mktemp("pages")
    with served(seed(directory), directory, "--images", str(SMALL.images)) as site:
        yield site


class Visit:
    """Somebody's browser, and the pages that he reaches.

    Of ``known`` ones, filtered and sorted, others before him have seen enough.
    """

    def __init__(self, browser: Browser, site: Served, who: str, known: set[str | None]) -> None:
        self.site, self.who = site, who
        self.context: BrowserContext = log_in(browser, site, who)
        self.page: Page = self.context.new_page()
        self.found: list[Found] = [
            found
            for found in pages_of(self.context, site)
            if found.answer.kind.startswith("text/html")
            and ("?" not in found.path or (found.route not in known and found.path.count("=") < 2))
        ]

    def open(self, found: Found) -> None:
        """Load it."""
        self.page.goto(f"{self.site.url}{PREFIX}{found.path}", wait_until="load")


@pytest.fixture(scope="module")
def visits(browser: Browser, pages_site: Served) -> Iterator[list[Visit]]:
    """One of each role."""
    found: list[Visit] = []
    known: set[str | None] = set()
    for who in PEOPLE:
        found.append(Visit(browser, pages_site, who, known))
        known |= {each.route for each in found[-1].found}
    yield found
    for visit in found:
        visit.context.close()


@dataclass
class Looked:
    """What a look at every page has found, in sentences."""

    violations: list[str] = field(default_factory=list)
    too_wide: list[str] = field(default_factory=list)


_DARK = "document.documentElement.setAttribute('data-bs-theme', 'dark')"
_CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
"""Nothing else depends on the theme."""
_FITS = "document.documentElement.scrollWidth <= innerWidth"
_REDRAWN_S = 5.0
_LOOK_MS = 50


@pytest.fixture(scope="module")
def looked(visits: list[Visit]) -> Looked:
    """Each page is loaded once for all of it: light, dark, and as narrow as a phone."""
    axe, looked = Axe(), Looked()
    for visit in visits:
        for found in visit.found:
            visit.open(found)
            looked.violations += _serious(axe, visit, found, "light", None)
            visit.page.evaluate(_DARK)
            looked.violations += _serious(axe, visit, found, "dark", _CONTRAST)
            visit.page.set_viewport_size(PHONE)
            if not _gets_narrow(visit.page):
                looked.too_wide.append(f"/{found.path} as {visit.who}")
            visit.page.set_viewport_size(WIDE)
    return looked


def _gets_narrow(page: Page) -> bool:
    """Plots draw themselves anew first. (The pages' own policy forbids to wait inside them.)"""
    deadline = time.monotonic() + _REDRAWN_S
    while not page.evaluate(_FITS):
        if time.monotonic() > deadline:
            return False
        page.wait_for_timeout(_LOOK_MS)
    return True


def _serious(
    axe: Axe, visit: Visit, found: Found, theme: str, options: dict[str, object] | None
) -> list[str]:
    violations = axe.run(visit.page, options=options).response["violations"]
    return [
        f"/{found.path} as {visit.who}, {theme}: {each['id']}: {each['nodes'][0]['html'][:200]}"
        for each in violations
        if each["impact"] in _SERIOUS
    ]


def test_axe_finds_nothing_serious_on_any_page_in_light_or_dark(looked: Looked) -> None:
    assert not looked.violations, "\n".join(looked.violations)


def test_no_page_scrolls_sideways_on_a_phone(looked: Looked) -> None:
    assert not looked.too_wide, "\n".join(looked.too_wide)


_FOCUSABLE = """() => [...document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary')]
  .filter(each => !each.disabled && each.tabIndex >= 0 && each.checkVisibility(
    { visibilityProperty: true }) && !(each.type === 'radio' && !each.checked))
  .map((each, number) => { each.dataset.reach = number; return each.outerHTML.slice(0, 120); })"""
_FOCUSED = """() => {
  const each = document.activeElement;
  const look = getComputedStyle(each), box = each.getBoundingClientRect();
  const ring = look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) > 0;
  const shows = ring || look.boxShadow !== 'none' || each.type === 'range';
  return [each.dataset.reach ?? null, shows && box.width * box.height > 0,
          each === document.body];
}"""


def test_everything_is_reached_by_tab_and_shows_that_it_is(visits: list[Visit]) -> None:
    problems, routes = [], set()
    for visit in visits:
        # A part that is renewed meanwhile would lose the marks.
        visit.page.route("**/api/v1/live*", lambda route: route.abort())
        for found in visit.found:
            if "?" not in found.path and found.route not in routes:
                routes.add(found.route)
                visit.open(found)
                problems += [f"/{found.path}: {each}" for each in _unreachable(visit.page)]
    assert not problems, "\n".join(problems)


def _unreachable(page: Page) -> list[str]:
    """What Tab does not come to, or where nobody sees that it has."""
    wanted = page.evaluate(_FOCUSABLE)
    reached: set[int] = set()
    shown: set[int] = set()
    for _ in range(4 * len(wanted) + 20):  # parts of a date, and boxes that scroll, are stops too
        page.keyboard.press("Tab")
        number, shows, at_end = page.evaluate(_FOCUSED)
        if at_end:
            break
        if number is not None:
            reached.add(int(number))
        if number is not None and shows:
            shown.add(int(number))
        if len(reached) == len(wanted):
            break
    return [
        f"Tab does not come to {html}" if number not in reached else f"focus is not seen: {html}"
        for number, html in enumerate(wanted)
        if number not in shown
    ]


def test_a_session_is_launched_and_cancelled_without_javascript(
    browser: Browser, pages_site: Served
) -> None:
    context = log_in(browser, pages_site, "newcomer", java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{pages_site.url}{PREFIX}launch")
    page.fill("[name=name]", "without script")
    page.locator("form[action$='launch'] button[type=submit], #launch-submit").first.click()
    page.wait_for_url("**/sessions/*")
    assert "without script" in page.locator("h1").inner_text()
    page.locator("summary", has_text="Cancel").click()
    page.locator("form[action$='/stop'] button[type=submit]").click()
    expect(page.locator("[data-session]").first).to_have_attribute("data-status", "CANCELLED")
    context.close()
