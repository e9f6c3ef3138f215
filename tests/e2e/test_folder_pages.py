"""The pages of folders in a browser: files, sharing, trash, copies, as students use them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page, Route, expect

from tests.e2e.conftest import BASE
from tests.e2e.lab import PASSWORD, SERVICE, Lab, Person, until

PHONE = {"width": 390, "height": 844}
WIDE = {"width": 1280, "height": 900}
PIECE = 8 * 1024 * 1024
Shot = Callable[[Page, str], None]
Window = Callable[[Person], Page]


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


def open_folders(page: Page, lab: Lab) -> None:
    page.goto(f"{lab.url}{SERVICE}/folders")
    expect(page.get_by_role("heading", name="Folders", exact=True)).to_be_visible()


def open_by_name(page: Page, name: str) -> None:
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name, exact=True)).to_be_visible()


def make_folder(person: Person, name: str, **values: Any) -> str:
    answer = person.api.post("/folders", json={"name": name, **values})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def put_file(person: Person, folder_id: str, path: str, content: bytes) -> None:
    """By the API, in one piece."""
    begun = person.api.post(
        f"/folders/{folder_id}/uploads", json={"path": path, "size": len(content)}
    )
    assert begun.status_code == 201, begun.text
    if content:
        headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
        sent = person.api.patch(f"/uploads/{begun.json()['id']}", content=content, headers=headers)
        assert sent.status_code == 204, sent.text


def both_sizes(page: Page, shot: Shot, name: str) -> None:
    """Screenshots on a desk and on a phone; nothing may stick out of the phone's."""
    shot(page, name)
    page.set_viewport_size(PHONE)
    shot(page, f"{name}-phone")
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"], f"{name} is {wide} pixels wide on a phone"
    page.set_viewport_size(WIDE)


def upload_row(page: Page, name: str) -> Locator:
    return page.locator(f'.upload[data-path="{name}"]')


def download(page: Page, name: str, to: Path) -> bytes:
    with page.expect_download() as waiting:
        page.get_by_role("link", name=f"Download {name}", exact=True).click()
    waiting.value.save_as(to)
    return to.read_bytes()


def test_a_large_file_survives_a_lost_connection(
    lab: Lab, window: Window, shot: Shot, tmp_path: Path
) -> None:
    student = lab.person("student")
    page = window(student)
    open_folders(page, lab)
    expect(page.locator("#folders")).to_contain_text("You have no folder")
    both_sizes(page, shot, "1-empty")

    page.locator("#new-folder summary").click()
    page.get_by_label("Name", exact=True).fill("data")
    page.get_by_role("button", name="Create").click()
    expect(page.locator("#said")).to_contain_text("The folder data is made")
    expect(page.locator("#no-files")).to_contain_text("The folder is empty")

    sent = tmp_path / "train.bin"
    sent.write_bytes(os.urandom(30 * 1000 * 1000 + 7))
    pieces: list[str] = []

    def break_some(route: Route) -> None:
        if route.request.method != "PATCH":
            return route.continue_()
        pieces.append(route.request.headers["upload-offset"])
        if len(pieces) in {2, 3, 5}:
            return route.abort("connectionreset")
        return route.continue_()

    page.route("**/api/v1/uploads/*", break_some)
    page.set_input_files("#upload-files", sent)
    row = upload_row(page, "train.bin")
    expect(row).to_contain_text("the connection is lost; trying again", timeout=20_000)
    both_sizes(page, shot, "2-uploading")
    expect(page.locator('#files tr[data-name="train.bin"]')).to_be_visible(timeout=60_000)
    assert pieces == [str(each * PIECE) for each in (0, 1, 1, 1, 2, 2, 3)], "resumed, not repeated"
    page.unroute("**/api/v1/uploads/*")
    both_sizes(page, shot, "3-files")
    assert download(page, "train.bin", tmp_path / "back.bin") == sent.read_bytes()


