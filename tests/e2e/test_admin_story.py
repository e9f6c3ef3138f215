"""An admin's evening with an empty hub, in the browser: one story on a real deployment."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import SERVICE, Lab, Person, until

PHONE = ViewportSize(width=390, height=844)
WIDE = ViewportSize(width=1280, height=900)
SMALL = {"cpu": 0.5, "memory_mib": 512, "image": BASE}
AT_ONCE_MS = 10_000
"""Live parts follow within two seconds on a machine that does nothing else; CI's does."""
LOOK_LIMIT_MS = 60_000
NOTICE = "Maintenance at six <b>sharp</b>"
Shot = Callable[[Page, str], None]
Window = Callable[[Person], Page]


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Iterator[Lab]:
    lab = make_lab("--simulate-gpus", "1x8GiB")
    yield lab
    for request in lab.admin.api.get("/image-requests", params={"all": "1"}).json()[
        "image_requests"
    ]:
        if request["reference"]:
            lab.docker.images.remove(request["reference"], force=True)


def both_sizes(page: Page, shot: Shot, name: str) -> None:
    """Screenshots on a desk and on a phone; nothing may stick out of the phone's."""
    shot(page, name)
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-phone")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{name} is {wide} pixels wide on a phone"
    page.set_viewport_size(WIDE)


def go(page: Page, lab: Lab, part: str) -> None:
    page.goto(f"{lab.url}{SERVICE}/{part}")


def said(page: Page) -> Locator:
    return page.locator("#said")


def test_an_admins_story(lab: Lab, window: Window, shot: Shot) -> None:
    admin = window(lab.admin)
    go(admin, lab, "admin")
    expect(admin.locator("#first-steps")).to_contain_text("Make a course with a quota")
    expect(admin.locator("#all-well")).to_be_visible()
    both_sizes(admin, shot, "1-empty")

    make_a_preset(admin, lab, shot)
    student = lab.person("student")
    (session,) = student.submit(name="course-work", preset="quarter", image=BASE)
    session_id = str(student.running(session["id"])["id"])
    page = window(student)
    go(page, lab, "launch")
    expect(page.locator("#launch-form")).to_contain_text("A quarter")

    drain_and_resume(admin, lab, shot, student)
    announce_and_put_away(admin, page, lab, shot)
    approve_an_image(admin, lab, student, session_id)
    search_the_log(admin, lab, shot)
    student.stop_all()


def make_a_preset(admin: Page, lab: Lab, shot: Shot) -> None:
    go(admin, lab, "admin/presets")
    admin.locator("#new-preset summary").focus()
    admin.keyboard.press("Enter")
    expect(admin.get_by_label("Name", exact=True)).to_be_focused()
    admin.keyboard.type("quarter")
    admin.get_by_label("Title").fill("A quarter")
    admin.get_by_label("fGPU").fill("0.25")
    admin.get_by_label("CPU cores").fill("0.5")
    admin.get_by_label("Memory, GiB").fill("0.5")
    admin.get_by_role("button", name="Create").click()
    expect(admin.locator("#problem")).to_contain_text("use 0.2 or 0.3")
    expect(admin.get_by_label("Title")).to_have_value("A quarter")
    admin.get_by_label("fGPU").fill("0.2")
    admin.get_by_role("button", name="Create").click()
    expect(said(admin)).to_contain_text("The preset A quarter is made")
    admin.get_by_label("Move A quarter up").click()
    expect(admin.locator("#presets-list tbody tr").nth(2)).to_contain_text("A quarter")
    both_sizes(admin, shot, "2-presets")


