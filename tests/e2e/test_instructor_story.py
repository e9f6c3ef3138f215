"""A course from its first day to the report, in the browser: one story on a real deployment."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, ViewportSize, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import PROJECT, SERVICE, Lab, Person, until

PHONE = ViewportSize(width=390, height=844)
WIDE = ViewportSize(width=1280, height=900)
WARNING_S = 25
SMALL = {"image": BASE, "project": "ml101", "fgpu": 1, "cpu": 0.5, "memory_mib": 512}
STUDENTS = [f"student{number:02d}" for number in range(1, 41)]
SOON_MS = 30_000
"""Live parts follow within two seconds on a machine that does nothing else; CI's does."""
Shot = Callable[[Page, str], None]
Window = Callable[[Person], Page]


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Two GPUs; a class that ends is warned for a few seconds only."""
    config = tmp_path_factory.mktemp("config") / "jupyterhub_config.py"
    text = (PROJECT / "jupyterhub_config.py").read_text()
    config.write_text(f"{text}\nc.ApportionService.ending_warning_s = {WARNING_S}\n")
    return make_lab("--simulate-gpus", "2x8GiB", config=config)


def both_sizes(page: Page, shot: Shot, name: str) -> None:
    """Screenshots on a desk and on a phone; nothing sticks out, nothing shuts anybody out."""
    shot(page, name)
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-phone")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{name} is {wide} pixels wide on a phone"
    page.set_viewport_size(WIDE)
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert serious == [], [(each["id"], each["nodes"][0]["html"]) for each in serious]


def go(page: Page, lab: Lab, part: str) -> None:
    page.goto(f"{lab.url}{SERVICE}/{part}")


def said(page: Page) -> Locator:
    return page.locator("#said")


def test_an_instructors_story(lab: Lab, window: Window, shot: Shot, tmp_path: Path) -> None:
    maria = lab.person("maria")
    make_the_course(window(lab.admin), lab, shot)
    page = window(maria)
    import_the_class(page, lab, shot, tmp_path)
    materials = choose_materials(page, lab, shot, maria)
    students = [lab.person(name) for name in STUDENTS[:3]]
    sessions = hold_the_class(page, lab, shot, students, materials)
    student = window(students[0])
    go(student, lab, "")
    send_a_message(page, student, lab, shot)
    end_the_class(page, student, lab, shot, students, sessions)
    read_the_report(page, lab, shot, tmp_path)
    lab.books_balance()


def make_the_course(admin: Page, lab: Lab, shot: Shot) -> None:
    """The admin, by keyboard where it matters; a slip loses nothing of the form."""
    go(admin, lab, "projects")
    admin.get_by_role("link", name="New project").click()
    admin.get_by_label("Name", exact=True).fill("ml101")
    admin.get_by_label("Title").fill("Machine learning 101")
    quota = admin.get_by_role("group", name="Quota", exact=True)
    quota.get_by_label("fGPU").fill("2.05")
    admin.get_by_label("Sessions at once").fill("1")
    admin.get_by_label("Sessions at once").press("Enter")
    expect(admin.locator("#refusal")).to_contain_text("use 2 or 2.1")
    expect(admin.get_by_label("Title")).to_have_value("Machine learning 101")
    both_sizes(admin, shot, "1-new-course")
    quota.get_by_label("fGPU").fill("2")
    admin.locator("#create").click()
    expect(said(admin)).to_contain_text("Project ml101 is made")
    admin.get_by_label("User name").fill("maria")
    admin.get_by_label("as", exact=True).select_option("instructor")
    admin.get_by_role("button", name="Add").click()
    expect(admin.locator('#members tr[data-user="maria"]')).to_contain_text("instructor")


def import_the_class(page: Page, lab: Lab, shot: Shot, tmp_path: Path) -> None:
    """The registrar's table of forty, with two lines that are wrong."""
    go(page, lab, "projects")
    page.get_by_role("link", name="Machine learning 101").click()
    expect(page.locator("#project-now")).to_contain_text("Nobody waits.")
    page.get_by_role("link", name="Members", exact=True).click()
    page.get_by_role("link", name="Import a list").first.click()
    table = tmp_path / "class.csv"
    lines = ["user;role", *(f"{name};member" for name in STUDENTS), "two words;", "eve;boss"]
    table.write_text("\ufeff" + "\r\n".join(lines))
    page.set_input_files("#list-file", table)
    page.get_by_role("button", name="Show what it would do").click()
    expect(page.locator("#preview")).to_contain_text("40 are added")
    expect(page.locator('#lines tr[data-line="43"]')).to_contain_text("is no role: use member")
    both_sizes(page, shot, "2-preview")
    page.get_by_role("button", name="Write 40 lines, leave out the wrong ones").click()
    expect(said(page)).to_contain_text("40 members are added.")
    expect(page.locator("#members tbody tr")).to_have_count(41)
    both_sizes(page, shot, "3-members")


