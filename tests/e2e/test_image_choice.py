"""Choosing an image in the launch form: families, versions, search, and a name typed by hand."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable, Iterator

import docker
import pytest
from playwright.sync_api import Browser, Page, ViewportSize, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import PASSWORD, Lab, Person

PHONE: ViewportSize = {"width": 390, "height": 844}
MARK = uuid.uuid4().hex[:8]
"""In the names of this run's images: others may be on the machine."""
SHELF = f"apportion-shelf-{MARK}"
ROBOTS = f"Robots {MARK}"
PLAIN = f"{SHELF}/unlabelled:latest"


def label(name: str, **labels: str) -> str:
    """A Dockerfile for an image of the catalogue; nothing but labels on top of the base."""
    facts = {"family": name, "title": f"{name.title()} {MARK}", **labels}
    lines = [
        f'LABEL org.apportion.{key.replace("_", "-")}="{value}"' for key, value in facts.items()
    ]
    return "\n".join([f"FROM {BASE}", *lines])


def dockerfiles() -> dict[str, str]:
    robots = {
        "description": "Arms & <b>legs</b>.",
        "framework": "ROS 2",
        "min_memory": "1536",
        "min_fgpu": "0.5",
    }
    found = {
        f"{SHELF}/robots:{version}": label("robots", version=version, **robots)
        for version in ("2.9", "2.15", "2.15-cpu")
    }
    for number in range(8):
        found[f"{SHELF}/course{number}:1"] = label(f"course{number}", version="1")
    found[PLAIN] = f"FROM {BASE}\nLABEL org.apportion.image=0"
    return found


@pytest.fixture(scope="module")
def shelf() -> Iterator[None]:
    """Ten families and one image without labels."""
    client = docker.from_env()
    for reference, dockerfile in dockerfiles().items():
        client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=reference, rm=True)
    yield
    for reference in dockerfiles():
        client.images.remove(reference, force=True)
    client.close()


@pytest.fixture(scope="module")
def lab(shelf: None, make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


def open_form(page: Page, lab: Lab) -> None:
    """The hub's spawn page, with little of everything."""
    page.goto(f"{lab.url}/hub/spawn")
    page.wait_for_selector("#launch-form")
    page.check("#launch-preset-own", force=True)
    page.fill("#launch-fgpu", "0.5")
    page.fill("#launch-cpu", "0.5")
    page.fill("#launch-memory_gib", "1")


def versions(page: Page) -> list[str]:
    return page.locator("#launch-version option").all_inner_texts()


def test_a_family_is_found_described_and_started_in_its_newest_version(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("student")
    page = window(student)
    open_form(page, lab)
    expect(page.locator("#launch-family option")).not_to_have_count(0)
    shot(page, "0-form")

    page.get_by_label("Search").press_sequentially(f"robots {MARK} ros")
    expect(page.get_by_text("One image has these words.")).to_be_visible()
    expect(page.locator("#launch-family option")).to_have_text([ROBOTS])
    assert versions(page) == ["2.15", "2.15-cpu", "2.9"]
    about = page.locator("#launch-image-about")
    expect(about).to_contain_text("Arms & <b>legs</b>.")
    expect(about).to_contain_text("ROS 2")
    expect(about).to_contain_text("GiB · needs at least 0.5 fGPU, 1.5 GiB of memory")
    wrong = page.locator("#launch-memory_gib-error")
    expect(wrong).to_contain_text("needs at least 1536 MiB of memory, not 1024", timeout=10_000)
    shot(page, "1-found")
    page.get_by_label("Search").press("Enter")
    assert "/hub/spawn" in page.url
    page.set_viewport_size(PHONE)
    page.locator("#launch-image-row").scroll_into_view_if_needed()
    shot(page, "2-found-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]

    page.fill("#launch-memory_gib", "1.5")
    expect(page.locator("#launch-forecast")).to_contain_text("Starts now", timeout=10_000)
    page.locator("#launch-version").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#launch-version")).to_have_value(f"{SHELF}/robots:2.9")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/user/student/**", timeout=90_000)
    (session,) = student.live()
    assert session["image"] == f"{SHELF}/robots:2.9"
    student.stop_all()

    page.set_viewport_size({"width": 1280, "height": 900})
    open_form(page, lab)
    assert page.locator("#launch-family option").first.inner_text() == ROBOTS
    assert versions(page) == ["2.9", "2.15", "2.15-cpu"]
    shot(page, "3-last-used-first")


def test_words_that_no_image_has_change_nothing(lab: Lab, window: Callable[[Person], Page]) -> None:
    page = window(lab.person("searcher"))
    open_form(page, lab)
    before = page.locator("#launch-image").input_value()

    page.get_by_label("Search").fill("no such words")

    expect(page.get_by_text("No image has these words.")).to_be_visible()
    assert page.locator("#launch-image").input_value() == before


def test_an_image_without_labels_is_among_the_others(
    lab: Lab, window: Callable[[Person], Page]
) -> None:
    page = window(lab.person("plain"))
    open_form(page, lab)

    page.select_option("#launch-family", label="Others")

    assert PLAIN in versions(page)
    page.select_option("#launch-version", label=PLAIN)
    assert page.locator("#launch-image").input_value() == PLAIN


def test_a_name_typed_by_hand_is_what_starts_and_a_wrong_one_is_told(
    lab: Lab, window: Callable[[Person], Page], shot: Callable[[Page, str], None]
) -> None:
    typist = lab.person("typist")
    page = window(typist)
    open_form(page, lab)
    page.get_by_text("Another one, by its full name").click()
    page.get_by_label("Full name of the image").fill("nowhere/image:1")
    wrong = page.locator("#launch-image_by_name-error")
    expect(wrong).to_contain_text("There is no image 'nowhere/image:1'", timeout=10_000)
    shot(page, "1-wrong")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_selector(".spawn-error-msg")
    field = page.get_by_label("Full name of the image")
    expect(field).to_be_visible()
    expect(field).to_have_value("nowhere/image:1")

    field.fill(PLAIN.removesuffix(":latest"))
    expect(page.locator("#launch-image-about")).to_contain_text("typed below, is what starts")
    expect(page.locator("#launch-forecast")).to_contain_text("Starts now", timeout=10_000)
    shot(page, "2-typed")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/user/typist/**", timeout=90_000)
    (session,) = typist.live()
    assert session["image"] == PLAIN
    typist.stop_all()


def test_without_javascript_one_list_has_all_and_minima_are_refused_in_words(
    lab: Lab, browser: Browser, shot: Callable[[Page, str], None]
) -> None:
    student = lab.person("quiet")
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(f"{lab.url}/hub/login?next=/hub/spawn")
    page.fill("#username_input", student.name)
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.get_by_text("What they are").click()
    expect(page.locator("#launch-image-list")).to_contain_text("ROS 2 · ")
    shot(page, "1-no-javascript-phone")
    page.check("#launch-preset-own", force=True)
    page.select_option("#launch-image", f"{SHELF}/robots:2.15")
    page.fill("#launch-memory_gib", "1")
    page.click("form#spawn_form [type=submit]")
    expect(page.locator(".spawn-error-msg")).to_contain_text("needs at least 1536 MiB of memory")

    page.check("#launch-preset-own", force=True)
    page.get_by_text("Another one, by its full name").click()
    page.fill("#launch-image_by_name", PLAIN)
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/hub/spawn-pending/**", timeout=30_000)
    (session,) = student.live()
    context.close()

    assert session["image"] == PLAIN
    student.stop_all()