def test_an_upload_goes_on_after_a_reload_with_the_same_file_only(
    lab: Lab, window: Window, shot: Shot, tmp_path: Path
) -> None:
    student = lab.person("student")
    folder = make_folder(student, "reloaded")
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/folders/{folder}")
    sent, other = tmp_path / "model.pt", tmp_path / "other.pt"
    sent.write_bytes(os.urandom(20 * 1000 * 1000))
    other.write_bytes(b"short")
    page.route(
        "**/api/v1/uploads/*",
        lambda route: (
            route.abort("connectionreset")
            if route.request.headers.get("upload-offset") == str(2 * PIECE)
            else route.continue_()
        ),
    )
    page.set_input_files("#upload-files", sent)
    row = upload_row(page, "model.pt")
    expect(row).to_contain_text("the connection is lost", timeout=20_000)
    page.get_by_role("button", name="Pause model.pt").click()
    expect(row).to_contain_text("paused; 16.0 MiB of 19.1 MiB")
    page.unroute("**/api/v1/uploads/*")

    page.reload()
    expect(row).to_contain_text("not finished; choose the same file again to go on; 16.0 MiB")
    both_sizes(page, shot, "1-unfinished")
    choose = page.get_by_role("button", name="Choose file model.pt")
    with page.expect_file_chooser() as chooser:
        choose.click()
    chooser.value.set_files(other)
    expect(row).to_contain_text("another file")
    with page.expect_file_chooser() as chooser:
        choose.click()
    chooser.value.set_files(sent)
    expect(page.locator('#files tr[data-name="model.pt"]')).to_be_visible(timeout=30_000)
    assert download(page, "model.pt", tmp_path / "back.pt") == sent.read_bytes()


def test_files_are_dropped_renamed_and_deleted_and_directories_made(
    lab: Lab, window: Window, shot: Shot, tmp_path: Path
) -> None:
    student = lab.person("student")
    folder = make_folder(student, "notes")
    hostile = "<script>alert(1)<script> '\"&% 100#.txt"
    put_file(student, folder, hostile, b"kept")
    turned = lab.data / "folders" / folder / "\u202etxt.exe"
    turned.write_text("made by a program in a session")
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/folders/{folder}")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    expect(page.locator("#files")).to_contain_text("<script>alert(1)")
    expect(page.locator("#files")).to_contain_text("this name can be changed in a session only")
    assert download(page, hostile, tmp_path / "back") == b"kept"

    page.locator("#new-directory summary").click()
    page.get_by_label("Name of the directory").fill("week 1")
    page.get_by_role("button", name="Make").click()
    expect(page.locator("#said")).to_contain_text("week 1 is made")
    page.get_by_role("link", name="week 1").click()
    expect(page.get_by_role("heading", name="week 1")).to_be_visible()

    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(name)
    data = page.evaluate_handle(
        """() => {
          const data = new DataTransfer();
          for (const name of ["a.txt", "b.txt"]) data.items.add(new File([name], name));
          return data;
        }"""
    )
    page.dispatch_event("#files", "drop", {"dataTransfer": data})
    expect(page.locator('#files tr[data-name="b.txt"]')).to_be_visible(timeout=10_000)
    page.set_input_files("#upload-files", tmp_path / "a.txt")
    row = upload_row(page, "week 1/a.txt").last
    expect(row).to_contain_text("is there already")
    row.get_by_role("button", name="Cancel").click()

    page.get_by_label("Rename a.txt", exact=True).click()
    page.get_by_label("New name of a.txt").fill("b.txt")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("is there already")
    expect(page.get_by_label("New name of a.txt")).to_have_value("b.txt")
    page.get_by_label("New name of a.txt").fill("z.txt")
    page.keyboard.press("Enter")
    expect(page.locator('#files tr[data-name="z.txt"]')).to_be_visible()
    both_sizes(page, shot, "1-directory")
    page.get_by_label("Delete b.txt", exact=True).click()
    both_sizes(page, shot, "2-delete")
    page.get_by_role("button", name="Delete for good").click()
    expect(page.locator("#said")).to_contain_text("b.txt is deleted")
    listed = student.api.get(f"/folders/{folder}/files", params={"path": "week 1"}).json()
    assert [entry["name"] for entry in listed["entries"]] == ["z.txt"]
    assert dialogs == []


