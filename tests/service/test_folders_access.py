"""Who may do what with a folder, by role and by invitation, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub_ext.folders.access import Person, mode_of
from hub_ext.site import Site

from .folder_lab import NO_FOLDER, ROOT, FolderLab, folder_lab


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as made:
        yield made


YES, NO, HIDDEN, LATE = "yes", 403, 404, 409
ACTIONS: dict[str, tuple[str, str, Any]] = {
    "see": ("GET", "", None),
    "list files": ("GET", "/files", None),
    "download": ("GET", "/content?path=a", None),
    "clone": ("POST", "/clone", {"name": "mine"}),
    "make directory": ("POST", "/files", {"path": "new"}),
    "rename file": ("PATCH", "/files", {"path": "a", "to": "b"}),
    "upload": ("POST", "/uploads", {"path": "c", "size": 1}),
    "remove file": ("DELETE", "/files?path=a", None),
    "rename": ("PATCH", "", {"name": "other"}),
    "invite": ("POST", "/shares", {"users": ["new"]}),
    "see shares": ("GET", "/shares", None),
    "trash": ("POST", "/trash", None),
    "transfer": ("POST", "/transfer", {"kind": "user", "owner": "new"}),
}
READ = {"see": YES, "list files": YES, "download": YES, "clone": YES}
WRITE = READ | {"make directory": YES, "rename file": YES, "upload": YES}
KEEP = dict.fromkeys(ACTIONS, YES) | {"transfer": NO}
ORDER = {"see": YES, "trash": YES, "transfer": YES}
# whose folder, members_mode, who, and what he may; what is left out: refused, known (403)
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("user", "", "ann", KEEP),
    ("user", "", "root", ORDER),
    ("user", "", "zoe", dict.fromkeys(ACTIONS, HIDDEN)),
    ("user", "", "guest-ro", READ),
    ("user", "", "guest-rw", WRITE),
    ("user", "", "guest-rwd", WRITE | {"remove file": YES, "trash": YES}),
    ("user", "", "guest-pending", dict.fromkeys(ACTIONS, HIDDEN)),
    ("project", "ro", "tess", KEEP),
    ("project", "ro", "tara+course-ml101-instructors", KEEP),
    ("project", "ro", "root", dict.fromkeys(ACTIONS, YES)),
    ("project", "ro", "bob", READ),
    ("project", "ro", "ben+course-ml101", READ),
    ("project", "rw", "bob", WRITE),
    ("project", "rwd", "bob", WRITE | {"remove file": YES, "trash": YES}),
    ("project", "", "bob", dict.fromkeys(ACTIONS, HIDDEN)),
    ("project", "rwd", "ian", dict.fromkeys(ACTIONS, HIDDEN)),
    ("project", "ro", "guest-rw", WRITE),
]


@pytest.mark.parametrize(
    ("kind", "members", "who", "may"), CASES, ids=[f"{c[0]}-{c[1]}-{c[2]}" for c in CASES]
)
async def test_each_may_what_the_table_says_and_no_more(
    lab: FolderLab, kind: str, members: str, who: str, may: dict[str, Any]
) -> None:
    owner = "ann" if kind == "user" else "tess"
    for action, (method, path, body) in ACTIONS.items():
        values = {"project": "ml101", "members_mode": members} if kind == "project" else {}
        name = f"f-{action.replace(' ', '-')}"
        folder = await lab.folder(owner, name, **values)
        await lab.upload(folder, "a", b"bytes", by=owner)
        if who.startswith("guest-"):
            mode = who.removeprefix("guest-")
            if mode == "pending":
                await lab.invite(folder, who, by=owner)
            else:
                await lab.share(folder, who, mode, by=owner)
        if body is not None and "name" in body:
            body = {**body, "name": f"{name}-2"}
        answer = await lab.rest_or_raw(method, f"folders/{folder}{path}", body, by=who)
        expected = may.get(action, NO)
        assert (YES if answer < 300 else answer) == expected, action


async def test_a_strange_folder_is_as_unknown_as_a_missing_one(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    for method, path, body in ACTIONS.values():
        theirs = await lab.rest(method, f"folders/{folder}{path}", body, by="zoe")
        missing = await lab.rest(method, f"folders/{'0' * 32}{path}", body, by="zoe")
        assert theirs == missing
        assert theirs.body == NO_FOLDER


async def test_only_instructors_make_folders_in_a_project(lab: FolderLab) -> None:
    new = {"name": "data", "project": "ml101"}
    assert await lab.status("POST", "folders", new, by="tess") == 201
    assert await lab.status("POST", "folders", {**new, "name": "d2"}, by="root") == 201
    refused = await lab.rest("POST", "folders", new, by="bob")
    assert (refused.status, refused.field) == (403, "project")
    unknown = await lab.rest("POST", "folders", new, by="zoe")
    missing = await lab.rest("POST", "folders", {"name": "data", "project": "nope"}, by="zoe")
    assert unknown.status == missing.status == 400
    message = missing.body["error"]["message"].replace("nope", "ml101")
    assert unknown.body["error"]["message"] == message


async def test_who_is_removed_from_the_project_has_nothing_at_once(lab: FolderLab) -> None:
    folder = await lab.folder("tess", project="ml101")
    assert await lab.names("bob") == ["data"]
    lab.site.projects.roster.remove("ml101", "bob", by=ROOT)
    assert await lab.names("bob") == []
    assert await lab.status("GET", f"folders/{folder}/files", by="bob") == 404


async def test_an_invitation_outlives_the_membership(lab: FolderLab) -> None:
    folder = await lab.folder("tess", project="ml101")
    await lab.share(folder, "bob", "rw", by="tess")
    lab.site.projects.roster.remove("ml101", "bob", by=ROOT)
    seen = await lab.rest("GET", f"folders/{folder}", by="bob")
    assert (seen.body["standing"], seen.body["mode"]) == ("invited", "rw")


async def test_the_better_of_membership_and_invitation_holds(lab: FolderLab) -> None:
    folder = await lab.folder("tess", project="ml101", members_mode="rw")
    await lab.share(folder, "bob", "ro", by="tess")
    seen = await lab.rest("GET", f"folders/{folder}", by="bob")
    assert (seen.body["standing"], seen.body["mode"]) == ("member", "rw")


async def test_folders_of_an_archived_project_rest_until_it_is_restored(lab: FolderLab) -> None:
    folder = await lab.folder("tess", project="ml101")
    await lab.share(folder, "ivy", "rw", by="tess")
    lab.site.projects.archive("ml101", by=ROOT)
    for who in ("tess", "bob", "ivy"):
        assert await lab.names(who) == []
        assert await lab.status("GET", f"folders/{folder}", by=who) == 404
    assert (await lab.rest("GET", f"folders/{folder}")).body["standing"] == "admin"
    assert await lab.status("GET", f"folders/{folder}/files", by="root") == 403
    lab.site.projects.restore("ml101", by=ROOT)
    assert await lab.names("ivy") == ["data"]


async def test_an_admin_gives_a_folder_to_another_owner(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.share(folder, "bob", "rw", by="ann")
    wanted = {"kind": "user", "owner": "bob"}
    given = await lab.rest("POST", f"folders/{folder}/transfer", wanted)
    assert (given.status, given.body["owner"]) == (200, "bob")
    assert await lab.names("ann") == []
    seen = await lab.rest("GET", f"folders/{folder}", by="bob")
    assert (seen.body["standing"], seen.body["shared_with"]) == ("owner", 0)
    taken = await lab.folder("ann")
    again = await lab.rest("POST", f"folders/{taken}/transfer", wanted)
    assert (again.status, again.field) == (409, "name")


async def test_the_list_is_paged_and_filtered(lab: FolderLab) -> None:
    for number in range(5):
        await lab.folder("ann", f"d{number}")
    shared = await lab.folder("bob", "shared")
    await lab.share(shared, "ann", by="bob")
    first = (await lab.rest("GET", "folders?limit=4", by="ann")).body
    rest = (await lab.rest("GET", f"folders?limit=4&after={first['after']}", by="ann")).body
    names = [each["name"] for each in first["folders"] + rest["folders"]]
    assert names == ["d0", "d1", "d2", "d3", "d4", "shared"]
    assert rest["after"] is None
    assert await lab.names("ann", "?shared=1") == ["shared"]
    assert await lab.names("ann", "?owner=user:bob") == ["shared"]
    assert await lab.names("ann", "?state=trash") == []
    wrong = await lab.rest("GET", f"folders?after={'0' * 32}", by="ann")
    assert (wrong.status, wrong.field) == (400, "after")


async def test_all_folders_are_for_admins(lab: FolderLab) -> None:
    await lab.folder("ann", "hers")
    await lab.folder("tess", "course", project="ml101")
    assert await lab.names("root", "?all=1") == ["hers", "course"]
    assert await lab.names("zoe", "?all=1") == []


async def test_a_change_names_its_field_and_is_all_or_nothing(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    await lab.folder("ann", "taken")
    for body, field in [
        ({"name": "taken", "usage": "model"}, "name"),
        ({"name": "../x"}, "name"),
        ({"usage": "fun"}, "usage"),
        ({"members_mode": "rw"}, "members_mode"),
        ({"name": None}, "name"),
        ({"colour": "red"}, "colour"),
    ]:
        answer = await lab.rest("PATCH", f"folders/{folder}", body, by="ann")
        assert answer.status in {400, 409}
        assert answer.field == field
    seen = await lab.rest("GET", f"folders/{folder}", by="ann")
    assert (seen.body["name"], seen.body["usage"]) == ("data", "general")
    changed = await lab.rest(
        "PATCH", f"folders/{folder}", {"name": "set", "usage": "data"}, by="ann"
    )
    assert (changed.body["name"], changed.body["usage"]) == ("set", "data")


async def test_the_home_cannot_be_renamed_shared_or_trashed(lab: FolderLab) -> None:
    await lab.submit("ann")
    listed = (await lab.rest("GET", "folders", by="ann")).body["folders"]
    (home,) = [folder for folder in listed if folder["home"]]
    for method, path, body in [
        ("PATCH", "", {"name": "x"}),
        ("POST", "/trash", {}),
        ("POST", "/shares", {"users": ["bob"]}),
        ("DELETE", "", {"name": ""}),
    ]:
        assert await lab.status(method, f"folders/{home['id']}{path}", body, by="ann") == 409
    assert await lab.status("GET", f"folders/{home['id']}/files", by="ann") == 200
    assert await lab.status("GET", f"folders/{home['id']}/files", by="root") == 403


async def test_mode_of_says_the_same_to_other_parts(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("tess", project="ml101", members_mode="rw")
    with site.database.transaction() as db:
        row = site.folders.get(db, folder)
        assert row is not None
        modes = {
            name: mode_of(db, site.policy, Person(name, admin=name == "root"), row)
            for name in ("tess", "bob", "zoe", "root")
        }
    assert modes == {"tess": "rwd", "bob": "rw", "zoe": None, "root": "rwd"}


async def test_every_change_is_in_the_audit_log(lab: FolderLab) -> None:
    folder = await lab.folder("tess", project="ml101")
    share = await lab.share(folder, "zoe", by="tess")
    await lab.rest("PATCH", f"folders/{folder}", {"name": "set"}, by="tess")
    await lab.rest("DELETE", f"folders/{folder}/shares/{share}", by="tess")
    await lab.rest("POST", f"folders/{folder}/trash", by="tess")
    entries = (await lab.rest("GET", "audit?project=ml101", by="tess")).body["entries"]
    actions = [entry["action"] for entry in entries if entry["action"].startswith("folder.")]
    assert actions[::-1] == [
        "folder.create",
        "folder.invite",
        "folder.accepted",
        "folder.change",
        "folder.stopped",
        "folder.trash",
    ]
    changed = next(entry for entry in entries if entry["action"] == "folder.change")
    assert (changed["before"], changed["after"]) == ({"name": "data"}, {"name": "set"})


async def test_a_folder_that_the_storage_cannot_hold_is_not_made(
    lab: FolderLab, site: Site
) -> None:
    root = site.folders.storage.root
    root.rename(root.with_name("away"))
    refused = await lab.rest("POST", "folders", {"name": "data"}, by="ann")
    assert (refused.status, refused.body["error"]["code"]) == (503, "storage")
    assert await lab.names("ann") == []
    root.with_name("away").rename(root)
    await lab.folder("ann")
