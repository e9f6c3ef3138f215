"""Everything about a session inside JupyterLab: panel, status bar, warnings."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.conftest import BASE
from tests.e2e.gpu_lab import make_gpu_lab
from tests.e2e.jupyterlab import menu, open_lab, panel, status, toast
from tests.e2e.lab import Lab, until
from tests.fakes import nvml

Shot = Callable[[Page, str], None]
SMALL = {"image": BASE, "cpu": 1, "memory_mib": 1536}
SHORTEST_IDLE_S = 600


@pytest.fixture(scope="module")
def gpus(
    make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Lab, nvml.FakeNvml]:
    """One GPU of 16 GiB, without any enforcer's daemon."""
    lab, fake = make_gpu_lab(make_lab, tmp_path_factory.mktemp("gpus"), nvml.gpu(0))
    answer = lab.admin.api.patch("/nodes/local", json={"enforcer": "timeslice"})
    assert answer.status_code == 200, answer.text
    leave_idle(lab)
    return lab, fake


def leave_idle(lab: Lab) -> None:
    """Dora starts a session in a project that stops idle ones, and goes away: the shortest limit
    takes as long as the other tests here."""
    new = {"name": "quiet", "member_limits": {"idle_s": SHORTEST_IDLE_S}}
    answer = lab.admin.api.post("/projects", json=new)
    assert answer.status_code == 201, answer.text
    member = {"user": lab.person("dora").name}
    answer = lab.admin.api.post("/projects/quiet/members", json=member)
    assert answer.status_code == 201, answer.text
    lab.person("dora").submit(name="idle", fgpu=0, project="quiet", **SMALL)


@pytest.fixture
def lab(gpus: tuple[Lab, nvml.FakeNvml]) -> Iterator[Lab]:
    yield gpus[0]
    gpus[0].person("ann").stop_all()
    gpus[1].state = {"devices": [nvml.gpu(0)]}
    gpus[1].write()


@pytest.fixture
def fake(gpus: tuple[Lab, nvml.FakeNvml]) -> nvml.FakeNvml:
    return gpus[1]


@pytest.fixture
def session(lab: Lab) -> dict[str, Any]:
    """Ann's, on half a GPU, for two hours."""
    ann = lab.person("ann")
    (session,) = ann.submit(name="work", fgpu=0.5, lifetime_s=7200, **SMALL)
    return ann.running(session["id"])


@pytest.fixture
def page(lab: Lab, session: dict[str, Any], window: Any) -> Page:
    """JupyterLab, ready."""
    page: Page = window(lab.person("ann"))
    open_lab(page, lab, session)
    return page


def compute(lab: Lab, fake: nvml.FakeNvml, session: dict[str, Any], mib: int, sm: int) -> None:
    """The session's process holds so much and is so busy."""
    (container,) = lab.containers(session["id"])
    pid = int(container.top()["Processes"][-1][1])
    fake.devices[0]["processes"] = [{"pid": pid, "used_mib": mib, "sm": sm}]
    fake.write()


