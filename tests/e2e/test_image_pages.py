"""An image from a session in the browser: asked for, approved, given, deleted."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import SERVICE, Lab, Person

PHONE = ViewportSize(width=390, height=844)
WIDE = ViewportSize(width=1280, height=900)
SMALL = {"cpu": 0.5, "memory_mib": 512, "image": BASE}
SAVED_LIMIT_MS = 300_000
LOOK_LIMIT_MS = 60_000
"""To ask and to approve read what the session has written; engines without overlays are slow."""
Shot = Callable[[Page, str], None]
Window = Callable[[Person], Page]


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Iterator[Lab]:
    lab = make_lab("--simulate-gpus", "1x8GiB")
    kept = {tag for image in lab.docker.images.list() for tag in image.tags}
    yield lab
    made = {tag for image in lab.docker.images.list() for tag in image.tags} - kept
    for tag in made:
        if tag.startswith("apportion-") and "/u-" in tag:
            lab.docker.images.remove(tag, force=True)


def both_sizes(page: Page, shot: Shot, name: str) -> None:
    """Screenshots on a desk and on a phone; nothing may stick out of the phone's."""
    shot(page, name)
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-phone")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{name} is {wide} pixels wide on a phone"
    page.set_viewport_size(WIDE)


def running(person: Person, name: str) -> str:
    (session,) = person.submit(name=name, **SMALL)
    return str(person.running(session["id"])["id"])


def test_a_session_becomes_an_image_of_its_user(lab: Lab, window: Window, shot: Shot) -> None:
    student = lab.person("student")
    session = running(student, "course work")
    lab.run_in(session, "sh", "-c", "mkdir -p ~/own && echo 1 > ~/own/file && echo 1 > /tmp/x")
    mine = window(student)
    mine.goto(f"{lab.url}{SERVICE}/images")
    expect(mine.locator("#images")).to_contain_text("You have none yet")
    both_sizes(mine, shot, "1-empty")

    mine.goto(f"{lab.url}{SERVICE}/sessions/{session}")
    mine.locator("#make-image summary").focus()
    mine.keyboard.press("Enter")
    expect(mine.get_by_label("Name of the image")).to_be_focused()
    mine.keyboard.type("course")
    mine.keyboard.press("Tab")
    mine.keyboard.type("What the course needs")
    both_sizes(mine, shot, "2-ask")
    mine.keyboard.press("Enter")
    expect(mine.locator("#said")).to_contain_text("course is asked for", timeout=LOOK_LIMIT_MS)
    expect(mine.locator("#image-request")).to_contain_text("waits for an admin")
    both_sizes(mine, shot, "3-asked")

    admins = window(lab.admin)
    expect_badge(admins, lab, "1")
    row = admins.locator("#waiting-requests tbody tr")
    expect(row).to_contain_text("course work")
    expect(row).to_contain_text("stay with the session")
    both_sizes(admins, shot, "4-waiting")
    admins.get_by_label("Decline course of student").click()
    expect(admins.get_by_label("Reason, which student reads")).to_be_focused()
    both_sizes(admins, shot, "5-decline")
    admins.keyboard.press("Escape")
    admins.get_by_role("button", name="Approve course of student").click()
    said = admins.locator("#said")
    expect(said).to_contain_text("course of student is being made", timeout=LOOK_LIMIT_MS)
    expect(admins.locator("#images")).to_contain_text("No request waits")

    badge = mine.locator("#image-request .badge")
    expect(badge).to_have_text("ready", timeout=SAVED_LIMIT_MS)
    mine.get_by_role("link", name="Images").last.click()
    expect(mine.locator("#my-images tbody tr")).to_contain_text("course:1")
    both_sizes(mine, shot, "6-made")
    mine.get_by_label("Who may use course:1").click()
    both_sizes(mine, shot, "7-give")
    mine.keyboard.press("Escape")
    admins.goto(f"{lab.url}{SERVICE}/images?all=1")
    both_sizes(admins, shot, "8-everybody-s")
    student.stop_all()
    delete(mine, shot)


def expect_badge(page: Page, lab: Lab, number: str) -> None:
    page.goto(f"{lab.url}{SERVICE}/")
    expect(page.locator("#image-requests-badge")).to_contain_text(number)
    page.get_by_role("link", name="Images").click()
    expect(page.get_by_role("heading", name="Images", exact=True)).to_be_visible()


def delete(page: Page, shot: Shot) -> None:
    page.get_by_label("Delete course:1").click()
    typed = page.get_by_label("Nobody can bring it back")
    expect(typed).to_be_focused()
    typed.fill("course")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("Type course:1")
    both_sizes(page, shot, "9-delete")
    typed.fill("course:1")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("course:1 is deleted")
    expect(page.locator("#images")).to_contain_text("You have none yet")


def log_in(browser: Browser, person: Person, path: str) -> Page:
    """A phone that runs no script."""
    page = browser.new_context(java_script_enabled=False, viewport=PHONE).new_page()
    page.goto(f"{person.lab.url}/hub/login?next={SERVICE}/{path}")
    page.fill("#username_input", person.name)
    page.fill("#password_input", person.password)
    page.click("#login_submit")
    return page


def test_asking_and_declining_work_without_javascript(
    lab: Lab, browser: Browser, shot: Shot
) -> None:
    student = lab.person("plain")
    session = running(student, "plain work")
    mine = log_in(browser, student, f"sessions/{session}")
    mine.locator("#make-image summary").click()
    mine.get_by_label("Name of the image").fill("plain-image")
    mine.get_by_role("button", name="Ask for the image").click(timeout=LOOK_LIMIT_MS)
    request = mine.locator("#image-request")
    expect(request).to_contain_text("waits for an admin", timeout=LOOK_LIMIT_MS)
    admins = log_in(browser, lab.admin, "images")
    admins.get_by_label("Decline plain-image of plain").click()
    admins.get_by_label("Reason, which plain reads").fill("The catalogue has it")
    admins.locator("details[open]").get_by_role("button", name="Decline").click()
    expect(admins.get_by_text("plain-image is declined")).to_be_visible()
    mine.reload()
    expect(mine.locator("#image-request")).to_contain_text("The catalogue has it")
    expect(mine.locator("#make-image")).to_be_visible()
    shot(mine, "1-declined-phone")
    mine.context.close()
    admins.context.close()
    student.stop_all()
