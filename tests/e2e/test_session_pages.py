"""The pages of sessions in the browser: live, by keyboard, in bulk, without script."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, expect

from tests.e2e.lab import SERVICE, Lab, Person, until
from tests.e2e.test_restarts import kill

Window = Callable[[Person], Page]
Shot = Callable[[Page, str], None]
SMALL = {"cpu": 0.2, "memory_mib": 512}
HOSTILE = "<script>alert(1)</script> \"'& " + "w" * 30
PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}
LIVE_MS = 5_000
"""Far below the minute after which a page asks by itself."""
LAB_MS = 120_000
"""JupyterLab on a busy machine takes its time."""


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


@pytest.fixture
def student(lab: Lab) -> Iterator[Person]:
    person = lab.person("student")
    yield person
    person.stop_all()


def row_of(page: Page, session: str) -> Locator:
    return page.locator(f"tr[data-session='{session}']")


def both_sizes(page: Page, shot: Shot, name: str) -> None:
    """Pictures to look at; nothing may be wider than a phone, nor hard to use."""
    page.emulate_media(reduced_motion="reduce")  # colours on their way are no colours to judge
    for size, kind in ((WIDE, "wide"), (PHONE, "phone")):
        page.set_viewport_size(size)
        shot(page, f"{name}-{kind}")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), kind
    page.set_viewport_size(WIDE)
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert serious == [], [(each["id"], each["nodes"][0]["html"]) for each in serious]


def tab_to(page: Page, wanted: Locator, most: int = 80) -> None:
    """With the Tab key alone."""
    for _ in range(most):
        if wanted.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"not reached by {most} times Tab: {wanted}")


def test_a_session_lives_on_the_page(lab: Lab, student: Person, window: Window, shot: Shot) -> None:
    """What others do is seen at once, after a lost line too; filter, extend, log, story."""
    page, admins = window(student), window(lab.admin)
    page.goto(f"{lab.url}{SERVICE}/")
    expect(page.locator("#nothing")).to_contain_text("Launch one")
    admins.goto(f"{lab.url}{SERVICE}/?all=1")
    expect(admins.locator("#nothing")).to_be_visible()

    (first,) = student.submit(name="first", fgpu=0.5, lifetime_s=3600, **SMALL)
    expect(row_of(admins, first["id"])).to_contain_text("student", timeout=LIVE_MS)
    student.running(first["id"])
    (waiting,) = student.submit(name=HOSTILE, fgpu=1, **SMALL)
    expect(row_of(page, first["id"])).to_have_attribute("data-status", "RUNNING", timeout=LIVE_MS)
    line = row_of(page, waiting["id"])
    expect(line).to_contain_text("1st in line", timeout=LIVE_MS)
    expect(line).to_contain_text(HOSTILE)
    expect(row_of(page, first["id"])).to_contain_text("MLflow UI")
    both_sizes(page, shot, "1-list")

    page.get_by_label("Name, user, image or project").fill("FIRST")
    page.keyboard.press("Enter")
    expect(line).to_have_count(0)
    expect(row_of(page, first["id"])).to_be_visible()
    page.get_by_role("link", name="Show all").click()
    expect(line).to_be_visible()

    extend(page, row_of(page, first["id"]), shot)
    until(lambda: student.session(first["id"])["lifetime_s"] == 7200, what="it is extended")

    # the boxes that are ticked stay so while the list is renewed, over a restart too
    page.get_by_label(f"Tick {HOSTILE}").check()
    kill(lab, "service")
    lab.admin.api.delete(f"/sessions/{first['id']}")
    expect(row_of(page, first["id"])).to_have_count(0, timeout=60_000)
    expect(page.get_by_label(f"Tick {HOSTILE}")).to_be_checked()
    expect(line).to_have_attribute("data-status", "RUNNING", timeout=90_000)
    expect(page.get_by_label(f"Tick {HOSTILE}")).to_be_checked()

    page.goto(f"{lab.url}{SERVICE}/?state=ended")
    expect(row_of(page, first["id"])).to_contain_text("Ended")
    both_sizes(page, shot, "2-ended")
    one_session(page, lab, waiting["id"], shot)


def extend(page: Page, row: Locator, shot: Shot) -> None:
    """In place, by one hour."""
    row.get_by_label("More about first").click()
    expect(row.get_by_label("Lasts so many hours from its start")).to_be_focused()
    both_sizes(page, shot, "3-more")
    row.get_by_label("Extend first by one hour").click()
    expect(page.locator("#said")).to_contain_text("first lasts 2 hours from its start")
    expect(row.locator("details[open]")).to_have_count(0)


def one_session(page: Page, lab: Lab, session: str, shot: Shot) -> None:
    """Its page: story, log, port."""
    page.goto(f"{lab.url}{SERVICE}/sessions/{session}")
    expect(page.locator("#history")).to_contain_text("in line, then got its place")
    page.get_by_role("link", name="Last 100 lines").click()
    expect(page.locator("#log-lines")).to_contain_text("ServerApp", timeout=10_000)
    lines = lab.containers(session)[0]
    lines.exec_run(["sh", "-c", "echo a new line > /proc/1/fd/1"])
    expect(page.locator("#log-lines")).to_contain_text("a new line", timeout=15_000)
    both_sizes(page, shot, "4-session")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert "a new line" in download.value.path().read_text()
    page.get_by_label("Open a port of it").fill("5000")
    with page.expect_request("**/proxy/5000/"):
        page.keyboard.press("Enter")


def test_several_are_stopped_by_keyboard_alone(
    lab: Lab, student: Person, window: Window, shot: Shot
) -> None:
    ids = [each["id"] for each in student.submit(name="many", fgpu=0, count=3, **SMALL)]
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/")
    expect(page.locator("tr[data-session]")).to_have_count(3)
    for name in ("many-1", "many-3"):
        tab_to(page, page.get_by_label(f"Tick {name}"))
        page.keyboard.press("Space")
    tab_to(page, page.get_by_role("button", name="Stop the ticked ones"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Stop these 2 sessions?")
    both_sizes(page, shot, "1-question")
    tab_to(page, page.get_by_role("button", name="Stop 2 sessions"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What has become of them")
    both_sizes(page, shot, "2-outcome")
    until(lambda: [each["name"] for each in student.live()] == ["many-2"], what="one is left")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing to stop")
    assert sum(student.session(key)["ended_at"] is not None for key in ids) == 2

    page.goto(f"{lab.url}{SERVICE}/")
    tab_to(page, page.get_by_label("Stop many-2").or_(page.get_by_label("Cancel many-2")))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Yes")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Yes")).not_to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Yes")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#said .alert")).to_be_focused()
    until(lambda: not student.live(), what="it has ended")


def test_without_script_sessions_are_found_and_stopped(
    lab: Lab, student: Person, browser: Browser
) -> None:
    first, second = student.submit(name="plain", fgpu=0, count=2, **SMALL)
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(f"{lab.url}/hub/login?next={SERVICE}/")
    page.fill("#username_input", student.name)
    page.fill("#password_input", student.password)
    page.click("#login_submit")
    page.get_by_label("Name, user, image or project").fill("plain-1")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tr[data-session]")).to_have_count(1)
    page.get_by_label("Stop plain-1").or_(page.get_by_label("Cancel plain-1")).click()
    page.get_by_role("button", name="Yes").click()
    expect(page.locator("#said")).to_contain_text("plain-1")
    until(lambda: student.session(first["id"])["ended_at"], what="the first has ended")
    page.goto(f"{lab.url}{SERVICE}/")
    page.get_by_role("button", name="Stop all on this page").click()
    page.get_by_role("button", name="Stop it").click()
    expect(page.locator("#stopped")).to_contain_text("plain-2")
    until(lambda: student.session(second["id"])["ended_at"], what="the second has ended")
    context.close()
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()


def test_the_terminals_button_opens_one_and_a_reload_no_other(
    lab: Lab, student: Person, window: Window
) -> None:
    (session,) = student.submit(name="shell", fgpu=0, cpu=0.5, memory_mib=1024)
    student.running(session["id"])
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/")

    row_of(page, session["id"]).get_by_role("link", name="Terminal").click()

    expect(page.locator(".jp-Terminal")).to_have_count(1, timeout=LAB_MS)
    assert "open=" not in page.url
    page.reload()
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=LAB_MS)
    address = f"{lab.url}/user/student/{session['server_name']}/api/terminals"
    assert len(page.request.get(address).json()) == 1
