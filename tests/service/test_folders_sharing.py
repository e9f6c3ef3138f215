"""Invitations: asked, accepted, changed, left and stopped, and who wins when two act at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub_ext.db.models import ProjectRow
from hub_ext.errors import Conflict
from hub_ext.folders import sharing
from hub_ext.folders.sharing import ShareState
from hub_ext.site import Site
from hub_ext.web.navigation import invitations_waiting

from .folder_lab import ROOT, FolderLab, folder_lab


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as made:
        yield made


async def box(lab: FolderLab, by: str, query: str = "") -> list[dict[str, Any]]:
    answer = await lab.rest("GET", f"invitations{query}", by=by)
    assert answer.status == 200, answer.body
    return list(answer.body["invitations"])


async def test_a_student_reads_an_instructor_writes_and_a_guest_comes_and_goes(
    lab: FolderLab,
) -> None:
    folder = await lab.folder("tess", "material", project="ml101")
    await lab.upload(folder, "lesson.txt", b"one", by="tess")
    content = f"folders/{folder}/content?path=lesson.txt"
    assert (await lab.raw("GET", content, by="bob")).body == b"one"
    assert await lab.status("POST", f"folders/{folder}/files", {"path": "x"}, by="bob") == 403

    invited = await lab.invite(folder, "ivy", by="tess")
    assert await lab.names("ivy") == []
    assert (await lab.raw("GET", content, by="ivy")).code == 404
    (seen,) = await box(lab, "ivy")
    assert (seen["folder"]["owner"], seen["mode"], seen["invited_by"]) == ("ml101", "ro", "tess")

    assert await lab.status("POST", f"invitations/{invited}/accept", {}, by="ivy") == 200
    assert await lab.names("ivy") == ["material"]
    assert (await lab.raw("GET", content, by="ivy")).body == b"one"
    assert await lab.status("POST", f"invitations/{invited}/leave", {}, by="ivy") == 200
    assert await lab.names("ivy") == []
    assert (await lab.raw("GET", content, by="ivy")).code == 404


async def test_only_keepers_invite_and_nobody_himself(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.share(folder, "bob", "rwd", by="ann")
    shares = f"folders/{folder}/shares"
    assert await lab.status("POST", shares, {"users": ["ivy"]}, by="bob") == 403
    assert await lab.status("POST", shares, {"users": ["ivy"]}, by="root") == 403
    assert await lab.status("POST", shares, {"users": ["ivy"]}, by="zoe") == 404
    for users in (["ann"], ["ivy", "ivy"], [], [""], ["a b"], ["a\x00"], ["x" * 300]):
        refused = await lab.rest("POST", shares, {"users": users}, by="ann")
        assert refused.status == 400
        assert refused.field.startswith("users")
    assert (await lab.rest("POST", shares, {"users": ["i"], "mode": "x"}, by="ann")).field == "mode"


async def test_inviting_reveals_nothing_about_a_name(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    shares = f"folders/{folder}/shares"
    known = await lab.rest("POST", shares, {"users": ["bob"]}, by="ann")
    unknown = await lab.rest("POST", shares, {"users": ["no-such-user"]}, by="ann")
    assert known.status == unknown.status == 201
    assert known.body["shares"][0].keys() == unknown.body["shares"][0].keys()
    assert known.body["warnings"] == unknown.body["warnings"] == []
    capital = await lab.rest("POST", shares, {"users": ["Bob"]}, by="ann")
    assert "lower case" in capital.body["warnings"][0]


async def test_of_many_invitations_all_are_made_or_none(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.invite(folder, "bob", by="ann")
    body = {"users": ["ivy", "bob"]}
    refused = await lab.rest("POST", f"folders/{folder}/shares", body, by="ann")
    assert refused.status == 409
    assert "bob is invited already" in refused.body["error"]["message"]
    assert await box(lab, "ivy") == []


@pytest.mark.parametrize("end", ["reject", "cancel", "leave", "stop"])
async def test_after_the_end_one_may_be_invited_again(lab: FolderLab, end: str) -> None:
    folder = await lab.folder("ann")
    make = lab.share if end in {"leave", "stop"} else lab.invite
    first = await make(folder, "bob", by="ann")
    if end in {"reject", "leave"}:
        path, method, by = f"invitations/{first}/{end}", "POST", "bob"
    else:
        path, method, by = f"folders/{folder}/shares/{first}", "DELETE", "ann"
    assert await lab.status(method, path, {}, by=by) == 200
    assert await lab.status(method, path, {}, by=by) == 409
    assert await lab.names("bob") == []
    await lab.share(folder, "bob", by="ann")
    assert await lab.names("bob") == ["data"]
    (ended,) = await box(lab, "bob", "?ended=1")
    states = {"reject": "rejected", "cancel": "cancelled", "leave": "left", "stop": "stopped"}
    assert (ended["id"], ended["state"]) == (first, states[end])


async def test_a_changed_mode_holds_at_once(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", "ro", by="ann")
    path, new = f"folders/{folder}/shares/{share}", {"path": "x"}
    assert await lab.status("POST", f"folders/{folder}/files", new, by="bob") == 403
    assert await lab.status("PATCH", path, {"mode": "rw"}, by="bob") == 403
    assert await lab.status("PATCH", path, {"mode": "rw"}, by="ann") == 200
    assert await lab.status("POST", f"folders/{folder}/files", new, by="bob") == 201
    await lab.rest("DELETE", path, by="ann")
    assert await lab.status("PATCH", path, {"mode": "ro"}, by="ann") == 409


async def test_both_lists_tell_and_are_paged(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    for number in range(5):
        await lab.invite(folder, f"user{number}", by="ann")
    sent = await lab.rest("GET", "invitations?box=sent&limit=3", by="ann")
    rest = await lab.rest(
        "GET", f"invitations?box=sent&limit=3&after={sent.body['after']}", by="ann"
    )
    users = [each["user"] for each in sent.body["invitations"] + rest.body["invitations"]]
    assert users == [f"user{number}" for number in range(5)]
    assert rest.body["after"] is None
    assert [each["user"] for each in await box(lab, "user3")] == ["user3"]
    shares = await lab.rest("GET", f"folders/{folder}/shares", by="ann")
    assert [each["state"] for each in shares.body["shares"]] == ["pending"] * 5
    assert (await lab.rest("GET", "invitations?box=x", by="ann")).field == "box"
    foreign = await lab.rest("GET", f"invitations?after={sent.body['after']}", by="zoe")
    missing = await lab.rest("GET", f"invitations?after={'0' * 32}", by="zoe")
    assert foreign == missing


async def test_an_invitation_of_somebody_else_is_as_unknown_as_a_missing_one(
    lab: FolderLab,
) -> None:
    folder = await lab.folder("ann")
    invited = await lab.invite(folder, "bob", by="ann")
    for who in ("zoe", "ann", "root"):
        for answer in ("accept", "reject", "leave"):
            theirs = await lab.rest("POST", f"invitations/{invited}/{answer}", {}, by=who)
            missing = await lab.rest("POST", f"invitations/{'0' * 32}/{answer}", {}, by=who)
            assert theirs == missing
            assert theirs.status == 404
    other = await lab.folder("zoe")
    assert await lab.status("DELETE", f"folders/{other}/shares/{invited}", by="zoe") == 404


async def test_a_folder_in_the_trash_takes_its_invitations_along_and_back(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    invited = await lab.invite(folder, "bob", by="ann")
    await lab.share(folder, "ivy", by="ann")
    await lab.rest("POST", f"folders/{folder}/trash", by="ann")
    assert await box(lab, "bob") == []
    assert await lab.status("POST", f"invitations/{invited}/accept", {}, by="bob") == 404
    assert await lab.names("ivy") == []
    await lab.rest("POST", f"folders/{folder}/restore", {}, by="ann")
    assert await lab.status("POST", f"invitations/{invited}/accept", {}, by="bob") == 200
    assert await lab.names("ivy") == ["data"]


async def test_of_accept_and_cancel_at_once_exactly_one_wins(lab: FolderLab) -> None:
    for number in range(10):
        folder = await lab.folder("ann", f"d{number}")
        invited = await lab.invite(folder, "bob", by="ann")
        accept, cancel, again = await asyncio.gather(
            lab.status("POST", f"invitations/{invited}/accept", {}, by="bob"),
            lab.status("DELETE", f"folders/{folder}/shares/{invited}", by="ann"),
            lab.status("POST", f"invitations/{invited}/reject", {}, by="bob"),
        )
        shares = (await lab.rest("GET", f"folders/{folder}/shares", by="ann")).body["shares"]
        # A cancel that comes after the acceptance stops the share: both are right then.
        assert sorted([accept, cancel, again]) in ([200, 409, 409], [200, 200, 409])
        assert (accept, again) != (200, 200)
        assert bool(shares) == (accept == 200 and cancel != 200)


async def test_a_step_from_a_stale_row_loses(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    invited = await lab.invite(folder, "bob", by="ann")
    with site.database.transaction() as db:
        stale = sharing.of_folder_one(db, folder, invited)
        db.expunge(stale)
    await lab.rest("POST", f"invitations/{invited}/accept", {}, by="bob")
    with site.database.transaction() as db:
        db.add(stale)
        with pytest.raises(Conflict, match="is accepted"):
            sharing.step(db, stale, ShareState.CANCELLED, by="ann")
    assert await lab.names("bob") == ["data"]


async def test_two_invitations_of_one_name_at_once_make_one(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    body = {"users": ["bob"]}
    answers = await asyncio.gather(
        *(lab.status("POST", f"folders/{folder}/shares", body, by="ann") for _ in range(5))
    )
    assert sorted(answers) == [201, 409, 409, 409, 409]


async def test_who_may_no_longer_share_a_folder_learns_nothing_of_its_invitations(
    lab: FolderLab, site: Site
) -> None:
    own = await lab.folder("tess", "own")
    exam = await lab.folder("tess", "exam", project="ml101")
    for folder in (own, exam):
        await lab.invite(folder, "zoe", by="tess")
    assert len(await box(lab, "tess", "?box=sent")) == 2
    site.projects.roster.remove("ml101", "tess", by=ROOT)
    (left,) = await box(lab, "tess", "?box=sent")
    assert left["folder"]["id"] == own


async def test_invitations_to_folders_of_an_archived_project_rest(
    lab: FolderLab, site: Site
) -> None:
    exam = await lab.folder("tess", "exam", project="ml101")
    invited = await lab.invite(exam, "zoe", by="tess")

    def waiting() -> int:
        with site.database.transaction() as db:
            return invitations_waiting(db, "zoe")

    def archive(when: float | None) -> None:
        with site.database.transaction() as db:
            db.get_one(ProjectRow, "ml101").archived_at = when

    assert waiting() == 1
    archive(1.0)
    assert await box(lab, "zoe") == []
    assert await box(lab, "tess", "?box=sent") == []
    assert waiting() == 0
    accept = f"invitations/{invited}/accept"
    assert await lab.status("POST", accept, {}, by="zoe") == 404
    archive(None)
    assert await lab.status("POST", accept, {}, by="zoe") == 200