def choose_materials(page: Page, lab: Lab, shot: Shot, maria: Person) -> str:
    """A folder of the course that all its sessions will have."""
    new = {"name": "week-1", "project": "ml101"}
    folder = str(maria.api.post("/folders", json=new).json()["id"])
    page.get_by_role("link", name="Settings", exact=True).click()
    page.get_by_label("Folder that every session of the project has").select_option("week-1")
    page.locator("#save").click()
    expect(said(page)).to_contain_text("Saved.")
    both_sizes(page, shot, "4-settings")
    return folder


def hold_the_class(
    page: Page, lab: Lab, shot: Shot, students: list[Person], materials: str
) -> list[str]:
    """Two students work, the third one waits; the instructor's page shows it by itself."""
    page.get_by_role("link", name="Overview", exact=True).click()
    sessions = [str(student.submit(name="lab", **SMALL)[0]["id"]) for student in students]
    for student, session in zip(students[:2], sessions[:2], strict=True):
        student.running(session)
    waits = page.locator(f'#waiting tr[data-session="{sessions[2]}"]')
    expect(waits).to_contain_text(students[2].name, timeout=SOON_MS)
    expect(waits).to_contain_text("fGPU", timeout=SOON_MS)
    expect(page.locator("#project-now")).to_contain_text("2 of 2 fGPU", timeout=SOON_MS)
    both_sizes(page, shot, "5-class")
    script = "touch /home/work/materials/x || stat -c %a /home/work/materials"
    assert "700" in lab.run_in(sessions[0], "sh", "-c", script), "there, and read-only"
    mounts = lab.containers(sessions[0])[0].attrs["Mounts"]
    assert any(materials in mount["Source"] and not mount["RW"] for mount in mounts)
    return sessions


def send_a_message(page: Page, student: Page, lab: Lab, shot: Shot) -> None:
    page.get_by_role("link", name="Messages", exact=True).click()
    page.get_by_label("Tell all members").fill("Save your work: the class ends at noon.")
    page.get_by_role("button", name="Send").click()
    expect(said(page)).to_contain_text("Members see it now")
    expect(student.locator("#announcements")).to_contain_text("ends at noon", timeout=SOON_MS)
    both_sizes(page, shot, "6-messages")


def end_the_class(
    page: Page, student: Page, lab: Lab, shot: Shot, students: list[Person], sessions: list[str]
) -> None:
    """Who waits is cancelled, who works is warned, and after that nothing is left."""
    page.get_by_role("link", name="Stop all", exact=True).click()
    expect(page.locator("#stop-numbers")).to_contain_text("2 sessions run")
    expect(page.locator("#stop-numbers")).to_contain_text("1 waits")
    both_sizes(page, shot, "7-stop")
    page.get_by_role("button", name="Stop all sessions of ml101").click()
    expect(said(page)).to_contain_text("2 sessions are warned")
    expect(said(page)).to_contain_text("1 session that waited is cancelled")
    expect(student.locator("#main")).to_contain_text("maria ends all sessions", timeout=SOON_MS)
    first: dict[str, Any] = students[0].session(sessions[0])
    assert first["notice"]["code"] == "asked"
    expect(page.locator("#plot-today .plot-area")).to_be_visible()
    shot(page, "8-ending")
    for person, session in zip(students, sessions, strict=True):
        until(lambda p=person, s=session: p.session(s)["ended_at"], what="the class is over")  # type: ignore[misc]
    assert students[2].session(sessions[2])["status"] == "CANCELLED"
    expect(page.locator("#project-now")).to_contain_text("0 run", timeout=SOON_MS)


def read_the_report(page: Page, lab: Lab, shot: Shot, tmp_path: Path) -> None:
    page.get_by_role("link", name="Report", exact=True).click()
    expect(page.locator("#totals")).to_contain_text("3 of 41")
    expect(page.locator('#report tr[data-user="student40"]')).to_contain_text("never")
    both_sizes(page, shot, "9-report")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download as CSV").click()
    waiting.value.save_as(tmp_path / "report.csv")
    with (tmp_path / "report.csv").open(encoding="utf-8-sig", newline="") as table:
        rows = {row["user"]: row for row in csv.DictReader(table)}
    assert len(rows) == 41
    assert float(rows["student01"]["fgpu_hours"]) > 0
    assert rows["student03"]["sessions"] == "1"
    page.get_by_role("link", name="Audit", exact=True).click()
    expect(page.locator("#audit")).to_contain_text("maria ended all sessions of ml101.")
