"""Storage quotas: what counts, what is refused when it is used up; clones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.site import Site

from .folder_lab import FolderLab, folder_lab

GIB = 2**30


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as made:
        yield made


def measured(site: Site, folder: str, size: int) -> None:
    """As if the folder had been measured."""
    with site.database.transaction() as db:
        row = site.folders.get(db, folder)
        assert row is not None
        row.used_bytes, row.used_files = size, 1


def state(site: Site, folder: str) -> str | None:
    with site.database.transaction() as db:
        row: FolderRow | None = site.folders.get(db, folder)
        return row.state if row is not None else None


async def room(lab: FolderLab, by: str) -> dict[str, Any]:
    (own,) = [
        quota
        for quota in (await lab.rest("GET", "folders", by=by)).body["quotas"]
        if quota["kind"] == "user"
    ]
    return dict(own)


async def test_all_folders_of_an_owner_count_together_the_trash_too(
    lab: FolderLab, site: Site
) -> None:
    site.policy = replace(site.policy, user_storage_bytes=4 * GIB)
    one, two = await lab.folder("ann", "one"), await lab.folder("ann", "two")
    measured(site, one, GIB)
    measured(site, two, 2 * GIB)
    await lab.rest("POST", f"folders/{two}/trash", by="ann")
    expected = {"kind": "user", "owner": "ann", "used_bytes": 3 * GIB, "limit_bytes": 4 * GIB}
    assert await room(lab, "ann") == expected
    assert (await lab.rest("GET", f"folders/{one}", by="ann")).body["quota"] == expected
    await lab.share(one, "bob", by="ann")
    assert "quota" not in (await lab.rest("GET", f"folders/{one}", by="bob")).body


async def test_an_admin_sets_changes_and_drops_quotas(lab: FolderLab, site: Site) -> None:
    site.policy = replace(site.policy, user_storage_bytes=GIB)
    path = "storage-quotas/user/ann"
    for limit, stored in [(2.5, int(2.5 * GIB)), (None, None), (0, 0)]:
        put = await lab.rest("PUT", path, {"gib": limit})
        assert (put.status, put.body["limit_bytes"]) == (200, stored)
    listed = await lab.rest("GET", "storage-quotas")
    assert [each["owner"] for each in listed.body["quotas"]] == ["ann"]
    assert listed.body["default_bytes"] == {"user": GIB, "project": None}
    assert (await lab.rest("GET", path, by="ann")).body["limit_bytes"] == 0
    assert (await lab.rest("DELETE", path)).body["limit_bytes"] == GIB
    assert await lab.status("DELETE", path, by="root") == 404
    entries = (await lab.rest("GET", "audit?action=storage_quota.change")).body["entries"]
    assert [entry["subject"] for entry in entries] == ["user:ann"] * 4


async def test_quotas_are_not_for_others(lab: FolderLab) -> None:
    for who, kind, owner, expected in [
        ("ann", "user", "ann", 200),
        ("ann", "user", "bob", 404),
        ("tess", "project", "ml101", 200),
        ("bob", "project", "ml101", 404),
        ("zoe", "project", "nope", 404),
    ]:
        assert await lab.status("GET", f"storage-quotas/{kind}/{owner}", by=who) == expected
    assert await lab.status("GET", "storage-quotas", by="tess") == 403
    assert await lab.status("PUT", "storage-quotas/user/ann", {"gib": 9}, by="ann") == 403
    assert await lab.status("DELETE", "storage-quotas/user/ann", by="ann") == 403
    for body in ({"gib": -1}, {"gib": "many"}, {}, {"gib": 1, "x": 1}):
        answer = await lab.rest("PUT", "storage-quotas/user/ann", body)
        assert answer.status == 400


async def test_a_file_above_the_quota_is_refused_before_it_is_sent(
    lab: FolderLab, site: Site
) -> None:
    site.policy = replace(site.policy, user_storage_bytes=GIB)
    folder = await lab.folder("ann")
    measured(site, folder, GIB - 100)
    uploads = f"folders/{folder}/uploads"
    refused = await lab.rest("POST", uploads, {"path": "a", "size": 101}, by="ann")
    assert (refused.status, refused.field) == (422, "size")
    assert "take 1 GiB of 1 GiB" in refused.body["error"]["message"]
    first = await lab.rest("POST", uploads, {"path": "a", "size": 60}, by="ann")
    assert first.status == 201
    second = {"path": "b", "size": 60}
    assert await lab.status("POST", uploads, second, by="ann") == 422  # the first one counts
    await lab.raw("DELETE", f"uploads/{first.body['id']}", by="ann")
    assert await lab.status("POST", uploads, second, by="ann") == 201


async def test_files_announced_together_keep_to_the_quota(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.rest("PUT", "storage-quotas/user/ann", {"gib": 0.01})
    answers = await asyncio.gather(
        *(
            lab.status(
                "POST", f"folders/{folder}/uploads", {"path": f"f{n}", "size": 4_000_000}, by="ann"
            )
            for n in range(20)
        )
    )
    assert sorted(answers) == [201] * 2 + [422] * 18
    assert (await room(lab, "ann"))["used_bytes"] == 8_000_000


async def test_a_quota_that_shrank_meanwhile_holds_for_the_last_step(
    lab: FolderLab, site: Site
) -> None:
    folder = await lab.folder("ann")
    begun = await lab.rest("POST", f"folders/{folder}/uploads", {"path": "a", "size": 3}, by="ann")
    upload = begun.body["id"]
    await lab.rest("PUT", "storage-quotas/user/ann", {"gib": 0})
    assert (await lab.append(upload, 0, b"abc", by="ann")).code == 422
    listed = await lab.rest("GET", f"folders/{folder}/files", by="ann")
    assert listed.body["entries"] == []
    await lab.rest("DELETE", "storage-quotas/user/ann")
    assert await lab.status("POST", f"uploads/{upload}/finish", {}, by="ann") == 200
    content = await lab.raw("GET", f"folders/{folder}/content?path=a", by="ann")
    assert content.body == b"abc"


async def test_what_is_uploaded_counts_before_it_is_measured(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    measured(site, folder, 1000)
    await lab.upload(folder, "a", b"x" * 500, by="ann")
    assert (await room(lab, "ann"))["used_bytes"] == 1500


async def test_whose_quota_is_used_up_still_reads_and_deletes(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    await lab.upload(folder, "a", b"old", by="ann")
    measured(site, folder, 2 * GIB)
    site.policy = replace(site.policy, user_storage_bytes=GIB)
    content = await lab.raw("GET", f"folders/{folder}/content?path=a", by="ann")
    assert content.body == b"old"
    assert await lab.status("DELETE", f"folders/{folder}/files?path=a", by="ann") == 200


async def test_a_guest_fills_the_owners_quota_not_his_own(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    await lab.share(folder, "bob", "rw", by="ann")
    await lab.rest("PUT", "storage-quotas/user/ann", {"gib": 0})
    refused = await lab.rest(
        "POST", f"folders/{folder}/uploads", {"path": "a", "size": 1}, by="bob"
    )
    assert refused.status == 422
    own = await lab.folder("bob")
    await lab.upload(own, "a", b"x", by="bob")


async def test_the_owner_sees_and_cancels_what_a_guest_announced(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.share(folder, "bob", "rw", by="ann")
    await lab.share(folder, "ivy", "rw", by="ann")
    await lab.rest("PUT", "storage-quotas/user/ann", {"gib": 1})
    path = f"folders/{folder}/uploads"
    begun = await lab.rest("POST", path, {"path": "big", "size": GIB}, by="bob")
    assert begun.status == 201
    (seen,) = (await lab.rest("GET", path, by="ann")).body["uploads"]
    assert (seen["id"], seen["user"], seen["size"]) == (begun.body["id"], "bob", GIB)
    assert (await lab.rest("GET", path, by="ivy")).body["uploads"] == []
    assert await lab.status("GET", path, by="zoe") == 404
    for stranger in ("ivy", "zoe"):
        assert (await lab.raw("DELETE", f"uploads/{seen['id']}", by=stranger)).code == 404
    assert (await lab.raw("DELETE", f"uploads/{seen['id']}", by="ann")).code == 204
    assert (await room(lab, "ann"))["used_bytes"] == 0


@pytest.mark.parametrize("end", ["stop", "leave", "read only"])
async def test_what_a_guest_announced_goes_with_his_right_to_write(
    lab: FolderLab, end: str
) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", "rw", by="ann")
    await lab.rest("PUT", "storage-quotas/user/ann", {"gib": 1})
    begun = await lab.rest(
        "POST", f"folders/{folder}/uploads", {"path": "big", "size": GIB}, by="bob"
    )
    path = f"folders/{folder}/shares/{share}"
    done = {
        "stop": lambda: lab.status("DELETE", path, by="ann"),
        "leave": lambda: lab.status("POST", f"invitations/{share}/leave", {}, by="bob"),
        "read only": lambda: lab.status("PATCH", path, {"mode": "ro"}, by="ann"),
    }[end]
    assert await done() == 200
    assert (await room(lab, "ann"))["used_bytes"] == 0
    assert (await lab.append(begun.body["id"], 0, b"x", by="bob")).code == 404


async def test_a_guest_is_not_told_the_owners_numbers(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    await lab.share(folder, "bob", "rw", by="ann")
    measured(site, folder, 2 * GIB)
    await lab.rest("PUT", "storage-quotas/user/ann", {"gib": 1})
    too_much = {"path": "a", "size": 5}
    wish = {"folders": [{"id": folder, "mode": "rw"}]}
    for path, body in ((f"folders/{folder}/uploads", too_much), ("sessions", wish)):
        told = await lab.rest("POST", path, body, by="ann")
        assert "take 2 GiB of 1 GiB" in told.body["error"]["message"]
        refused = await lab.rest("POST", path, body, by="bob")
        assert refused.status == told.status == 422
        assert "leaves no room" in refused.body["error"]["message"]
        assert "GiB" not in refused.body["error"]["message"]


async def test_a_clone_is_a_folder_of_its_own_when_it_is_whole(lab: FolderLab, site: Site) -> None:
    source = await lab.folder("ann", usage="data")
    await lab.upload(source, "sub/a", b"cloned", by="ann")
    await lab.share(source, "bob", by="ann")
    begun = await lab.rest("POST", f"folders/{source}/clone", {"name": "mine"}, by="bob")
    assert begun.status == 202
    clone, job = begun.body["folder"], begun.body["job"]
    assert (clone["state"], clone["owner"], clone["usage"]) == ("cloning", "bob", "data")
    assert (job["state"], job["source_id"]) == ("running", source)
    assert await lab.status("GET", f"folders/{clone['id']}/files", by="bob") == 409
    await lab.until(lambda: state(site, clone["id"]) == "ready")
    content = await lab.raw("GET", f"folders/{clone['id']}/content?path=sub/a", by="bob")
    assert content.body == b"cloned"
    (done,) = (await lab.rest("GET", f"folders/{clone['id']}/jobs", by="bob")).body["jobs"]
    assert (done["state"], done["files_done"], done["bytes_done"]) == ("done", 1, 6)
    theirs = (await lab.rest("GET", f"folders/{source}/jobs", by="ann")).body["jobs"]
    assert theirs == []  # where bob has put it is his business


async def test_a_clone_goes_where_one_may_make_folders(lab: FolderLab) -> None:
    source = await lab.folder("tess", project="ml101")
    into = {"name": "copy", "project": "ml101"}
    assert await lab.status("POST", f"folders/{source}/clone", into, by="bob") == 403
    foreign = await lab.rest(
        "POST", f"folders/{source}/clone", {**into, "project": "cv202"}, by="tess"
    )
    assert (foreign.status, foreign.field) == (400, "project")
    begun = await lab.rest("POST", f"folders/{source}/clone", into, by="tess")
    assert (begun.status, begun.body["folder"]["kind"]) == (202, "project")
    taken = await lab.rest("POST", f"folders/{source}/clone", into, by="tess")
    assert (taken.status, taken.field) == (409, "name")
    assert await lab.names("bob") == ["data"]  # what is not whole is nothing for members


async def test_a_clone_counts_against_the_target_before_it_starts(
    lab: FolderLab, site: Site
) -> None:
    source = await lab.folder("ann")
    await lab.upload(source, "a", b"x" * 8192, by="ann")
    await lab.share(source, "bob", by="ann")
    site.policy = replace(site.policy, user_storage_bytes=20_000)
    begun = await lab.rest("POST", f"folders/{source}/clone", {"name": "one"}, by="bob")
    assert begun.status == 202, begun.body
    assert (await room(lab, "bob"))["used_bytes"] >= 8192
    refused = await lab.rest("POST", f"folders/{source}/clone", {"name": "two"}, by="bob")
    assert (refused.status, refused.field) == (422, "name")
    assert await lab.names("bob", "?owner=user:bob") == ["one"]
    clone = begun.body["folder"]["id"]
    await lab.until(lambda: state(site, clone) == "ready")
    assert (await room(lab, "bob"))["used_bytes"] >= 8192


async def test_a_cancelled_clone_leaves_nothing_but_its_story(lab: FolderLab, site: Site) -> None:
    source = await lab.folder("ann")
    begun = await lab.rest("POST", f"folders/{source}/clone", {"name": "mine"}, by="ann")
    clone, job = begun.body["folder"]["id"], begun.body["job"]["id"]
    path = f"folders/{clone}/jobs/{job}"
    for who in ("zoe", "root"):
        strange = await lab.rest("DELETE", path, by=who)
        assert strange.body["error"]["message"] == "There is no such job."
    cancelled = await lab.rest("DELETE", path, by="ann")
    assert (cancelled.status, cancelled.body["state"]) == (202, "cancelled")
    assert await lab.status("DELETE", path, by="ann") == 409
    assert await lab.names("ann") == ["data"]
    assert await lab.status("GET", f"folders/{clone}", by="ann") == 404
    (told,) = (await lab.rest("GET", f"folders/{clone}/jobs", by="ann")).body["jobs"]
    assert told["state"] == "cancelled"
    with site.database.transaction() as db:
        row = db.get(FolderJobRow, job)
        assert row is not None
        assert row.ended_at is not None
