"""Makes the screenshots of the documentation: ``.venv/bin/python -m docs.make_screenshots``.

Starts a deployment of its own with two simulated GPUs, walks through it as a student does, and
stops it again. Needs what the end-to-end tests need: a Docker engine, the images, Chromium.

``--pages`` makes only those of every page, wide and as on a phone: of a seeded lab, without
Docker (``seeded_lab.py``).
"""

from __future__ import annotations

import shutil
import sqlite3
import sys
import tempfile
from functools import partial
from pathlib import Path

from playwright.sync_api import (
    Browser,
    FloatRect,
    Page,
    ViewportSize,
    expect,
    sync_playwright,
)

from benchmarks.served_site import served
from docs import seeded_lab
from tests.e2e import seeded_pages
from tests.e2e.conftest import _CHROMIUM_FLAGS, BASE
from tests.e2e.gpu_lab import make_gpu_lab
from tests.e2e.jupyterlab import card, open_lab, panel
from tests.e2e.lab import SERVICE, Lab, Person
from tests.e2e.test_real_work import TRAINING, compare_runs, open_mlflow
from tests.e2e.test_session_panel import compute
from tests.fakes import nvml

IMAGES = Path(__file__).parent / "images"
WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
MAX_BYTES = 200_000
LIMIT_MS = 180_000
COURSE = "ml101"
_MOST_HEIGHT = 2400
"""CSS pixels."""


def main() -> None:
    """All pictures, in the order in which a student meets the pages."""
    IMAGES.mkdir(exist_ok=True)
    shoot_pages()
    if "--pages" in sys.argv:
        return
    with tempfile.TemporaryDirectory(prefix="apportion-shots-") as data, sync_playwright() as play:
        lab = Lab(Path(data), "--simulate-gpus", "2x16GiB")
        try:
            chromium = shutil.which("chromium") or "/usr/bin/chromium"
            browser = play.chromium.launch(executable_path=chromium, args=_CHROMIUM_FLAGS)
            shoot_everything(lab, browser)
            shoot_panel(Path(data), browser)
            browser.close()
        finally:
            lab.close()


def shoot_pages() -> None:
    """Every page of the seeded lab, as the one whose page it is."""
    with tempfile.TemporaryDirectory(prefix="apportion-shots-") as name, sync_playwright() as play:
        data = Path(name)
        seeded_lab.seed(data / "site.sqlite")
        chromium = shutil.which("chromium") or "/usr/bin/chromium"
        browser = play.chromium.launch(executable_path=chromium, args=_CHROMIUM_FLAGS)
        options = ("--images", str(seeded_lab.LAB.images), "--queue")
        with served(f"sqlite:///{data / 'site.sqlite'}", data, *options) as site:
            for who, pages in page_list(data).items():
                context = seeded_pages.log_in(browser, site, who)
                page = context.new_page()
                for picture, path in pages.items():
                    page.goto(f"{site.url}{SERVICE}/{path}")
                    shoot_both(page, picture)
                context.close()
        browser.close()


def page_list(data: Path) -> dict[str, dict[str, str]]:
    """By whom, and by the picture's name: paths of pages."""
    with sqlite3.connect(data / "site.sqlite") as connection:
        (session,) = connection.execute(
            "SELECT id FROM sessions WHERE status = 'RUNNING' AND project = ?"
            ' ORDER BY user <> ?, "order" LIMIT 1',
            (seeded_lab.COURSE, seeded_lab.LEARNS),
        ).fetchone()
        (folder,) = connection.execute(
            "SELECT id FROM folders WHERE owner = ? AND trashed_at IS NULL LIMIT 1",
            (seeded_lab.LEARNS,),
        ).fetchone()
    connection.close()
    seeded_lab.fill_folder(data, folder)
    course = f"projects/{seeded_lab.COURSE}"
    return {
        seeded_lab.LEARNS: {
            "launch": "launch",
            "my-sessions": "",
            "ended-sessions": "?state=ended",
            "folders": "folders",
            "folder-files": f"folders/{folder}",
            "folder-settings": f"folders/{folder}/settings",
            "invitations": "invitations",
            "images": "images",
        },
        seeded_lab.TEACHES: {
            "project": course,
            "project-sessions": f"?project={seeded_lab.COURSE}",
            "project-members": f"{course}/members",
            "project-import": f"{course}/members/import",
            "project-settings": f"{course}/settings",
            "project-messages": f"{course}/messages",
            "project-stop": f"{course}/stop",
            "project-report": f"{course}/report",
            "project-audit": f"{course}/audit",
        },
        seeded_lab.ADMIN: {
            "session": f"sessions/{session}",
            "all-sessions": "?all=1",
            "image-requests": "images",
            "projects": "projects",
            "dashboard": "dashboard",
            "admin": "admin",
            "admin-nodes": "admin/nodes",
            "admin-node": "admin/nodes/gpu-01",
            "admin-groups": "admin/groups",
            "admin-presets": "admin/presets",
            "admin-limits": "admin/limits",
            "admin-announcements": "admin/announcements",
            "admin-audit": "admin/audit",
        },
    }