def test_what_does_not_fit_or_has_no_fit_name_is_refused_with_the_reason(
    lab: Lab, window: Window, shot: Shot, tmp_path: Path
) -> None:
    student = lab.person("full")
    folder = make_folder(student, "small")
    limit = lab.admin.api.put("/storage-quotas/user/full", json={"gib": 2 / 1024})
    assert limit.status_code == 200, limit.text
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/folders/{folder}")
    large, odd = tmp_path / "large.bin", tmp_path / "odd\u202e.txt"
    large.write_bytes(bytes(3 * 2**20))
    odd.write_text("x")
    page.set_input_files("#upload-files", [large, odd])
    expect(upload_row(page, "large.bin")).to_contain_text("3 MiB more are above that limit")
    expect(page.locator(".upload", has_text="odd")).to_contain_text("U+202E")
    page.set_input_files("#upload-files", {"name": "ok", "mimeType": "", "buffer": bytes(2**20)})
    expect(page.locator('#files tr[data-name="ok"]')).to_be_visible(timeout=10_000)
    page.reload()
    expect(page.locator(".folder-quota")).to_contain_text("of 2 MiB used")
    both_sizes(page, shot, "1-refused")


def test_many_files_come_in_pages(lab: Lab, window: Window, shot: Shot) -> None:
    student = lab.person("student")
    folder = make_folder(student, "many")
    put_file(student, folder, "000", b"x")
    for number in range(1, 401):
        (lab.data / "folders" / folder / f"{number:03}").touch()
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/folders/{folder}")
    rows = page.locator("#file-table tbody tr")
    expect(rows).to_have_count(200)
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_label("Pages")).to_contain_text("201 to 400 of 401", timeout=20_000)
    page.get_by_role("link", name="Next").click()
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("400")


def test_a_shared_folder_is_accepted_mounted_read_only_and_left(
    lab: Lab, window: Window, shot: Shot
) -> None:
    owner, guest = lab.person("owner"), lab.person("guest")
    folder = make_folder(owner, "shared-set", usage="data")
    put_file(owner, folder, "input.csv", b"1,2")
    mine = window(owner)
    open_folders(mine, lab)
    mine.get_by_role("link", name="Share and settings of shared-set").click()
    mine.get_by_label("User names").fill("guest")
    mine.get_by_role("button", name="Invite").click()
    expect(mine.locator("#said")).to_contain_text("Invited: guest")
    expect(mine.locator("#shares tbody tr")).to_contain_text("invited")

    theirs = window(guest)
    open_folders(theirs, lab)
    expect(theirs.locator("#invitations-badge")).to_contain_text("1")
    expect(theirs.locator("#folders")).to_contain_text("owner invites you to the folder shared-set")
    both_sizes(theirs, shot, "1-invited")
    theirs.get_by_role("button", name="Accept shared-set").click()
    expect(theirs.locator("#said")).to_contain_text("yours to use")
    expect(theirs.locator("#files")).to_contain_text("input.csv")
    expect(theirs.locator("#invitations-badge")).to_have_count(0)
    expect(theirs.get_by_text("Upload files")).to_have_count(0)

    theirs.goto(f"{lab.url}/hub/spawn")
    theirs.wait_for_selector("#launch-form")
    theirs.check("#launch-preset-own", force=True)
    theirs.fill("#launch-fgpu", "0")
    theirs.fill("#launch-cpu", "0.5")
    theirs.fill("#launch-memory_gib", "0.5")
    box = theirs.get_by_role("checkbox", name="shared-set of owner")
    box.check()
    theirs.get_by_label("More about shared-set of owner").click()
    theirs.get_by_label("Mount at").fill("input/set")
    box.scroll_into_view_if_needed()
    both_sizes(theirs, shot, "2-launch")
    theirs.click("form#spawn_form [type=submit]")
    theirs.wait_for_url("**/user/guest/**", timeout=90_000)
    (session,) = guest.live()
    guest.running(session["id"])
    assert lab.run_in(session["id"], "cat", "/home/work/input/set/input.csv") == "1,2"
    written = lab.run_in(session["id"], "sh", "-c", "touch input/set/x 2>&1 || true")
    assert "Read-only file system" in written

    expect(mine.locator("#folder-sessions")).to_contain_text("of guest", timeout=15_000)
    expect(mine.locator("#shares tbody tr")).to_contain_text("accepted", timeout=15_000)
    mine.get_by_label("Stop sharing with guest").click()
    both_sizes(mine, shot, "3-stop")
    mine.keyboard.press("Escape")
    open_folders(theirs, lab)
    both_sizes(theirs, shot, "4-shared-with-me")
    theirs.get_by_role("link", name="Details of shared-set").click()
    theirs.get_by_text("Leave this folder").click()
    both_sizes(theirs, shot, "5-leave")
    theirs.get_by_role("button", name="Leave shared-set").click()
    expect(theirs.locator("#said")).to_contain_text("You have left shared-set")
    expect(theirs.get_by_role("link", name="shared-set", exact=True)).to_have_count(0)
    assert guest.api.get(f"/folders/{folder}").status_code == 404
    expect(mine.locator("#folder-sessions")).to_contain_text("no longer shared", timeout=15_000)
    mine.get_by_role("button", name="Stop the sessions").click()
    expect(mine.locator("#said")).to_contain_text("of guest")
    expect(mine.locator("#folder-sessions")).to_contain_text("stops")
    both_sizes(mine, shot, "6-stopping")
    until(lambda: (guest.session(session["id"])["notice"] or {}).get("code") == "folder")
    guest.stop_all()


