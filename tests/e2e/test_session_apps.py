"""The apps of a session's image and its ports: cards, tabs, and what they say when they fail."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.framework_image import build_faulty_image, build_framework_image
from tests.e2e.jupyterlab import card, menu, open_lab, toast
from tests.e2e.lab import Lab, until

Shot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


@pytest.fixture(scope="module")
def image(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """With TensorBoard, and with apps that do not work."""
    framework = build_framework_image(lab.docker, tmp_path_factory.mktemp("recipes") / "images")
    tag = f"tests/apps:{uuid.uuid4().hex[:8]}"
    build_faulty_image(lab.docker, framework, tag)
    yield tag
    for reference in (tag, framework):
        lab.docker.images.remove(reference, force=True)


@pytest.fixture(scope="module")
def session(lab: Lab, image: str) -> Iterator[dict[str, Any]]:
    """Ann's, for all tests."""
    ann = lab.person("ann")
    (session,) = ann.submit(name="apps", image=image, fgpu=0, cpu=1, memory_mib=2048)
    yield ann.running(session["id"])
    ann.stop_all()


@pytest.fixture
def page(lab: Lab, session: dict[str, Any], window: Any) -> Page:
    """JupyterLab, ready."""
    page: Page = window(lab.person("ann"))
    open_lab(page, lab, session)
    return page


def test_mlflow_opens_from_its_card_is_reused_and_comes_back_when_it_has_died(
    lab: Lab, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    shot(page, "1-launcher")
    expect(card(page, "MLflow UI")).to_have_count(1)
    expect(card(page, "Terminal")).to_have_count(1)
    card(page, "MLflow UI").click()
    tab = page.locator("#apportion-app-mlflow")
    expect(tab).to_contain_text("Starting MLflow UI…")
    shot(page, "2-starting")
    inside = page.frame_locator("#apportion-app-mlflow iframe")
    expect(inside.get_by_text("Experiments").first).to_be_visible(timeout=120_000)
    shot(page, "3-ready")

    def server() -> str:
        return lab.run_in(session["id"], "sh", "-c", "pgrep -of 'mlflow [s]erver' || true")

    first = server()

    menu(page, "File", "New Launcher")
    expect(card(page, "MLflow UI: ready").last).to_be_visible(timeout=30_000)
    card(page, "MLflow UI").last.click()
    expect(tab).to_have_count(1)
    assert server() == first
    with page.context.expect_page() as opened:
        tab.get_by_text("Open in a new tab").click()
    expect(opened.value.get_by_text("Experiments").first).to_be_visible(timeout=60_000)
    opened.value.close()

    # killed, it comes back by itself, and the card says so
    before = server()
    lab.run_in(session["id"], "pkill", "-9", "-f", "mlflow server")
    expect(toast(page, "had ended by itself, and is started again")).to_be_visible(timeout=60_000)
    assert server() not in {"", before}
    expect(inside.get_by_text("Experiments").first).to_be_visible(timeout=120_000)
    shot(page, "4-back")

    tab.get_by_text("Stop", exact=True).click()
    expect(tab).to_contain_text("MLflow UI does not run.", timeout=30_000)
    tab.get_by_role("button", name="Start again").click()
    expect(inside.get_by_text("Experiments").first).to_be_visible(timeout=120_000)


SILENT = "import socket,time; s=socket.create_server(('',9001)); time.sleep(600)"


def test_a_port_is_opened_or_says_why_not(
    lab: Lab, session: dict[str, Any], page: Page, shot: Shot
) -> None:
    (container,) = lab.containers(session["id"])
    container.exec_run(["python3", "-m", "http.server", "9000", "-d", "/tmp"], detach=True)
    container.exec_run(["python3", "-c", SILENT], detach=True)

    def ask(port: str) -> None:
        card(page, "Open a port…").first.click()
        dialog = page.get_by_role("dialog")
        dialog.locator("input").fill(port)
        shot(page, f"ask-{port}")
        dialog.get_by_role("button", name="Open").click()

    ask("99999")
    expect(toast(page, "from 1 to 65535")).to_be_visible()
    ask("9100")
    expect(toast(page, "Nothing listens on port 9100")).to_be_visible(timeout=15_000)
    ask("9001")
    expect(toast(page, "does not answer as a web server")).to_be_visible(timeout=15_000)
    ask("9000")
    frame = page.frame_locator("iframe[title='Port 9000']")
    expect(frame.get_by_text("Directory listing for /")).to_be_visible(timeout=30_000)
    shot(page, "opened")


def test_a_terminal_opens_from_its_card(lab: Lab, session: dict[str, Any], page: Page) -> None:
    card(page, "Terminal").click()
    page.locator(".jp-Terminal .xterm-helper-textarea").wait_for(state="attached")
    page.locator(".jp-Terminal").click()
    page.keyboard.type("echo $((40 + 2)) > /tmp/typed")
    page.keyboard.press("Enter")

    def typed() -> bool:
        return lab.run_in(session["id"], "sh", "-c", "cat /tmp/typed || true") == "42"

    until(typed, what="what was typed has been done")


def test_tensorboard_opens_from_its_card(page: Page, shot: Shot) -> None:
    card(page, "TensorBoard").click()
    inside = page.frame_locator("#apportion-app-tensorboard iframe")
    expect(inside.get_by_text("No dashboards are active")).to_be_visible(timeout=120_000)
    shot(page, "1-ready")


def test_an_app_that_fails_says_why_and_shows_what_it_printed(page: Page, shot: Shot) -> None:
    card(page, "App stuck").click()
    tab = page.locator("#apportion-app-stuck")
    expect(tab.get_by_role("progressbar")).to_be_visible()
    expect(tab).to_contain_text("It has not opened its port in 8 s.", timeout=60_000)
    expect(tab).to_contain_text("It has printed nothing.")
    expect(tab.get_by_role("progressbar")).to_have_count(0)
    shot(page, "1-stuck")
    menu(page, "File", "New Launcher")
    expect(card(page, "App stuck: failed").last).to_be_visible(timeout=30_000)
    card(page, "App crash").last.click()
    tab = page.locator("#apportion-app-crash")
    expect(tab).to_contain_text("App crash has failed: It has ended. no licence", timeout=60_000)
    expect(tab.locator(".apl-log")).to_contain_text("no licence found")
    shot(page, "2-crash")
    tab.get_by_role("button", name="Start again").click()
    expect(tab).to_contain_text("Starting App crash…")
    expect(tab).to_contain_text("no licence", timeout=60_000)


def test_of_two_apps_on_one_port_the_second_says_so(page: Page, shot: Shot) -> None:
    card(page, "App one").click()
    inside = page.frame_locator("#apportion-app-one iframe")
    expect(inside.get_by_text("Directory listing for /")).to_be_visible(timeout=60_000)
    menu(page, "File", "New Launcher")
    card(page, "App two").last.click()
    second = page.locator("#apportion-app-two")
    expect(second).to_contain_text("Port 9500 is used by another program.", timeout=60_000)
    shot(page, "1-taken")
    page.locator(".lm-TabBar-tab", has_text="App one").click()
    page.locator("#apportion-app-one").get_by_text("Stop", exact=True).click()
    page.locator(".lm-TabBar-tab", has_text="App two").click()
    second.get_by_role("button", name="Start again").click()
    inside = page.frame_locator("#apportion-app-two iframe")
    expect(inside.get_by_text("Directory listing for /")).to_be_visible(timeout=60_000)