def shoot_both(page: Page, name: str) -> None:
    """Wide and on a phone, from the top: as much of the page as the repository has room for."""
    for suffix, size in (("", WIDE), ("-phone", PHONE)):
        page.set_viewport_size(size)
        whole = page.evaluate("document.documentElement.scrollHeight")
        height = min(whole, _MOST_HEIGHT)
        # What sticks to the bottom of the window is there in the picture, too.
        page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
        path = IMAGES / f"{name}{suffix}.png"
        while True:
            clip: FloatRect = {"x": 0, "y": 0, "width": size["width"], "height": height}
            page.screenshot(path=path, clip=clip, full_page=True, animations="disabled")
            if path.stat().st_size < MAX_BYTES:
                break
            height = int(0.8 * height)
        print(path, flush=True)
    page.set_viewport_size(WIDE)


def shoot_everything(lab: Lab, browser: Browser) -> None:
    """The form, the queue, JupyterLab and MLflow, with two students of a course on two GPUs."""
    maria, jonas = lab.person("maria"), lab.person("jonas")
    make_course(lab, maria, jonas)
    page = log_in(browser, maria)
    fill_in_form(page, lab)
    shoot(page, "form", full_page=True)
    shoot_on_phone(page, "form-phone")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/user/maria/**", timeout=LIMIT_MS)
    shoot_sessions(page, lab)

    other = log_in(browser, jonas)
    shoot_pending(other, lab)
    other.context.close()

    shoot_real_work(page, lab, maria)
    for person in (maria, jonas):
        person.stop_all()
    shoot_warning(page, lab, maria, jonas)
    page.context.close()
    for person in (maria, jonas):
        person.stop_all()


def make_course(lab: Lab, *members: Person) -> None:
    """A project with a quota; everybody's own has none, so that its GPUs can be taken back."""
    course = {"name": COURSE, "title": "Machine Learning", "quota": {"fgpu": 4}}
    lab.admin.api.post("/projects", json=course).raise_for_status()
    lab.admin.api.patch("/projects/default", json={"quota": {"fgpu": 0}}).raise_for_status()
    for member in members:
        new = {"user": member.name}
        lab.admin.api.post(f"/projects/{COURSE}/members", json=new).raise_for_status()


def log_in(browser: Browser, person: Person) -> Page:
    """A new window, through the hub's login form."""
    context = browser.new_context(viewport=WIDE)
    context.set_default_timeout(LIMIT_MS)
    page = context.new_page()
    page.goto(f"{person.lab.url}/hub/login")
    page.fill("#username_input", person.name)
    page.fill("#password_input", person.password)
    page.click("#login_submit")
    page.wait_for_url("**/hub/**")
    return page


def fill_in_form(page: Page, lab: Lab) -> None:
    """Three sessions of one GPU each, on a node that has two."""
    page.goto(f"{lab.url}/hub/spawn")
    page.wait_for_selector("#launch-form")
    page.select_option("#launch-family", label="Data science")
    page.select_option("#launch-version", index=1)
    page.check("#launch-preset-own", force=True)
    for name, value in {
        "fgpu": "1",
        "cpu": "1",
        "memory_gib": "2",
        "new_folder": "exercises",
        "name": "regression",
        "count": "3",
    }.items():
        page.fill(f"#launch-{name}", value)
    expect(page.locator("#launch-forecast")).to_contain_text("in line", timeout=LIMIT_MS)


def shoot_sessions(page: Page, lab: Lab) -> None:
    """Two run, one waits."""
    page.goto(lab.url + SERVICE + "/")
    expect(page.locator("tr[data-status=RUNNING]")).to_have_count(2, timeout=LIMIT_MS)
    expect(page.locator("tr[data-status=PENDING]")).to_contain_text("1st in line")
    shoot(page, "sessions")
    shoot_on_phone(page, "sessions-phone")


def shoot_pending(page: Page, lab: Lab) -> None:
    """The hub's page of a start that waits behind somebody else."""
    page.goto(f"{lab.url}/hub/spawn")
    page.wait_for_selector("#launch-form")
    page.check("#launch-preset-own", force=True)
    page.fill("#launch-fgpu", "0.5")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/hub/spawn-pending/**")
    expect(page.locator("#pending-headline")).to_contain_text("in the queue", timeout=LIMIT_MS)
    expect(page.locator("#pending-reason")).to_contain_text("Needs", timeout=LIMIT_MS)
    shoot(page, "pending")
    shoot_on_phone(page, "pending-phone")


def shoot_real_work(page: Page, lab: Lab, person: Person) -> None:
    """The launcher, and MLflow's comparison of three runs."""
    session = next(each for each in person.live() if each["status"] == "RUNNING")
    open_lab(page, lab, session)
    card(page, "MLflow UI").scroll_into_view_if_needed()
    news = page.get_by_role("button", name="No", exact=True)
    if news.is_visible():
        news.click()
    page.wait_for_load_state("networkidle")
    shoot(page, "launcher")
    lab.run_in(session["id"], "python", "-c", TRAINING)
    mlflow = open_mlflow(page)
    mlflow.set_viewport_size(WIDE)
    mlflow.goto(mlflow.url.split("#")[0] + "#/experiments/0/runs")
    compare_runs(mlflow)
    assistant = mlflow.locator("[data-component-id='mlflow.assistant.chat_panel.close']")
    if assistant.is_visible():
        assistant.click()
    for metric in ("rmse", "r2"):
        expect(mlflow.get_by_text(metric, exact=True).first).to_be_visible()
    expect(mlflow.locator(".js-plotly-plot .parcoords").first).to_be_visible(timeout=LIMIT_MS)
    shoot(mlflow, "mlflow-compare")


def shoot_warning(page: Page, lab: Lab, person: Person, claimant: Person) -> None:
    """What a course takes back: the warning in JupyterLab and on the page Sessions."""
    small = {"image": BASE, "cpu": 1, "memory_mib": 2048}
    (extra,) = person.submit(
        name="spare time", project="default", fgpu=1, preemptible=True, **small
    )
    open_lab(page, lab, person.running(extra["id"]))
    page.wait_for_load_state("networkidle")
    claimant.submit(name="exercise", project=COURSE, fgpu=2, **small)
    warning = page.locator(".jp-toastContainer .Toastify__toast")
    expect(warning).to_contain_text("This session will be stopped at", timeout=LIMIT_MS)
    warning.evaluate("toast => Promise.all(toast.getAnimations().map(each => each.finished))")
    shoot(page, "warning")
    page.goto(lab.url + SERVICE + "/")
    expect(page.locator("[data-notice=reclaim]")).to_contain_text("Will be stopped")
    shoot(page, "warning-sessions")


def shoot_panel(directory: Path, browser: Browser) -> None:
    """The session panel after some minutes of work on a GPU, which is a fake one."""
    lab, fake = make_gpu_lab(partial(Lab, directory / "gpus"), directory, nvml.gpu(0))
    try:
        person = lab.person("maria")
        small = {"image": BASE, "cpu": 2, "memory_mib": 4096, "lifetime_s": 4 * 3600}
        (session,) = person.submit(name="regression", fgpu=0.5, **small)
        session = person.running(session["id"])
        page = log_in(browser, person)
        open_lab(page, lab, session)
        panel(page)
        for step in range(60):
            busy = step % 30 < 21
            compute(lab, fake, session, 1200 + 90 * (step % 30), 46 - step % 7 if busy else 2)
            page.wait_for_timeout(2500)
        shoot(page, "session-panel")
        person.stop_all()
    finally:
        lab.close()


def shoot_on_phone(page: Page, name: str) -> None:
    """The whole page as a phone shows it; then back to a wide window."""
    page.set_viewport_size(PHONE)
    shoot(page, name, full_page=True)
    page.set_viewport_size(WIDE)


def shoot(page: Page, name: str, *, full_page: bool = False) -> None:
    """One PNG. AssertionError when it is too large for the repository."""
    path = IMAGES / f"{name}.png"
    page.screenshot(path=path, full_page=full_page, animations="disabled")
    assert path.stat().st_size < MAX_BYTES, f"{path} has {path.stat().st_size} bytes"
    print(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path, flush=True)


if __name__ == "__main__":
    main()
