"""What sessions mount: chosen at launch, checked again at each start, let go of in the end."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub_ext.folders.storage_root import MARKER
from hub_ext.sessions.culler import Culler
from hub_ext.sessions.launcher import Launcher
from hub_ext.sessions.status import Status
from hub_ext.sessions.store import Why
from hub_ext.site import Site

from .folder_lab import ROOT, SPAWNER, FolderLab, folder_lab


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as made:
        yield made


def mounted(grant: dict[str, Any]) -> dict[str, bool]:
    """By target, whether it is read-only; the home left out."""
    mounts = [mount for mount in grant["mounts"] if mount["target"] != "/home/work"]
    return {mount["target"]: mount["read_only"] for mount in mounts}


async def refused(lab: FolderLab, by: str, *folders: dict[str, Any], **values: Any) -> str:
    """The sentence of a refusal, the same in the dry run; nothing is stored."""
    body = {"folders": list(folders), **values}
    answer = await lab.rest("POST", "sessions", body, by=by)
    dry = await lab.rest("POST", "dry-run", body, by=by)
    assert answer.status in {400, 422}
    assert dry == answer
    assert answer.field.startswith(("folders", "new_folders", "subpath"))
    assert lab.site.store.find(user=by) == []
    return str(answer.body["error"]["message"])


async def stand(lab: FolderLab, session: str) -> tuple[str, str]:
    """Status and reason."""
    row = lab.site.store.get(session)
    return row.status, row.reason_message


async def test_the_best_mode_one_has_is_the_default(lab: FolderLab) -> None:
    await lab.folder("ann", "own")
    await lab.folder("tess", "course", project="ml101")
    shared = await lab.folder("zoe", "shared")
    await lab.share(shared, "bob", "rwd", by="zoe")
    grant = await lab.run(await lab.submit("bob", {"name": "course"}, {"name": "shared"}))
    assert mounted(grant) == {"/home/work/course": True, "/home/work/shared": False}
    grant = await lab.run(await lab.submit("tess", {"name": "course"}))
    assert mounted(grant) == {"/home/work/course": False}
    grant = await lab.run(await lab.submit("ann", {"name": "own", "mode": "ro"}))
    assert mounted(grant) == {"/home/work/own": True}


async def test_writing_to_what_one_may_only_read_is_refused_by_name(lab: FolderLab) -> None:
    await lab.folder("tess", "course", project="ml101")
    said = await refused(lab, "bob", {"name": "course", "mode": "rw"})
    assert said == "You may only read project:ml101/course; mount it with mode ro."


async def test_what_one_may_not_read_is_as_unknown_as_what_is_missing(lab: FolderLab) -> None:
    folder = await lab.folder("ann", "secret")
    await lab.folder("tess", "hidden", project="ml101", members_mode="")
    trashed = await lab.folder("bob", "gone")
    await lab.rest("POST", f"folders/{trashed}/trash", by="bob")
    missing = await refused(lab, "bob", {"name": "nothing"})
    for name in ("secret", "hidden", "gone"):
        assert (await refused(lab, "bob", {"name": name})).replace(name, "nothing") == missing
    named = {"name": "secret", "of": "user:ann"}
    nobodys = {"name": "secret", "of": "user:xyz"}
    said = (await refused(lab, "bob", named)).replace("ann", "xyz")
    assert said == await refused(lab, "bob", nobodys)
    by_id = await refused(lab, "bob", {"id": folder})
    assert by_id.replace(folder, "0" * 32) == await refused(lab, "bob", {"id": "0" * 32})
    assert (await refused(lab, "root", {"id": folder})) == by_id


async def test_own_folders_come_first_and_others_must_be_told_apart(lab: FolderLab) -> None:
    first, second = await lab.folder("ann"), await lab.folder("zoe")
    await lab.share(first, "bob", by="ann")
    await lab.share(second, "bob", "rw", by="zoe")
    said = await refused(lab, "bob", {"name": "data"})
    assert (
        said == "Several folders are called 'data': of user:ann, user:zoe. Say which one by 'of'."
    )
    both = [{"name": "data", "of": "user:ann"}, {"id": second, "target": "theirs"}]
    grant = await lab.run(await lab.submit("bob", *both, name="both"))
    assert mounted(grant) == {"/home/work/data": True, "/home/work/theirs": False}
    own = await lab.folder("bob")
    grant = await lab.run(await lab.submit("bob", {"name": "data"}, name="own"))
    assert str(lab.site.folders.storage.path(own)) in {each["source"] for each in grant["mounts"]}


@pytest.mark.parametrize(
    ("mount", "words"),
    [
        ({}, "by 'name' or by 'id'"),
        ({"name": "data", "id": "0" * 32}, "by 'name' or by 'id'"),
        ({"id": "0" * 32, "of": "user:ann"}, "goes with 'name'"),
        ({"name": "data", "of": "ann"}, "of"),
        ({"name": "data", "mode": "rwd"}, "mode"),
        ({"name": "data", "target": "/etc"}, "no place to mount"),
        ({"name": "data", "target": "/home/work"}, "no place to mount"),
        ({"name": "data", "target": "/home/work/../x"}, "no place to mount"),
        ({"name": "data", "target": "a/../../b"}, "no place to mount"),
        ({"name": "data", "target": "a//b"}, "no place to mount"),
        ({"name": "data", "target": "{username}"}, "no place to mount"),
        ({"name": "data", "target": "a\nb"}, "target"),
        ({"name": "data", "subpath": "../other"}, "not a name"),
        ({"name": "data", "subpath": "/etc"}, "absolute"),
        ({"name": "data", "subpath": "a\x00b"}, "U+0000"),
        ({"name": "data", "subpath": "a\u2215b"}, "looks like a separator"),
        ({"name": "data", "subpath": "my set"}, "Give 'data/my set' a target"),
        ({"name": ""}, "no folder"),
        ({"name": ".."}, "no folder"),
    ],
)
async def test_a_mount_that_makes_no_sense_names_its_fault(
    lab: FolderLab, mount: dict[str, Any], words: str
) -> None:
    await lab.folder("ann")
    assert words in await refused(lab, "ann", mount)


async def test_no_two_folders_share_a_place_nor_lie_in_one_another(lab: FolderLab) -> None:
    await lab.folder("ann", "one")
    await lab.folder("ann", "two")
    same = await refused(lab, "ann", {"name": "one"}, {"name": "two", "target": "one"})
    assert "cannot both be mounted at /home/work/one" in same
    inside = await refused(lab, "ann", {"name": "one"}, {"name": "two", "target": "one/two"})
    assert "inside 'one'" in inside
    beside = await lab.submit("ann", {"name": "one"}, {"name": "two", "target": "one-more/two"})
    assert len(mounted(await lab.run(beside))) == 2


async def test_dot_folders_are_mounted_for_their_owner_only(lab: FolderLab) -> None:
    dots = await lab.folder("ann", ".local")
    await lab.share(dots, "bob", "rw", by="ann")
    assert mounted(await lab.run(await lab.submit("ann"))) == {"/home/work/.local": False}
    assert "dot-folder of your own" in await refused(lab, "bob", {"name": ".local"})
    assert mounted(await lab.run(await lab.submit("bob"))) == {}
    chosen = await lab.submit("bob", {"name": ".local", "target": "anns"}, name="b")
    assert mounted(await lab.run(chosen)) == {"/home/work/anns": False}


async def test_new_folders_are_made_for_the_session_but_not_by_a_dry_run(lab: FolderLab) -> None:
    body = {"new_folders": ["fresh"]}
    assert await lab.status("POST", "dry-run", body, by="ann") == 200
    assert await lab.names("ann") == []
    session = await lab.submit("ann", new_folders=["fresh"])
    assert mounted(await lab.run(session)) == {"/home/work/fresh": False}
    assert await lab.names("ann") == ["fresh"]


needs_mounts = pytest.mark.skipif(os.geteuid() != 0, reason="bind mounts are for root")


@needs_mounts
async def test_a_directory_of_a_folder_is_mounted_alone(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    await lab.upload(folder, "sets/one/file", b"inside", by="ann")
    wish = {"name": "data", "subpath": "sets/one", "mode": "ro"}
    session = await lab.submit("ann", wish)
    try:
        grant = await lab.run(session)
        assert mounted(grant) == {"/home/work/data/sets/one": True}
        source = next(each["source"] for each in grant["mounts"] if each["read_only"])
        assert (Path(source) / "file").read_bytes() == b"inside"
        assert str(site.folders.storage.path(folder)) not in source
    finally:
        await site.subpath_mounts.remove(session)


@needs_mounts
async def test_a_symlink_in_the_way_of_a_subpath_ends_the_session(
    lab: FolderLab, site: Site, tmp_path: Path
) -> None:
    folder = await lab.folder("ann")
    (site.folders.storage.path(folder) / "way").symlink_to(tmp_path)
    session = await lab.submit("ann", {"name": "data", "subpath": "way", "mode": "ro"})
    taken = await lab.take_over(session)
    assert (taken["status"], taken["grant"]) == ("ERROR", None)
    assert "'way' of the folder user:ann/data cannot be mounted" in taken["reason"]["message"]
    assert str(tmp_path) not in taken["reason"]["message"]


async def test_a_share_that_ends_while_the_session_waits_ends_it(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", by="ann")
    session = await lab.submit("bob", {"name": "data"})
    await lab.rest("DELETE", f"folders/{folder}/shares/{share}", by="ann")
    taken = await lab.take_over(session)
    assert (taken["status"], taken["grant"]) == ("ERROR", None)
    assert taken["reason"]["code"] == "folder"
    assert "can no longer mount the folder user:ann/data" in taken["reason"]["message"]


async def test_what_nobody_asked_to_write_to_is_mounted_as_it_may_be_now(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", "rw", by="ann")
    by_default = await lab.submit("bob", {"name": "data"}, name="a")
    by_name = await lab.submit("bob", {"name": "data", "mode": "rw"}, name="b")
    await lab.rest("PATCH", f"folders/{folder}/shares/{share}", {"mode": "ro"}, by="ann")
    assert mounted(await lab.run(by_default)) == {"/home/work/data": True}
    await lab.take_over(by_name)
    status, reason = await stand(lab, by_name)
    assert (status, "may now only read the folder user:ann/data" in reason) == ("ERROR", True)


async def test_a_dot_folder_that_has_gone_meanwhile_is_left_out(lab: FolderLab) -> None:
    folder = await lab.folder("ann", ".local")
    session = await lab.submit("ann")
    await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    assert mounted(await lab.run(session)) == {}


async def test_a_restart_is_checked_as_a_start_is(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("tess", "course", project="ml101")
    session = await lab.submit("bob", {"name": "course"})
    await lab.run(session)
    site.projects.roster.remove("ml101", "bob", by=ROOT)
    assert (await stand(lab, session))[0] == "RUNNING"
    site.store.transition(session, Status.SCHEDULED, Why("again"), by="service")
    taken = await lab.rest("GET", f"spawner/sessions/{session}/wait", by=SPAWNER)
    assert taken.body["status"] == "ERROR"
    assert await lab.status("GET", f"folders/{folder}", by="bob") == 404


async def test_groups_of_the_hub_count_at_submission_and_at_the_start(lab: FolderLab) -> None:
    await lab.folder("tess", "course", project="ml101")
    request = {
        "user": "gus",
        "server_name": "",
        "groups": ["course-ml101"],
        "options": {"folders": [{"name": "course"}]},
    }
    answer = await lab.rest("POST", "spawner/requests", request, by=SPAWNER)
    assert answer.status == 200, answer.body
    session = answer.body["id"]
    again = await lab.rest("POST", "spawner/requests", {**request, "groups": []}, by=SPAWNER)
    assert again.body["id"] == session
    taken = await lab.take_over(session)
    assert taken["status"] == "ERROR"  # the hub said last that he is in no group any more
    answer = await lab.rest("POST", "spawner/requests", request, by=SPAWNER)
    assert mounted((await lab.take_over(answer.body["id"]))["grant"]) == {"/home/work/course": True}


async def test_an_admin_who_launches_for_somebody_lends_him_no_folder(lab: FolderLab) -> None:
    await lab.folder("tess", "course", project="ml101")
    body = {"user": "zoe", "folders": [{"name": "course"}]}
    answer = await lab.rest("POST", "sessions", body)
    assert (answer.status, answer.field) == (400, "folders")
    assert await lab.status("POST", "sessions", {**body, "user": "bob"}, by="root") == 201


async def test_a_storage_that_is_not_there_ends_a_start_and_makes_nothing(
    lab: FolderLab, site: Site
) -> None:
    await lab.folder("ann")
    session = await lab.submit("ann", {"name": "data"})
    root = site.folders.storage.root
    root.rename(root.with_name("away"))
    root.mkdir()
    taken = await lab.take_over(session)
    assert (taken["status"], taken["reason"]["code"]) == ("ERROR", "storage")
    assert "is it mounted?" in taken["reason"]["message"]
    assert list(root.iterdir()) == []
    assert (root.with_name("away") / MARKER).exists()


async def test_a_directory_that_is_lost_is_not_made_again_empty(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    shutil.rmtree(site.folders.storage.path(folder))
    taken = await lab.take_over(await lab.submit("ann", {"name": "data"}))
    assert taken["status"] == "ERROR"
    assert "missing from the storage" in taken["reason"]["message"]
    assert not site.folders.storage.path(folder).exists()


async def test_a_stopped_share_names_the_sessions_that_still_hold_it(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", by="ann")
    session = await lab.submit("bob", {"name": "data"}, name="lab")
    await lab.run(session)
    before = await lab.rest("GET", f"folders/{folder}", by="ann")
    assert [each["revoked"] for each in before.body["sessions"]] == [False]
    assert [each["id"] for each in (await one(lab, folder, "bob"))["sessions"]] == [session]
    stopped = await lab.rest("DELETE", f"folders/{folder}/shares/{share}", by="ann")
    assert [each["id"] for each in stopped.body["sessions"]] == [session]
    assert "lab of bob keeps the folder (ro) until it ends" in stopped.body["warnings"][0]
    after = await one(lab, folder, "ann")
    assert [(each["id"], each["revoked"]) for each in after["sessions"]] == [(session, True)]
    assert (await stand(lab, session))[0] == "RUNNING"
    late = f"folders/{folder}/revoked-sessions"
    assert await lab.status("DELETE", late, by="bob") == 404
    assert "is being stopped" in (await lab.rest("DELETE", late, by="ann")).body["warnings"][0]
    seen = (await lab.rest("GET", f"sessions/{session}", by="bob")).body
    assert seen["notice"]["code"] == "folder"


async def test_what_is_in_the_trash_was_not_taken_from_its_owner(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.run(await lab.submit("ann", {"name": "data"}))
    await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    assert [each["revoked"] for each in (await one(lab, folder, "ann"))["sessions"]] == [False]


async def one(lab: FolderLab, folder: str, by: str) -> dict[str, Any]:
    return dict((await lab.rest("GET", f"folders/{folder}", by=by)).body)


async def test_sessions_that_hold_a_stopped_share_are_stopped_after_a_warning(
    lab: FolderLab, site: Site
) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", by="ann")
    session, other = (
        await lab.submit("bob", {"name": "data"}, name="lab"),
        await lab.submit("bob", name="other"),
    )
    await lab.run(session)
    await lab.run(other)
    path = f"folders/{folder}/shares/{share}?stop_sessions=1"
    stopped = await lab.rest("DELETE", path, by="ann")
    assert "lab of bob is being stopped" in stopped.body["warnings"][0]
    seen = (await lab.rest("GET", f"sessions/{session}", by="bob")).body
    assert seen["notice"]["code"] == "folder"
    assert seen["notice"]["stops_at"] == pytest.approx(time.time() + 600, abs=60)
    assert "user:ann/data" in seen["notice"]["message"]
    culler = Culler(site, Launcher(site))
    culler.once()
    assert (await stand(lab, session))[0] == "RUNNING"

    with site.database.transaction() as db:
        row = site.store.get(session)
        row = db.merge(row)
        row.stops_at = time.time() - 1
        row.mounts = [{**mount, "until": mount["until"] and row.stops_at} for mount in row.mounts]
    culler.once()
    assert (await stand(lab, session))[0] == "TERMINATING"
    assert (await stand(lab, other))[0] == "RUNNING"


async def test_who_still_reads_by_his_project_is_not_stopped(lab: FolderLab) -> None:
    folder = await lab.folder("tess", "course", project="ml101")
    share = await lab.share(folder, "bob", "ro", by="tess")
    session = await lab.submit("bob", {"name": "course"})
    await lab.run(session)
    path = f"folders/{folder}/shares/{share}?stop_sessions=1"
    assert (await lab.rest("DELETE", path, by="tess")).body["sessions"] == []
    assert (await lab.rest("GET", f"sessions/{session}", by="bob")).body["notice"] is None


async def test_a_warning_of_an_earlier_end_stays(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", by="ann")
    session = await lab.submit("bob", {"name": "data"}, lifetime_s=60)
    await lab.run(session)
    culler = Culler(site, Launcher(site))
    culler.once()
    path = f"folders/{folder}/shares/{share}?stop_sessions=1"
    await lab.rest("DELETE", path, by="ann")
    assert site.store.get(session).notice_code == "lifetime"


async def test_with_the_quota_used_up_nothing_new_is_mounted_to_write(
    lab: FolderLab, site: Site
) -> None:
    folder = await lab.folder("ann")
    await lab.folder("ann", ".local")
    with site.database.transaction() as db:
        row = site.folders.get(db, folder)
        assert row is not None
        row.used_bytes = 2 * 2**30
    site.policy = replace(site.policy, user_storage_bytes=2**30)
    said = await refused(lab, "ann", {"name": "data"})
    assert said == (
        "The folders of ann take 2 GiB of 1 GiB. Free some space, or mount 'data' read-only"
        " (mode ro)."
    )
    await refused(lab, "ann", new_folders=["more"])
    grant = await lab.run(await lab.submit("ann", {"name": "data", "mode": "ro"}))
    assert mounted(grant) == {"/home/work/data": True, "/home/work/.local": False}
