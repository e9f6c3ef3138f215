"""A student's afternoon, in the browser: one story on a real deployment with one GPU."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, ViewportSize, expect

from tests.e2e.lab import SERVICE, Lab, Person, until

PHONE = ViewportSize(width=390, height=844)
WIDE = ViewportSize(width=1280, height=900)
FORECAST_MS = 20_000
LIVE_MS = 10_000
"""Less than the 15 s after which the list of files asks by itself."""
SOON_MS = 30_000
"""Live parts follow within two seconds on a machine that does nothing else; CI's does."""
START_MS = 90_000
LOOK_MS = 60_000
"""To ask for an image reads what the session has written; engines without overlays are slow."""
SAVED_MS = 300_000
NOTES = "epoch,loss\n1,0.7\n2,0.4\n"
Shot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Iterator[Lab]:
    lab = make_lab("--simulate-gpus", "1x8GiB")
    yield lab
    requests = lab.admin.api.get("/image-requests", params={"all": "1"}).json()
    for request in requests["image_requests"]:
        if request["reference"]:
            lab.docker.images.remove(request["reference"], force=True)


@pytest.fixture
def troubles() -> list[str]:
    """What the student's browser has complained of, on whichever page."""
    return []


@pytest.fixture
def page(browser: Browser, troubles: list[str]) -> Iterator[Page]:
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce", locale="en-GB")
    page = context.new_page()

    def heard(message: ConsoleMessage) -> None:
        # JupyterLab asks for an extension that the images do not have
        if message.type == "error" and "/lsp/status" not in message.location.get("url", ""):
            troubles.append(f"{page.url}: {message.text} ({message.location.get('url')})")

    page.on("console", heard)
    page.on("pageerror", lambda error: troubles.append(f"{page.url}: {error}"))
    yield page
    context.close()


def looks_well(page: Page, shot: Shot, name: str) -> None:
    """Once on each kind of page: nothing sticks out on a phone, nothing shuts anybody out."""
    shot(page, name)
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-phone")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{name} is {wide} pixels wide on a phone"
    page.set_viewport_size(WIDE)
    # without "preload" axe does not fetch style sheets by itself, at wrong addresses
    found = Axe().run(page, options={"preload": False}).response["violations"]
    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert serious == [], [(each["id"], each["nodes"][0]["html"]) for each in serious]


def section(page: Page, name: str) -> None:
    """By the navigation on top."""
    page.locator("#thenavbar").get_by_role("link", name=name).click()


def row_of(page: Page, name: str) -> Locator:
    return page.locator("tr[data-session]").filter(has=page.get_by_role("link", name=name))


def badge(page: Page) -> Locator:
    """The status on a session's own page."""
    return page.locator("#session .session-status").first


def said(page: Page) -> Locator:
    return page.locator("#said")


def test_a_students_story(
    lab: Lab, page: Page, troubles: list[str], shot: Shot, tmp_path: Path
) -> None:
    student = lab.person("student")
    log_in(page, lab, student, shot)
    launch_half_a_gpu(page, shot)
    open_jupyterlab(page, shot)
    ask_for_a_whole_gpu(page, lab, shot)
    accept_what_is_shared(page, lab, shot)
    bring_a_file_and_take_it_back(page, lab, student, shot, tmp_path)
    stay_longer(page, shot)
    have_an_image_made(page, lab, student, shot)
    stop_one_so_that_the_other_starts(page, shot)
    launch_once_more(page)
    stop_all(page, shot)
    read_it_in_japanese(page, shot)
    assert troubles == []
    until(lambda: lab.containers() == [], what="no container is left")
    lab.books_balance()