def test_a_folder_goes_to_the_trash_comes_back_and_is_deleted_by_its_name(
    lab: Lab, window: Window, shot: Shot
) -> None:
    student = lab.person("trasher")
    folder = make_folder(student, "old")
    put_file(student, folder, "x", b"x" * 1000)
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/folders/{folder}/settings")
    both_sizes(page, shot, "1-settings")
    page.get_by_text("Move to the trash").click()
    page.get_by_role("button", name="Move old to the trash").click()
    expect(page.locator("#said")).to_contain_text("old is in the trash")
    page.get_by_role("link", name="Trash").click()
    both_sizes(page, shot, "2-trash")
    page.get_by_role("button", name="Restore old").click()
    expect(page.locator("#my-folders")).to_contain_text("old")
    listed = student.api.get(f"/folders/{folder}/files").json()
    assert [entry["name"] for entry in listed["entries"]] == ["x"]

    page.goto(f"{lab.url}{SERVICE}/folders/{folder}/settings")
    page.get_by_text("Move to the trash").click()
    page.get_by_role("button", name="Move old to the trash").click()
    page.get_by_role("link", name="Trash").click()
    page.get_by_label("Delete old for good").click()
    typed = page.get_by_label("Nobody can bring it back")
    expect(typed).to_be_focused()
    typed.fill("new")
    page.keyboard.press("Enter")
    expect(page.locator("#problem")).to_contain_text("type its name exactly")
    both_sizes(page, shot, "3-purge")
    typed.fill("old")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("old is being deleted for good")
    until(lambda: student.api.get(f"/folders/{folder}").status_code == 404)
    until(lambda: not (lab.data / "folders" / folder).exists())
    page.reload()
    expect(page.locator("#folders")).to_contain_text("The trash is empty")


def test_a_copy_is_a_folder_of_its_own(lab: Lab, window: Window, shot: Shot) -> None:
    student = lab.person("student")
    folder = make_folder(student, "source")
    put_file(student, folder, "weights", os.urandom(1_000_000))
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/folders/{folder}/settings")
    page.get_by_label("Name of the copy").fill("copy-of-it")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.locator("#said")).to_contain_text("copy-of-it is being filled")
    open_by_name(page, "copy-of-it")
    expect(page.locator('tr[data-name="weights"]')).to_contain_text("977 KiB")


def test_an_instructor_says_what_members_may_do(lab: Lab, window: Window, shot: Shot) -> None:
    teacher, member = lab.person("teacher"), lab.person("member")
    assert lab.admin.api.post("/projects", json={"name": "ml101"}).status_code == 201
    for person, role in ((teacher, "instructor"), (member, "member")):
        body = {"user": person.name, "role": role}
        assert lab.admin.api.post("/projects/ml101/members", json=body).status_code == 201
    page = window(teacher)
    open_folders(page, lab)
    page.locator("#new-folder summary").click()
    page.get_by_label("Name", exact=True).fill("material")
    page.get_by_label("Of", exact=True).select_option("ml101")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("link", name="Share, settings").click()
    page.get_by_label("Members of ml101 may").select_option("rw")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#folder-about")).to_contain_text("read and write")
    both_sizes(page, shot, "1-project-folder")

    theirs = window(member)
    open_folders(theirs, lab)
    expect(theirs.locator("#project-folders")).to_contain_text("read and write")
    theirs.get_by_role("link", name="Details of material").click()
    expect(theirs.get_by_role("button", name="Invite")).to_have_count(0)
    expect(theirs.get_by_text("Move to the trash")).to_have_count(0)