def test_the_panel_tells_all_about_the_session(
    lab: Lab, fake: nvml.FakeNvml, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    expect(status(page)).to_have_text(re.compile(r"GPU .*8\.0 GiB · 1 h 59 min left"))
    compute(lab, fake, session, 3174, 25)
    expect(status(page)).to_contain_text("GPU 3.1 / 8.0 GiB", timeout=20_000)
    here = panel(page)
    expect(here.get_by_role("heading", name="work")).to_be_visible()
    expect(here).to_contain_text("0.5 fGPU, 8.0 GiB of GPU memory", timeout=15_000)
    expect(here).to_contain_text("Time slices")
    expect(here.locator(".apl-plot").first).to_contain_text("3.1 / 8.0 GiB", timeout=15_000)
    expect(here.locator(".apl-plot").nth(1)).to_contain_text("50 %")
    expect(here.locator(".apl-plot").nth(3)).to_contain_text("/ 1.5 GiB")
    expect(here.locator(".apl-line").first).to_have_attribute("d", re.compile("^M"))
    expect(here).to_contain_text("home")
    expect(here).to_contain_text("1 h 59 min left")
    expect(here).to_contain_text("default")
    again = here.get_by_role("link", name="Restart with another image or slice…")
    expect(again).to_have_attribute("href", re.compile(f"launch.*{session['id']}"))
    shot(page, "1-wide")
    page.set_viewport_size({"width": 700, "height": 900})
    shot(page, "2-narrow")


def test_memory_that_runs_out_turns_amber_and_is_told(
    lab: Lab, fake: nvml.FakeNvml, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    menu(page, "Settings", "Theme", "JupyterLab Dark")
    panel(page)
    compute(lab, fake, session, 7000, 25)
    expect(status(page)).to_have_attribute("data-level", "amber", timeout=20_000)
    shot(page, "0-amber-dark")
    compute(lab, fake, session, 7900, 25)
    expect(status(page)).to_have_attribute("data-level", "red", timeout=20_000)
    warning = toast(page, "nearly all GPU memory of its slice")
    expect(warning).to_be_visible(timeout=20_000)
    shot(page, "1-nearly-full-dark")
    warning.get_by_text("Show what runs").click()
    expect(page.locator("#jp-running-sessions")).to_be_visible()
    warning.get_by_text("Open the session panel").click()
    expect(page.locator("#apportion-session-panel .apl-warning")).to_contain_text("7.7 of 8.0 GiB")
    compute(lab, fake, session, 9216, 25)
    expect(toast(page, "This session will be stopped at")).to_be_visible(timeout=20_000)
    shot(page, "2-beyond")


def test_a_sick_device_is_told(
    lab: Lab, fake: nvml.FakeNvml, session: dict[str, Any], page: Page
) -> None:
    fake.devices[0]["celsius"] = 99
    fake.write()
    expect(toast(page, "too hot: 99 °C")).to_be_visible(timeout=30_000)
    fake.devices[0]["celsius"] = 50
    fake.write()
    expect(toast(page, "too hot")).to_have_count(0, timeout=30_000)


def test_it_is_extended_from_the_panel(
    lab: Lab, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    panel(page).get_by_role("button", name="Extend…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("How much longer")
    shot(page, "1-extend")
    dialog.get_by_role("button", name="Extend").click()
    expect(panel(page)).to_contain_text("2 h 59 min left", timeout=15_000)
    assert lab.person("ann").session(session["id"])["lifetime_s"] == 3 * 3600


def test_the_end_of_its_lifetime_is_told_and_an_hour_more_is_one_click(
    lab: Lab, session: dict[str, Any], page: Page
) -> None:
    ann = lab.person("ann")
    ran = 300
    answer = ann.api.patch(f"/sessions/{session['id']}", json={"lifetime_s": ran})
    assert answer.status_code == 200, answer.text
    warning = toast(page, "This session will be stopped at")
    expect(warning).to_be_visible(timeout=40_000)
    expect(status(page)).to_have_attribute("data-level", "red")
    warning.get_by_text("Extend by 1 h").click()
    expect(toast(page, "The warning is withdrawn")).to_be_visible(timeout=30_000)
    assert ann.session(session["id"])["lifetime_s"] == ran + 3600


def test_no_more_time_is_offered_than_is_allowed(
    lab: Lab, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    def allow(lifetime_s: int | None) -> None:
        change = {"member_limits": {"max_lifetime_s": lifetime_s}}
        answer = lab.admin.api.patch("/projects/default", json=change)
        assert answer.status_code == 200, answer.text

    ann, ran = lab.person("ann"), 300
    allow(ran + 1200)
    try:
        answer = ann.api.patch(f"/sessions/{session['id']}", json={"lifetime_s": ran})
        assert answer.status_code == 200, answer.text
        warning = toast(page, "This session will be stopped at")
        warning.get_by_text("Extend by 20 min").click(timeout=40_000)
        expect(toast(page, "The warning is withdrawn")).to_be_visible(timeout=30_000)
        assert ann.session(session["id"])["lifetime_s"] == ran + 1200
        expect(panel(page)).to_contain_text("session may last 25 minutes at most", timeout=20_000)
        expect(panel(page).get_by_role("button", name="Extend…")).to_be_disabled()
        shot(page, "1-no-more")
    finally:
        allow(None)


def test_a_full_folder_is_told_until_there_is_room(lab: Lab, window: Any, shot: Shot) -> None:
    eve = lab.person("eve")
    (first,) = eve.submit(name="fills", fgpu=0, **SMALL)
    eve.running(first["id"])
    lab.run_in(first["id"], "sh", "-c", "head -c 20M /dev/zero > /home/work/data.bin")
    eve.stop_all()

    def measured() -> bool:
        (home,) = eve.api.get("/folders").json()["folders"]
        return (home["used_bytes"] or 0) >= 20 * 2**20

    until(measured, limit_s=90, what="the folder was measured after the session")
    (session,) = eve.submit(name="full", fgpu=0, **SMALL)
    session = eve.running(session["id"])
    page: Page = window(eve)
    open_lab(page, lab, session)
    answer = lab.admin.api.put("/storage-quotas/user/eve", json={"gib": 0.01})
    assert answer.status_code == 200, answer.text
    warning = toast(page, "Folder home is full")
    expect(warning).to_be_visible(timeout=30_000)
    expect(panel(page).locator(".apl-folders")).to_contain_text("full")
    shot(page, "1-full")
    warning.get_by_text("Open the file browser").click()
    expect(page.locator(".jp-DirListing-item", has_text="data.bin")).to_be_visible()
    lab.admin.api.delete("/storage-quotas/user/eve")
    expect(warning).to_have_count(0, timeout=30_000)
    eve.stop_all()


def test_an_image_is_asked_for_and_approved(
    lab: Lab, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    panel(page).get_by_role("button", name="Make an image of this environment…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Not A Name!")
    dialog.get_by_role("button", name="Ask for it").click()
    expect(page.get_by_role("alert")).not_to_be_empty(timeout=90_000)
    shot(page, "1-refused")
    dialog.get_by_label("Name").fill("my-tools")
    dialog.get_by_label("What is in it").fill("Tools of the course")
    dialog.get_by_role("button", name="Ask for it").click()
    expect(panel(page)).to_contain_text("waits for an admin to approve it", timeout=90_000)
    shot(page, "2-waits")
    (request,) = lab.admin.api.get("/image-requests?all=1").json()["image_requests"]
    answer = lab.admin.api.post(f"/image-requests/{request['id']}/approve", json={})
    assert answer.status_code in {200, 202}, answer.text
    expect(panel(page)).to_contain_text("The image is ready:", timeout=180_000)
    shot(page, "3-ready")
    reference = lab.admin.api.get(f"/image-requests/{request['id']}").json()["reference"]
    lab.docker.images.remove(reference, force=True)


def test_a_service_that_is_away_is_told_and_so_is_that_it_is_back(
    lab: Lab, session: dict[str, Any], page: Page
) -> None:
    def service_pids() -> list[int]:
        port = str(lab.settings["service_port"])
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                command = path.read_text().split("\0")
                parent = (path.parent / "environ").read_text()
            except (OSError, UnicodeDecodeError):
                continue
            if "hub_ext.app" in command and str(lab.data) in parent:
                found.append(int(path.parent.name))
        assert port
        return found

    (pid,) = service_pids()
    os.kill(pid, signal.SIGSTOP)
    try:
        expect(status(page)).to_contain_text("hub away", timeout=40_000)
        expect(toast(page, "does not answer")).to_be_visible(timeout=60_000)
    finally:
        os.kill(pid, signal.SIGCONT)
    expect(toast(page, "answer again")).to_be_visible(timeout=60_000)
    expect(toast(page, "does not answer")).to_have_count(0)


def test_a_token_that_was_revoked_is_told(
    lab: Lab, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    panel(page)
    tokens = lab.admin.hub.get("/users/ann/tokens").json()["api_tokens"]
    servers = [each for each in tokens if each["note"].startswith("Server at")]
    assert servers, tokens
    for token in servers:
        lab.admin.hub.delete(f"/users/ann/tokens/{token['id']}").raise_for_status()
    expect(toast(page, "does not know this server any more")).to_be_visible(timeout=60_000)
    expect(status(page)).to_contain_text("unknown to the hub")
    expect(panel(page)).to_contain_text("Save your work, and start the session again")
    shot(page, "1-refused")


def test_others_work_in_a_session_that_is_shared_until_that_is_taken_back(
    lab: Lab, session: dict[str, Any], page: Page, window: Any
) -> None:
    panel(page).get_by_role("button", name="Share link…").click()
    page.get_by_role("dialog").get_by_role("button", name="Make a link").click()
    link = page.get_by_role("dialog").locator("input").input_value(timeout=15_000)
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    guest: Page = window(lab.person("ben"))
    guest.goto(link)
    guest.get_by_role("button", name=re.compile("Accept|Join|Access")).click()
    guest.goto(f"{lab.url}{session['url']}lab")
    guest.get_by_role("button", name="Authorize").click()  # the guest tells who he is
    expect(guest.locator(".jp-Launcher")).to_be_visible(timeout=60_000)
    panel(page).get_by_role("button", name="Stop sharing").click(timeout=15_000)
    expect(toast(page, "Nobody else has access")).to_be_visible(timeout=15_000)
    answer = guest.goto(f"{lab.url}{session['url']}api/contents")
    assert answer is not None
    assert answer.status in {403, 404}


def test_the_session_is_stopped_after_a_question(
    lab: Lab, session: dict[str, Any], page: Page
) -> None:
    panel(page).get_by_role("button", name="Stop…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Running kernels and terminals end")
    dialog.get_by_role("button", name="Cancel").click()
    assert lab.person("ann").session(session["id"])["status"] == "RUNNING"
    panel(page).get_by_role("button", name="Stop…").click()
    dialog.get_by_role("button", name="Stop", exact=True).click()
    until(
        lambda: lab.person("ann").session(session["id"])["ended_at"],
        what="the session has ended",
    )


def test_it_is_read_in_japanese(lab: Lab, window: Any, shot: Shot) -> None:
    chie = lab.person("chie")
    (session,) = chie.submit(name="work", fgpu=0.5, lifetime_s=7200, **SMALL)
    session = chie.running(session["id"])
    page: Page = window(chie)
    open_lab(page, lab, session)
    menu(page, "Settings", "Language", re.compile("日本語"))
    page.get_by_role("dialog").get_by_role("button", name=re.compile("reload")).click()
    expect(status(page)).to_contain_text("残り", timeout=60_000)
    expect(panel(page)).to_contain_text("プロジェクト")
    shot(page, "1-japanese")
    chie.stop_all()


def test_an_idle_session_goes_on_when_its_user_says_that_he_is_there(
    lab: Lab, window: Any, shot: Shot
) -> None:
    dora = lab.person("dora")
    (session,) = dora.live()

    def warned() -> dict[str, Any] | None:
        now = dora.session(session["id"])
        assert now["ended_at"] is None, now
        return now if now["notice"] else None

    session = until(warned, limit_s=SHORTEST_IDLE_S + 120, what="dora is warned")
    assert session["notice"]["code"] == "idle"
    page: Page = window(dora)
    open_lab(page, lab, session)
    warning = toast(page, "This session will be stopped at")
    expect(warning).to_be_visible(timeout=30_000)
    shot(page, "1-idle")
    warning.get_by_text("I am here").click()
    expect(toast(page, "The warning is withdrawn")).to_be_visible(timeout=30_000)
    assert dora.session(session["id"])["notice"] is None
    dora.stop_all()