def drain_and_resume(admin: Page, lab: Lab, shot: Shot, student: Person) -> None:
    """A node with a running session: what is there goes on, what comes waits."""
    go(admin, lab, "admin/nodes")
    admin.get_by_label("Drain local").click()
    confirm = admin.locator("#drain-local")
    expect(confirm).to_contain_text("1 session is there and goes on")
    expect(confirm).to_contain_text("course-work (student)")
    both_sizes(admin, shot, "3-drain")
    confirm.get_by_role("button", name="Drain").click()
    expect(said(admin)).to_contain_text("No new session starts on local; 1 session holds")
    both_sizes(admin, shot, "4-drained")

    (waits,) = student.submit(name="later", **SMALL)

    def tells_why() -> bool:
        reason: dict[str, Any] | None = student.session(waits["id"])["reason"]
        return reason is not None and "drained" in reason["message"]

    until(tells_why, what="the session that waits says that the node is drained")
    admin.get_by_role("button", name="Undo: resume local").click()
    expect(said(admin)).to_contain_text("Sessions may start on local")
    student.running(waits["id"])
    expect(admin.locator('#nodes tr[data-node="local"]')).to_contain_text(
        "2 sessions are there", timeout=AT_ONCE_MS
    )
    student.api.delete(f"/sessions/{waits['id']}")


def announce_and_put_away(admin: Page, page: Page, lab: Lab, shot: Shot) -> None:
    """It comes to a page that is open already, and goes for whoever puts it away."""
    go(page, lab, "folders")
    expect(page.locator(".announcement-text")).to_have_count(0)
    go(admin, lab, "admin/announcements")
    admin.get_by_label("Text").fill(NOTICE)
    admin.get_by_label("Looks like").select_option("warning")
    admin.get_by_role("button", name="Preview").click()
    expect(admin.locator("#preview")).to_contain_text(NOTICE)
    both_sizes(admin, shot, "5-preview")
    expect(page.locator(".announcement-text")).to_have_count(0)
    admin.get_by_role("button", name="Announce").click()
    expect(said(admin)).to_contain_text("Everybody sees it now")
    expect(page.locator("#announcements")).to_contain_text(NOTICE, timeout=AT_ONCE_MS)
    page.goto(f"{lab.url}/hub/spawn/student")
    expect(page.locator(".announcement-text").first).to_contain_text(NOTICE)
    go(page, lab, "folders")
    page.get_by_label("Put away").click()
    expect(page.locator(".announcement-text")).to_have_count(0)
    expect(admin.locator("#announcements")).to_contain_text(NOTICE)
    admin.get_by_label("Take back").click()
    expect(said(admin)).to_contain_text("It is taken back")
    expect(admin.locator("#announcements .announcement-text")).to_have_count(0)


def approve_an_image(admin: Page, lab: Lab, student: Person, session_id: str) -> None:
    asked = student.api.post(f"/sessions/{session_id}/image-request", json={"name": "course"})
    assert asked.status_code == 201, asked.text
    go(admin, lab, "admin")
    waiting = admin.locator("#waiting-requests")
    expect(waiting).to_contain_text("course of student, project default")
    waiting.get_by_role("link", name="Approve or decline").click()
    admin.get_by_label("Approve course of student").click()
    expect(said(admin)).to_contain_text("course of student is being made", timeout=LOOK_LIMIT_MS)

    def done() -> bool:
        requests = student.api.get("/image-requests").json()["image_requests"]
        assert requests[0]["state"] not in {"failed", "declined"}, requests
        return bool(requests[0]["state"] == "done")

    until(done, limit_s=300, what="the image is made")
    go(admin, lab, "admin")
    expect(admin.locator("#all-well")).to_be_visible()


def search_the_log(admin: Page, lab: Lab, shot: Shot) -> None:
    go(admin, lab, "admin/audit")
    log = admin.locator("#audit-list")
    for sentence in (
        "admin made the preset quarter.",
        "admin drained the node local.",
        f"admin announced: {NOTICE}",
        "admin approved a request for an image.",
    ):
        expect(log).to_contain_text(sentence)
    both_sizes(admin, shot, "6-log")
    admin.get_by_label("Text").fill("QUARTER")
    admin.get_by_role("button", name="Search").click()
    expect(log.locator("tbody tr")).to_have_count(2)
    with admin.expect_download() as download:
        admin.get_by_role("link", name="Download as CSV").click()
    with download.value.path().open(encoding="utf-8-sig", newline="") as stream:
        lines = list(csv.DictReader(stream))
    assert [line["action"] for line in lines] == ["preset.move", "preset.create"]
    assert lines[1]["what"] == "admin made the preset quarter."