def test_what_is_open_and_typed_stays_while_others_change_what_is_around_it(
    lab: Lab, window: Window
) -> None:
    student = lab.person("student")
    folder = make_folder(student, "busy")
    put_file(student, folder, "b.txt", b"b")
    page = window(student)
    page.goto(f"{lab.url}{SERVICE}/folders/{folder}")
    page.get_by_label("Rename b.txt", exact=True).click()
    typed = page.get_by_label("New name of b.txt")
    typed.fill("half-typed")
    put_file(student, folder, "a.txt", b"a")
    expect(page.locator('#files tr[data-name="a.txt"]')).to_be_visible(timeout=5_000)
    expect(typed).to_be_visible()
    expect(typed).to_have_value("half-typed")
    expect(typed).to_be_focused()

    page.goto(f"{lab.url}{SERVICE}/folders/{folder}/settings")
    page.get_by_label("User names").fill("nobody-yet")
    owner = lab.person("owner")
    shared = {"users": [owner.name], "mode": "ro"}
    assert student.api.post(f"/folders/{folder}/shares", json=shared).status_code == 201
    expect(page.locator("#shares tbody tr")).to_contain_text("invited", timeout=5_000)
    page.get_by_label("What owner may", exact=True).select_option("rwd")
    (share,) = owner.api.get("/invitations").json()["invitations"][-1:]
    theirs = window(owner)
    theirs.goto(f"{lab.url}{SERVICE}/invitations")
    theirs.get_by_role("button", name="Accept busy").click()
    expect(page.locator("#shares tbody tr")).to_contain_text("accepted", timeout=5_000)
    expect(page.get_by_label("What owner may", exact=True)).to_have_value("rwd")
    expect(page.get_by_label("User names")).to_have_value("nobody-yet")
    assert owner.api.get("/invitations").json()["invitations"][-1]["id"] == share["id"]


def test_pages_are_in_the_language_of_their_reader(
    lab: Lab, browser: Browser, shot: Shot, tmp_path: Path
) -> None:
    student = lab.person("nihon")
    context = browser.new_context(locale="ja-JP", viewport=WIDE)
    page = context.new_page()
    page.goto(f"{lab.url}/hub/login?next={SERVICE}/folders")
    page.fill("#username_input", student.name)
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    expect(page.get_by_role("heading", name="フォルダ", exact=True)).to_be_visible()
    page.locator("#new-folder summary").click()
    page.get_by_label("名前", exact=True).fill("data")
    page.get_by_role("button", name="作成").click()
    expect(page.locator("#said")).to_contain_text("フォルダ data を作成しました")
    page.set_input_files("#upload-files", {"name": "a", "mimeType": "", "buffer": b"12345"})
    expect(upload_row(page, "a")).to_contain_text("5 バイト / 5 バイト")
    changed = page.locator('#files tr[data-name="a"] time')
    expect(changed).to_contain_text(re.compile(r"20\d\d/\d\d/\d\d"))
    both_sizes(page, shot, "1-japanese")

    page.locator("#new-directory summary").click()
    page.get_by_label("ディレクトリの名前").fill("a")
    page.get_by_role("button", name="作成").click()
    expect(page.locator("#problem")).to_contain_text("すでにあります")
    page.get_by_label("言語").select_option("en")
    page.get_by_role("button", name="設定").click()
    expect(page.get_by_text("Upload files")).to_be_visible()
    page.goto(f"{lab.url}{SERVICE}/folders")
    expect(page.get_by_role("heading", name="Folders", exact=True)).to_be_visible()
    context.close()


LONG = {"folder": "W" * 64, "file": "長い名前" * 20 + ".csv", "turned": "ملف طويل " * 12 + ".txt"}