def log_in(page: Page, lab: Lab, student: Person, shot: Shot) -> None:
    """Whoever opens a page without a login has it right after."""
    page.goto(f"{lab.url}{SERVICE}/")
    shot(page, "01-login")
    page.get_by_label("Username").fill(student.name)
    page.get_by_label("Password").fill(student.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    expect(page.locator("#nothing")).to_contain_text("No session runs or waits.")
    looks_well(page, shot, "02-nothing-yet")
    page.get_by_role("link", name="Launch one").click()


def fill_in(page: Page, name: str, fgpu: str) -> None:
    """The launch form: little of everything but the GPU. The image is named, since other tests
    make images in this engine, and delete them, at the same time."""
    page.locator("#launch-family").select_option(label="JupyterLab")
    page.get_by_text("My own numbers").click()
    page.get_by_label("GPU (fGPU)").fill(fgpu)
    page.get_by_label("CPU (cores)").fill("0.5")
    page.get_by_label("Memory (GiB)").fill("1")
    page.get_by_label("Name", exact=True).fill(name)


def launch_half_a_gpu(page: Page, shot: Shot) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Launch a session")
    expect(page.get_by_text("Recent launches")).to_have_count(0)
    fill_in(page, "training", "0.5")
    expect(page.locator("#launch-fgpu-meaning")).to_contain_text("0.5 fGPU = 4 GiB of GPU memory")
    page.get_by_label("New folder").fill("thesis")
    page.locator("#launch-more summary").click()
    page.get_by_label("Stop after (hours)").fill("1")
    forecast = page.locator("#launch-forecast")
    expect(forecast).to_contain_text("Starts now on local", timeout=FORECAST_MS)
    facts = page.locator("#launch-facts")
    expect(facts).to_contain_text("0.5 CPU, 1 GiB of memory")
    expect(facts).to_contain_text("thesis (new)")
    expect(facts.locator('[data-fact="end"]')).to_have_text("1 hour")
    looks_well(page, shot, "03-launch")
    page.locator("#launch-send").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("training")
    expect(badge(page)).to_contain_text("Running", timeout=START_MS)
    expect(page.locator("#history")).to_contain_text(re.compile(r"[Rr]uns\."))
    expect(page.locator("#session")).to_contain_text("50 % of GPU")
    looks_well(page, shot, "04-running")


def open_jupyterlab(page: Page, shot: Shot) -> None:
    page.get_by_role("link", name="Open", exact=True).click()
    files = page.locator(".jp-DirListing-item")
    expect(files.filter(has_text="thesis")).to_be_visible(timeout=START_MS)
    shot(page, "05-jupyterlab")


def ask_for_a_whole_gpu(page: Page, lab: Lab, shot: Shot) -> None:
    """More than is free, by the hub's own form: all pages give the same reason."""
    page.goto(f"{lab.url}/hub/spawn")
    fill_in(page, "whole", "1")
    why = "Needs 1.0 fGPU on one device; the largest free slice is 0.5 fGPU (node local)."
    expect(page.locator("#launch-forecast")).to_contain_text(why, timeout=FORECAST_MS)
    looks_well(page, shot, "06-hub-form")
    page.locator("#launch-send").click()
    expect(page.locator("#pending-headline")).to_have_text("Number 1 in the queue", timeout=SOON_MS)
    expect(page.locator("#pending-reason")).to_have_text(why)
    looks_well(page, shot, "07-hub-pending")

    section(page, "Sessions")
    row = row_of(page, "whole")
    expect(row).to_contain_text("1st in line")
    expect(row).to_contain_text(why)
    expect(row_of(page, "training")).to_contain_text("Running")
    looks_well(page, shot, "08-sessions")
    row.get_by_role("link", name="whole", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("whole")
    expect(page.locator("#session")).to_contain_text(why)
    looks_well(page, shot, "09-waits")


def accept_what_is_shared(page: Page, lab: Lab, shot: Shot) -> None:
    share(lab.person("fellow"), "course-data")
    page.goto(f"{lab.url}{SERVICE}/")
    expect(page.locator("#invitations-badge")).to_contain_text("1")
    section(page, "Folders")
    invited = page.locator("#folders .alert")
    expect(invited).to_contain_text("fellow invites you to the folder course-data")
    expect(invited).to_contain_text("read only")
    looks_well(page, shot, "10-invited")
    page.get_by_role("button", name="Accept course-data").click()
    expect(said(page)).to_contain_text("yours to use")
    expect(page.locator("#files")).to_contain_text("train.csv")
    expect(page.locator("#invitations-badge")).to_have_count(0)


def share(owner: Person, name: str) -> None:
    """Another user's folder with a file in it, offered to student."""
    made = owner.api.post("/folders", json={"name": name, "usage": "data"})
    assert made.status_code == 201, made.text
    folder = f"/folders/{made.json()['id']}"
    begun = owner.api.post(f"{folder}/uploads", json={"path": "train.csv", "size": 3})
    headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    upload = f"/uploads/{begun.json()['id']}"
    assert owner.api.patch(upload, content=b"1,2", headers=headers).status_code == 204
    offered = owner.api.post(f"{folder}/shares", json={"users": ["student"], "mode": "ro"})
    assert offered.status_code == 201, offered.text


def bring_a_file_and_take_it_back(
    page: Page, lab: Lab, student: Person, shot: Shot, tmp_path: Path
) -> None:
    """The running session has what is uploaded, and the page what the session writes."""
    section(page, "Folders")
    expect(page.locator("#shared-folders")).to_contain_text("course-data")
    expect(page.locator("#my-folders")).to_contain_text("training")
    page.get_by_role("link", name="thesis", exact=True).click()
    expect(page.locator("#no-files")).to_contain_text("The folder is empty.")
    sent = tmp_path / "notes.csv"
    sent.write_text(NOTES)
    with page.expect_file_chooser() as chooser:
        page.get_by_text("Upload files", exact=True).click()
    chooser.value.set_files(sent)
    expect(page.locator('#files tr[data-name="notes.csv"]')).to_contain_text(
        "23 bytes", timeout=LIVE_MS
    )
    looks_well(page, shot, "11-files")
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download notes.csv").click()
    assert waiting.value.path().read_text() == NOTES
    (session,) = [each for each in student.live() if each["name"] == "training"]
    assert lab.run_in(session["id"], "cat", "/home/work/thesis/notes.csv") == NOTES.strip()


def stay_longer(page: Page, shot: Shot) -> None:
    section(page, "Sessions")
    row = row_of(page, "training")
    expect(row).to_contain_text(re.compile("minutes left"))
    row.get_by_label("More about training").click()
    shot(page, "12-more")
    row.get_by_label("Extend training by one hour").click()
    expect(said(page)).to_contain_text("training lasts 2 hours from its start")
    expect(row).to_contain_text(re.compile("11[0-9] minutes left"), timeout=SOON_MS)


def have_an_image_made(page: Page, lab: Lab, student: Person, shot: Shot) -> None:
    """Asked for on the page of the session, which also says when it is ready."""
    row_of(page, "training").get_by_role("link", name="training", exact=True).click()
    page.get_by_text("Make an image of this session").click()
    page.get_by_label("Name of the image").fill("thesis-tools")
    page.get_by_label("Description").fill("What the thesis needs")
    page.get_by_role("button", name="Ask for the image").click()
    expect(said(page)).to_contain_text("thesis-tools is asked for", timeout=LOOK_MS)
    state = page.locator("#image-request .badge")
    expect(state).to_have_text("waits for an admin")
    looks_well(page, shot, "13-image-asked")

    (request,) = student.api.get("/image-requests").json()["image_requests"]
    approved = lab.admin.api.post(f"/image-requests/{request['id']}/approve")
    assert approved.status_code == 200, approved.text
    expect(state).to_have_text("ready", timeout=SAVED_MS)
    section(page, "Images")
    expect(page.locator("#my-images tbody tr")).to_contain_text("thesis-tools:1")
    looks_well(page, shot, "14-images")
    section(page, "Launch")
    page.get_by_label("Image", exact=True).select_option(label="thesis-tools")
    expect(page.locator("#launch-image-about")).to_contain_text("What the thesis needs")
    expect(page.locator('#launch-facts [data-fact="image"]')).to_contain_text("thesis-tools 1")
    shot(page, "15-own-image")


def stop_one_so_that_the_other_starts(page: Page, shot: Shot) -> None:
    """The page is not loaded again meanwhile."""
    section(page, "Sessions")
    expect(row_of(page, "whole")).to_have_attribute("data-status", "PENDING")
    page.evaluate("window.stillThisPage = true")
    page.get_by_label("Stop training").click()
    question = row_of(page, "training").get_by_text("What runs in it ends")
    expect(question).to_contain_text("files in its folders stay")
    page.get_by_role("button", name="Yes, stop it").click()
    expect(said(page)).to_contain_text("training")
    expect(row_of(page, "training")).to_have_count(0, timeout=START_MS)
    expect(row_of(page, "whole")).to_contain_text("Running", timeout=START_MS)
    expect(row_of(page, "whole")).to_contain_text("100 % of GPU")
    assert page.evaluate("window.stillThisPage") is True
    shot(page, "16-the-other-runs")


def launch_once_more(page: Page) -> None:
    """One click: the same half GPU and folder, under the name that is free again."""
    section(page, "Launch")
    recent = page.get_by_role("region", name="Recent launches")
    expect(recent.get_by_role("listitem")).to_have_count(2)
    page.get_by_role("button", name="Launch training again").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("training")
    expect(page.locator("#session")).to_contain_text("Needs 0.5 fGPU", timeout=SOON_MS)
    expect(page.locator("#session")).to_contain_text("thesis at /home/work/thesis")


def stop_all(page: Page, shot: Shot) -> None:
    section(page, "Sessions")
    page.get_by_label("Tick all on this page").check()
    page.get_by_role("button", name="Stop the ticked ones").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Stop these 2 sessions?")
    looks_well(page, shot, "17-stop-these")
    page.get_by_role("button", name="Stop 2 sessions").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("What has become of them")
    outcome = page.locator("#stopped")
    expect(outcome.locator("[data-status=CANCELLED]")).to_contain_text("training")
    expect(outcome.locator("[data-status=TERMINATED]")).to_contain_text("whole", timeout=START_MS)
    looks_well(page, shot, "18-stopped")
    page.get_by_role("link", name="Back to the list").click()
    expect(page.locator("#nothing")).to_contain_text("No session runs or waits.")


def read_it_in_japanese(page: Page, shot: Shot) -> None:
    """On all pages, the hub's form too, and back."""
    page.get_by_label("Language").select_option(label="日本語")
    page.get_by_role("button", name="Set").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("セッション")
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    page.get_by_role("link", name="終了", exact=True).click()
    expect(page.locator("#ended-sessions tbody tr")).to_have_count(3)
    expect(page.locator("#ended-sessions")).to_contain_text("student が停止しました")
    looks_well(page, shot, "19-japanese")
    page.get_by_label("言語").select_option(label="English")
    page.get_by_role("button", name="設定").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sessions")
    expect(page.locator("#ended-sessions")).to_contain_text("Ended")
