"""Three sessions of one GPU on a node of two: the third waits, says why, and then runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import SERVICE, Lab, Person, until


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "2x8GiB")


def fill_in(page: Page, lab: Lab, **fields: str) -> None:
    """The hub's spawn page with one whole GPU, little CPU, and these fields."""
    page.goto(f"{lab.url}/hub/spawn")
    page.wait_for_selector("#launch-form")
    page.check("#launch-preset-own", force=True)
    page.fill("#launch-fgpu", "1")
    page.fill("#launch-cpu", "0.5")
    page.fill("#launch-memory_gib", "1")
    for name, value in fields.items():
        page.fill(f"[name={name}]", value)


def test_three_on_two(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("student")
    page = window(student)
    fill_in(page, lab, count="3", name="lab")
    live_line = page.locator("#launch-forecast")
    expect(live_line).to_contain_text("1st in line", timeout=10_000)
    shot(page, "1-form")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/user/student/**", timeout=60_000)

    page.goto(lab.url + SERVICE + "/")
    rows = page.locator("#live-sessions tbody tr")
    expect(rows).to_have_count(3)
    expect(page.locator("tr[data-status=RUNNING]")).to_have_count(2, timeout=60_000)
    waiting = page.locator("tr[data-status=PENDING]")
    expect(waiting).to_have_count(1)
    expect(waiting).to_contain_text("1st in line")
    expect(waiting).to_contain_text("about")
    expect(waiting).to_contain_text("Needs 1.0 fGPU on one device")
    shot(page, "2-two-run-one-waits")
    (pending,) = [each for each in student.live() if each["status"] == "PENDING"]
    assert pending["position"] == 1
    assert pending["estimate_s"] > 0
    assert pending["reason"]["message"]

    page.locator("tr[data-status=RUNNING]").first.get_by_label("Stop lab").click()
    page.get_by_role("button", name="Yes, stop it").click()
    third = page.locator(f"tr[data-session='{pending['id']}']")
    expect(third).to_have_attribute("data-status", "RUNNING", timeout=60_000)
    shot(page, "3-the-third-runs")
    third.get_by_role("link", name="Open").click()
    page.wait_for_selector(".jp-Launcher", timeout=60_000)
    shot(page, "4-jupyterlab")
    student.stop_all()
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()


def test_the_pending_page_shows_the_same_reason_and_cancels(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    other = lab.person("other")
    for session in other.submit(name="busy", fgpu=1, cpu=0.5, memory_mib=512, count=2, image=BASE):
        other.running(session["id"])
    student = lab.person("student")
    page = window(student)
    fill_in(page, lab)
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/hub/spawn-pending/**")
    expect(page.locator("main, .container").last).to_contain_text("Needs 1.0 fGPU", timeout=10_000)
    (pending,) = student.live()
    expect(page.locator("body")).to_contain_text(pending["reason"]["message"])
    shot(page, "1-pending")
    page.set_viewport_size({"width": 390, "height": 800})
    shot(page, "2-pending-phone")
    page.get_by_role("button", name="Cancel").click()
    page.wait_for_url(f"{lab.url}{SERVICE}/", timeout=30_000)
    assert student.session(pending["id"])["status"] == "CANCELLED"
    other.stop_all()
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()


def test_a_form_that_is_refused_names_the_field(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    page = window(lab.person("student"))
    fill_in(page, lab)
    page.fill("#launch-fgpu", "0.35")
    expect(page.locator("#launch-fgpu-error")).to_contain_text("use 0.3 or 0.4", timeout=10_000)
    shot(page, "1-refused")
