"""The launch form in a browser: a project, being reclaimed, priority and end; the Launch page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import PASSWORD, SERVICE, Lab, Person

PHONE = {"width": 390, "height": 844}
HALF = {"fgpu": 0.5, "cpu": 0.5, "memory_mib": 512, "image": BASE}


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """One GPU; two courses, with student and fellow in both."""
    lab = make_lab("--simulate-gpus", "1x8GiB")
    student, fellow = lab.person("student"), lab.person("fellow")
    for project in (
        {"name": "robotics", "title": "Robotics", "quota": {"fgpu": 0.5}},
        {
            "name": "vision",
            "title": "Computer Vision",
            "quota": {"fgpu": 0.5},
            "member_limits": {"max_priority": 10, "max_lifetime_s": 7200},
        },
    ):
        answer = lab.admin.api.post("/projects", json=project)
        assert answer.status_code == 201, answer.text
        for person in (student, fellow):
            members = f"/projects/{project['name']}/members"
            answer = lab.admin.api.post(members, json={"user": person.name})
            assert answer.status_code == 201, answer.text
    return lab


def open_form(page: Page, lab: Lab) -> None:
    """The hub's spawn page, with half a GPU and little else."""
    page.goto(f"{lab.url}/hub/spawn")
    page.wait_for_selector("#launch-form")
    page.check("#launch-preset-own", force=True)
    page.fill("#launch-fgpu", "0.5")
    page.fill("#launch-cpu", "0.5")
    page.fill("#launch-memory_gib", "0.5")