def test_pages_of_folders_and_images_are_usable_by_all_also_with_long_names(
    lab: Lab, browser: Browser, shot: Shot
) -> None:
    student, owner = lab.person("reader"), lab.person("n" * 100)
    folder = make_folder(student, LONG["folder"], usage="data")
    for name in (LONG["file"], LONG["turned"], "a" * 250):
        put_file(student, folder, name, b"x")
    trashed = make_folder(student, "old")
    assert student.api.post(f"/folders/{trashed}/trash").status_code == 200
    theirs = make_folder(owner, "x" * 64)
    for person, path in ((owner, theirs), (student, folder)):
        users = [student.name if person is owner else owner.name]
        body = {"users": users, "mode": "rwd"}
        assert person.api.post(f"/folders/{path}/shares", json=body).status_code == 201
    # colours on their way are no colours to judge
    context = browser.new_context(locale="ja-JP", viewport=WIDE, reduced_motion="reduce")
    page = context.new_page()
    page.goto(f"{lab.url}/hub/login?next={SERVICE}/folders")
    page.fill("#username_input", student.name)
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.wait_for_url(f"**{SERVICE}/folders")
    paths = ["folders", "folders?state=trash", f"folders/{folder}", f"folders/{folder}/settings"]
    for number, path in enumerate([*paths, "invitations", "images"]):
        page.goto(f"{lab.url}{SERVICE}/{path}")
        for opened in page.locator("main summary").all()[:1]:
            opened.click()
        both_sizes(page, shot, str(number))
        found = Axe().run(page).response["violations"]
        serious = [each for each in found if each["impact"] in {"serious", "critical"}]
        assert serious == [], [(path, each["id"], each["nodes"][0]["html"]) for each in serious]
    context.close()


def test_folders_work_without_javascript(lab: Lab, browser: Browser, shot: Shot) -> None:
    student = lab.person("plain")
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    page = context.new_page()
    page.goto(f"{lab.url}/hub/login?next={SERVICE}/folders")
    page.fill("#username_input", student.name)
    page.fill("#password_input", PASSWORD)
    page.click("#login_submit")
    page.locator("#new-folder summary").click()
    page.get_by_label("Name", exact=True).fill("plain-data")
    page.get_by_role("button", name="Create").click()
    expect(page.get_by_role("heading", name="plain-data")).to_be_visible()
    page.locator("#new-directory summary").click()
    page.get_by_label("Name of the directory").fill("sub")
    page.get_by_role("button", name="Make").click()
    expect(page.get_by_role("link", name="sub", exact=True)).to_be_visible()
    shot(page, "1-no-javascript-phone")
    page.get_by_role("link", name="Share, settings").click()
    page.get_by_label("Name", exact=True).fill("renamed")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.get_by_label("Name of the copy").fill("renamed")
    page.get_by_role("button", name="Copy", exact=True).click()
    expect(page.get_by_text("You already have a folder")).to_be_visible()
    page.get_by_role("link", name="Back").click()
    expect(page).to_have_url(re.compile("/settings$"))
    context.close()
    names = [folder["name"] for folder in student.api.get("/folders").json()["folders"]]
    assert "renamed" in names


def test_the_pages_of_a_stranger_s_folder_are_not_there(lab: Lab, window: Window) -> None:
    owner, other = lab.person("owner"), lab.person("stranger")
    folder = make_folder(owner, "private")
    page = window(other)
    for path in (folder, f"{folder}/settings", "f" * 32):
        answer = page.goto(f"{lab.url}{SERVICE}/folders/{path}")
        assert answer is not None
        assert answer.status == 404
        expect(page.locator("main")).to_contain_text("There is no such folder.")


def test_folders_are_made_by_keyboard_alone(lab: Lab, window: Window) -> None:
    student = lab.person("keys")
    page = window(student)
    open_folders(page, lab)
    page.locator("#new-folder summary").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()
    page.keyboard.type("by-keys")
    page.keyboard.press("Enter")
    expect(page.locator("#said .alert")).to_be_focused()
    expect(page.get_by_role("heading", name="by-keys")).to_be_visible()
    sessions = {"cpu": 0.5, "memory_mib": 512, "image": BASE, "folders": [{"name": "by-keys"}]}
    (session,) = student.submit(name="user of it", **sessions)
    student.running(session["id"])
    open_folders(page, lab)
    expect(page.locator("#my-folders")).to_contain_text("user of it")
    student.stop_all()
