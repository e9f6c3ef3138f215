"""The warning inside JupyterLab: seen without any page of Apportion, and taken back there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import SERVICE, Lab, Person, until

SMALL = {"image": BASE, "fgpu": 1, "cpu": 0.5, "memory_mib": 768}
COUNT_TOASTS = """() => {
  window.toastsSeen = 0;
  new MutationObserver(() => {
    window.toastsSeen += document.querySelectorAll('.Toastify__toast').length;
  }).observe(document.body, {childList: true, subtree: true});
}"""
NOTES = "/home/work/notes.txt"


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    """One GPU, and two projects: the one that is due it, and one that may use it meanwhile."""
    lab = make_lab("--simulate-gpus", "1x8GiB")
    for project, fgpu, user in (("team-a", 0, "ann"), ("team-d", 1, "dan")):
        new = {"name": project, "quota": {"fgpu": fgpu}, "weight": {"fgpu": 1}}
        answer = lab.admin.api.post("/projects", json=new)
        assert answer.status_code == 201, answer.text
        member = lab.person(user).name
        answer = lab.admin.api.post(f"/projects/{project}/members", json={"user": member})
        assert answer.status_code == 201, answer.text
    return lab


@pytest.fixture
def session(lab: Lab) -> Iterator[dict[str, Any]]:
    """Ann's, running beyond her project's quota, with a file in its home."""
    ann = lab.person("ann")
    (session,) = ann.submit(name="work", project="team-a", preemptible=True, **SMALL)
    session = ann.running(session["id"])
    lab.run_in(session["id"], "sh", "-c", f"echo old > {NOTES}")
    yield session
    for person in (lab.person("dan"), ann):
        person.stop_all()


@pytest.fixture
def notes(lab: Lab, session: dict[str, Any], window: Callable[[Person], Page]) -> Page:
    """JupyterLab with the file open and something typed into it that is not saved."""
    page = window(lab.person("ann"))
    page.goto(f"{lab.url}{session['url']}lab/tree/notes.txt")
    page.locator(".cm-content").click(timeout=60_000)
    page.keyboard.type("typed by hand ")
    return page


def toasts(page: Page) -> Locator:
    """The notifications that are open."""
    return page.locator(".jp-toastContainer .Toastify__toast")


def seconds_left(page: Page) -> int:
    """What the one open notification says."""
    expect(toasts(page)).to_have_count(1)
    found = re.search(r"\(in (\d+) s\)", toasts(page).inner_text())
    assert found is not None, toasts(page).inner_text()
    return int(found[1])


def test_a_reclaim_is_announced_in_jupyterlab_and_taken_back(
    lab: Lab, session: dict[str, Any], notes: Page, shot: Callable[[Page, str], None]
) -> None:
    dan, warning = lab.person("dan"), toasts(notes)
    expect(warning).to_have_count(0)

    (claim,) = dan.submit(name="due", project="team-d", **SMALL)
    expect(warning).to_contain_text("This session will be stopped at", timeout=30_000)
    expect(warning).to_contain_text("Project team-d takes back")
    expect(warning).to_contain_text("Save your work now")
    shot(notes, "1-warned")

    first = seconds_left(notes)
    until(lambda: seconds_left(notes) < first, what="the time left goes on")

    warning.get_by_text("Save all").click()
    expect(warning).to_contain_text("Your documents were saved at")
    assert "typed by hand" in lab.run_in(session["id"], "cat", NOTES)
    shot(notes, "2-saved")

    with notes.context.expect_page() as opened:
        warning.get_by_text("About this session").click()
    expect(opened.value).to_have_url(f"{lab.url}{SERVICE}/sessions/{session['id']}")
    opened.value.close()

    notes.reload()
    expect(warning).to_contain_text("This session will be stopped at", timeout=30_000)
    shot(notes, "3-after-a-reload")
    assert seconds_left(notes) < first

    dan.api.delete(f"/sessions/{claim['id']}")
    expect(warning.get_by_text("The warning is withdrawn")).to_be_visible(timeout=15_000)
    expect(warning).to_have_count(1)
    shot(notes, "4-withdrawn")
    assert lab.person("ann").session(session["id"])["status"] == "RUNNING"


def test_a_closed_warning_stays_closed(lab: Lab, session: dict[str, Any], notes: Page) -> None:
    ann, warning = lab.person("ann"), toasts(notes)
    lab.person("dan").submit(name="due", project="team-d", **SMALL)
    expect(warning).to_contain_text("This session will be stopped at", timeout=30_000)
    first = seconds_left(notes)

    warning.get_by_title("Hide notification").click()
    expect(warning).to_have_count(0)
    notes.evaluate(COUNT_TOASTS)
    until(
        lambda: ann.session(session["id"])["notice"]["seconds_left"] < first - 4,
        what="the countdown has gone on",
    )

    assert notes.evaluate("() => window.toastsSeen") == 0
    notes.locator(".jp-Notification-Status").click()
    listed = notes.locator(".jp-Notification-List-Item")
    expect(listed).to_have_count(1)
    expect(listed).to_contain_text("This session will be stopped at")