def test_a_session_over_the_quota_starts_as_one_that_may_be_reclaimed(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    student, fellow = lab.person("student"), lab.person("fellow")
    (holder,) = fellow.submit(name="holder", project="robotics", **HALF)
    fellow.running(holder["id"])
    page = window(student)
    open_form(page, lab)
    expect(page.locator("#launch-project option")).to_have_count(3)
    page.select_option("#launch-project", "robotics")
    page.evaluate("window.scrollTo(0, 0)")
    shot(page, "0-project")
    expect(page.locator("#launch-project option[value=robotics]")).to_contain_text(
        "Robotics (robotics): 0.5 of 0.5 fGPU in use"
    )

    forecast = page.locator("#launch-forecast")
    expect(forecast).to_contain_text(
        "Project robotics holds 0.5 of its quota of 0.5", timeout=10_000
    )
    expect(forecast).to_contain_text("Allow this session to be reclaimed")
    expect(page.locator("#launch-requeue")).to_be_hidden()
    forecast.scroll_into_view_if_needed()
    shot(page, "1-over-quota")
    page.set_viewport_size(PHONE)
    forecast.scroll_into_view_if_needed()
    shot(page, "2-over-quota-phone")

    page.get_by_role("button", name="Let it be reclaimed").click()
    expect(page.locator("#launch-preemptible")).to_be_checked()
    expect(page.locator("#launch-preemptible")).to_be_focused()
    expect(page.locator("#launch-requeue")).to_be_checked()
    expect(forecast).to_contain_text("Starts now", timeout=10_000)
    expect(page.locator("#launch-suggest")).to_be_hidden()
    shot(page, "3-reclaimable-phone")
    page.set_viewport_size({"width": 1280, "height": 900})
    page.locator("#launch-preemptible").scroll_into_view_if_needed()
    shot(page, "4-reclaimable")

    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/user/student/**", timeout=90_000)
    (session,) = student.live()
    assert student.running(session["id"])["project"] == "robotics"
    assert (session["preemptible"], session["requeue"]) == (True, True)
    student.stop_all()
    fellow.stop_all()


def test_more_has_priority_and_end_within_what_the_project_allows(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("student")
    page = window(student)
    open_form(page, lab)
    expect(page.locator("#launch-priority")).to_be_hidden()
    page.locator("#launch-more summary").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#launch-priority")).to_be_visible()
    page.select_option("#launch-project", "vision")
    expect(page.locator("#launch-priority")).to_have_attribute("max", "10")
    expect(page.locator("#launch-lifetime_h")).to_have_attribute("max", "2")

    page.fill("#launch-lifetime_h", "3")
    wrong = page.locator("#launch-lifetime_h-error")
    expect(wrong).to_contain_text("at most 2 hours", timeout=10_000)
    wrong.scroll_into_view_if_needed()
    shot(page, "1-too-long")
    page.set_viewport_size(PHONE)
    wrong.scroll_into_view_if_needed()
    shot(page, "2-too-long-phone")
    page.fill("#launch-lifetime_h", "1.5")
    page.fill("#launch-priority", "11")
    expect(page.locator("#launch-priority-error")).to_contain_text("at most 10", timeout=10_000)
    page.fill("#launch-priority", "10")
    page.uncheck("#launch-preemptible")
    expect(page.locator("#launch-forecast")).to_contain_text("Starts now", timeout=10_000)

    page.select_option("#launch-project", "robotics")
    page.locator("#launch-more summary").click()
    page.click("form#spawn_form [type=submit]")
    expect(page.locator("#launch-priority")).to_be_visible()
    page.select_option("#launch-project", "vision")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/user/student/**", timeout=90_000)
    (session,) = student.live()
    assert (session["project"], session["priority"]) == ("vision", 10)
    assert (session["lifetime_s"], session["preemptible"]) == (5400, False)
    student.stop_all()


def test_the_form_works_without_javascript(
    lab: Lab, browser: Browser, shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("student")
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(f"{lab.url}/hub/login?next=/hub/spawn")
    page.fill("#username_input", student.name)
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.select_option("#launch-project", "vision")
    page.check("#launch-preset-own", force=True)
    page.fill("#launch-fgpu", "0.5")
    page.fill("#launch-cpu", "0.5")
    page.fill("#launch-memory_gib", "0.5")
    page.check("#launch-preemptible")
    page.uncheck("#launch-requeue")
    shot(page, "1-no-javascript-phone")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/hub/spawn-pending/**", timeout=30_000)
    (session,) = student.live()
    context.close()

    assert session["project"] == "vision"
    assert (session["preemptible"], session["requeue"]) == (True, False)
    student.stop_all()


def fill_half(page: Page, **fields: str) -> None:
    """Half a GPU and little else, and these fields."""
    page.check("#launch-preset-own", force=True)
    numbers = {"fgpu": "0.5", "cpu": "0.5", "memory_gib": "0.5"}
    for name, value in {**numbers, **fields}.items():
        page.fill(f"#launch-{name}", value)


def test_from_the_page_launch_to_the_session_and_once_more(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("student")
    page = window(student)
    page.goto(lab.url + SERVICE + "/")
    page.get_by_role("link", name="Launch", exact=True).click()
    forecast = page.locator("#launch-forecast")
    fill_half(page, name="notes")
    expect(page.locator("#launch-fgpu-meaning")).to_contain_text("0.5 fGPU = 4 GiB of GPU memory")
    expect(page.locator("#launch-facts")).to_contain_text("0.5 CPU, 512 MiB of memory")
    expect(forecast).to_contain_text("Starts now", timeout=10_000)
    page.locator("#launch-more").evaluate("more => (more.open = true)")
    tomorrow = page.evaluate(
        "new Date(Date.now() + 864e5 - new Date().getTimezoneOffset() * 6e4)"
        ".toISOString().slice(0, 16)"
    )
    page.fill("#launch-not_before", tomorrow)
    expect(forecast).to_contain_text("It is set to start at", timeout=10_000)
    shot(page, "1-tomorrow")
    page.fill("#launch-not_before", "")
    expect(forecast).to_contain_text("Starts now", timeout=10_000)

    page.locator("#launch-send").dblclick()
    page.wait_for_url("**/services/apportion/sessions/*", timeout=30_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("notes")
    assert [session["name"] for session in student.live()] == ["notes"]

    page.go_back()
    expect(page.locator("#launch-fgpu")).to_have_value("0.5")
    expect(page.locator("#launch-send")).to_be_enabled()
    page.goto(f"{lab.url}{SERVICE}/launch")
    expect(page.locator("#launch-fgpu")).to_have_value("0.5")
    page.get_by_role("button", name="Launch notes again").click()
    page.wait_for_url("**/services/apportion/sessions/*", timeout=30_000)
    assert sorted(session["name"] for session in student.live()) == ["notes", "notes-2"]

    page.goto(f"{lab.url}{SERVICE}/launch")
    page.get_by_role("link", name="Edit notes-2").click()
    expect(page.locator("#launch-name")).to_have_value("notes-3")
    page.fill("#launch-name", "notes")
    page.click("#launch-send")
    expect(page.locator("#launch-name-error")).to_contain_text("You already have a session")
    expect(page.locator("#launch-name")).to_be_focused()
    shot(page, "2-name-in-use")
    student.stop_all()


def test_the_page_launch_works_without_javascript(
    lab: Lab, browser: Browser, shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("student")
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(f"{lab.url}/hub/login?next={SERVICE}/launch")
    page.fill("#username_input", student.name)
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.goto(f"{lab.url}{SERVICE}/launch")
    page.get_by_text("Another one, by its full name").click()
    fill_half(page, name="plain", image_by_name="nowhere/image:1")
    page.click("#launch-send")
    expect(page.locator("#launch-image_by_name-error")).to_contain_text("There is no image")
    expect(page.locator("#launch-image_by_name")).to_be_focused()
    expect(page.locator("#launch-fgpu")).to_have_value("0.5")
    shot(page, "1-refused-phone")

    page.fill("#launch-image_by_name", BASE)
    page.click("#launch-send")
    page.wait_for_url("**/services/apportion/sessions/*", timeout=30_000)
    (session,) = student.live()
    context.close()

    assert (session["name"], session["image"], session["fgpu"]) == ("plain", BASE, 0.5)
    student.stop_all()
