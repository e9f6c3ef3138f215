"""Files of folders over HTTP: names that mean harm, downloads in ranges, uploads in pieces."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest
from tornado.httpclient import AsyncHTTPClient

from hub_ext.site import Site

from .folder_lab import FolderLab, folder_lab


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FolderLab]:
    async with folder_lab(site, monkeypatch) as made:
        yield made


HOSTILE = [
    "",
    ".",
    "..",
    "../x",
    "../../etc/passwd",
    "a/../../x",
    "/etc/passwd",
    "//etc/passwd",
    "..\\x",
    "~",
    "~root",
    "a\x00b",
    "a\nb",
    "a\rb",
    "a\tb",
    "\x1b[31mred",
    "\u202egnp.exe",
    "\u200b",
    "\u2215etc\u2215passwd",
    "\uff0e\uff0e/x",
    "\uff0fetc",
    "%2e%2e%2fx",
    "{}",
    "{username}",
    "{0.__class__}",
    "${HOME}",
    "$(id)",
    "`id`",
    "-rf",
    "; rm -rf /",
    "a" * 65,
    "a" * 300,
    "a/" * 3000,
    "CON",
    "/dev/sda",
    "..dots",
    ".jupyter",
    "<script>",
    "' OR 1=1 --",
    "\ud7ff",
]
PLAIN_NAMES = {"-rf", "CON"}
"""Harmless, and allowed as a folder's name."""


PLACES = {"-rf", "CON", "..dots", ".jupyter"}
"""Harmless as a place in one's own home."""
MERE_NAMES = PLACES | {
    *("", "..\\x", "~", "~root", "\uff0e\uff0e/x", "%2e%2e%2fx", "a" * 65, "\ud7ff"),
    *("{}", "{username}", "{0.__class__}", "${HOME}", "$(id)", "`id`", "; rm -rf /"),
    *("<script>", "' OR 1=1 --"),
}
"""Names of a directory in the folder like any other; "" is the folder."""


def everything(root: Path) -> set[str]:
    """All that lies in and beside the storage root."""
    return {str(path) for path in root.parent.rglob("*") if "sqlite" not in path.name}


@pytest.mark.parametrize("name", HOSTILE, ids=lambda name: ascii(name)[:24])
async def test_a_hostile_folder_name_is_refused_or_harmless(
    lab: FolderLab, site: Site, name: str
) -> None:
    before = everything(site.folders.storage.root)
    made = await lab.rest("POST", "folders", {"name": name}, by="ann")
    if name in PLAIN_NAMES:
        assert made.status == 201
        directory = site.folders.storage.path(made.body["id"])
        assert everything(site.folders.storage.root) - before == {str(directory)}
        return
    assert (made.status, made.field) == (400, "name")
    folder = await lab.folder("ann")
    for path, body in [
        (f"folders/{folder}", {"name": name}),
        (f"folders/{folder}/clone", {"name": name}),
    ]:
        method = "PATCH" if path.endswith(folder) else "POST"
        refused = await lab.rest(method, path, body, by="ann")
        assert (refused.status, refused.field) == (400, "name")
    launch = await lab.rest("POST", "sessions", {"new_folders": [name]}, by="ann")
    assert launch.status == 400
    assert await lab.names("ann") == ["data"]


@pytest.mark.parametrize("path", HOSTILE, ids=lambda path: ascii(path)[:24])
async def test_a_hostile_path_is_refused_or_stays_in_its_folder(
    lab: FolderLab, site: Site, path: str
) -> None:
    folder = await lab.folder("ann")
    root = site.folders.storage.root
    before = everything(root)
    answers = [
        await lab.rest("POST", f"folders/{folder}/files", {"path": path}, by="ann"),
        await lab.rest("POST", f"folders/{folder}/uploads", {"path": path, "size": 0}, by="ann"),
        await lab.rest("PATCH", f"folders/{folder}/files", {"path": path, "to": "to"}, by="ann"),
        await lab.rest("DELETE", f"folders/{folder}/files?path={quote(path)}", by="ann"),
    ]
    for answer in answers:
        assert answer.status in {200, 201, 400, 404, 409}, answer.body
        if answer.status == 400:
            assert answer.field in {"path", "to", "parents"}
            assert answer.body["error"]["message"].isprintable()
    inside = f"{site.folders.storage.path(folder)}/"
    left = {each for each in everything(root) - before if not each.startswith(inside)}
    assert all(Path(each).name.startswith(".purge-") for each in left)


@pytest.mark.parametrize("where", ["target", "subpath"])
async def test_a_hostile_alias_or_sub_path_is_refused_or_stays_below_the_home(
    lab: FolderLab, site: Site, where: str
) -> None:
    await lab.folder("ann")
    before = everything(site.folders.storage.root)
    accepted = []
    for number, hostile in enumerate(HOSTILE):
        mount = {"name": "data", "target": f"place-{number}", where: hostile}
        body = {"folders": [mount], "name": f"s{number}"}
        answer = await lab.rest("POST", "sessions", body, by="ann")
        if answer.status == 201:
            (session,) = answer.body["sessions"]
            target = next(each["target"] for each in session["folders"] if each["name"] == "data")
            assert target.startswith("/home/work/")
            assert ".." not in target.split("/")
            accepted.append(hostile)
            continue
        assert (answer.status, answer.field.partition(".")[0]) in {
            (400, "folders"),
            (400, "subpath"),
        }, (hostile, answer.body)
        assert answer.body["error"]["message"].isprintable()
    assert set(accepted) == (PLACES if where == "target" else MERE_NAMES)
    assert everything(site.folders.storage.root) == before


@pytest.mark.parametrize("plan", ["link", "link/inner", "link/inner/passwd"])
async def test_a_planted_symlink_leads_nowhere(
    lab: FolderLab, site: Site, tmp_path: Path, plan: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "inner").mkdir(parents=True)
    (outside / "inner" / "passwd").write_text("secret")
    folder = await lab.folder("ann")
    (site.folders.storage.path(folder) / "link").symlink_to(outside)
    for method, path, body in [
        ("GET", f"files?path={plan}", None),
        ("GET", f"content?path={plan}", None),
        ("POST", "files", {"path": f"{plan}/new"}),
        ("POST", "uploads", {"path": f"{plan}/new", "size": 0}),
        ("PATCH", "files", {"path": f"{plan}/x", "to": "y"}),
        ("DELETE", f"files?path={plan}/x", None),
    ]:
        answer = await lab.rest(method, f"folders/{folder}/{path}", body, by="ann")
        assert answer.status in {400, 404}, (method, path, answer)
        assert "secret" not in json.dumps(answer.body)
    assert sorted(os.listdir(outside / "inner")) == ["passwd"]
    removed = await lab.status("DELETE", f"folders/{folder}/files?path=link", by="ann")
    assert removed == 200
    assert (outside / "inner" / "passwd").read_text() == "secret"


async def test_directories_are_listed_in_pages_and_changed(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    files = f"folders/{folder}/files"
    for name in ("b", "a", "c"):
        await lab.upload(folder, f"sub dir/{name}", b"12", by="ann")
    assert await lab.status("POST", files, {"path": "x/y"}, by="ann") == 404
    assert await lab.status("POST", files, {"path": "x/y", "parents": True}, by="ann") == 201
    top = (await lab.rest("GET", files, by="ann")).body
    assert [(each["name"], each["type"]) for each in top["entries"]] == [
        ("sub dir", "directory"),
        ("x", "directory"),
    ]
    first = (await lab.rest("GET", f"{files}?path=sub%20dir&limit=2", by="ann")).body
    assert ([each["name"] for each in first["entries"]], first["after"]) == (["a", "b"], 2)
    rest = (await lab.rest("GET", f"{files}?path=sub%20dir&limit=2&after=2", by="ann")).body
    assert ([each["name"] for each in rest["entries"]], rest["after"]) == (["c"], None)
    move = {"path": "sub dir/a", "to": "x/a"}
    assert await lab.status("PATCH", files, move, by="ann") == 200
    await lab.upload(folder, "sub dir/a", b"", by="ann")
    over = await lab.rest("PATCH", files, move, by="ann")
    assert over.status == 409
    assert await lab.status("DELETE", f"{files}?path=x", by="ann") == 200
    assert await lab.status("GET", f"{files}?path=x", by="ann") == 404


async def test_a_download_is_an_attachment_and_comes_in_ranges(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    name = '<b>ü ; "x".html'
    await lab.upload(folder, name, b"0123456789", by="ann")
    path = f"folders/{folder}/content?path={quote(name)}"
    whole = await lab.raw("GET", path, by="ann")
    assert (whole.code, whole.body) == (200, b"0123456789")
    assert whole.headers["Content-Type"] == "application/octet-stream"
    shown = whole.headers["Content-Disposition"]
    assert shown == f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    head = await lab.raw("HEAD", path, by="ann")
    assert (head.headers["Content-Length"], head.headers["Accept-Ranges"]) == ("10", "bytes")
    for wanted, body, told in [
        ("bytes=0-3", b"0123", "bytes 0-3/10"),
        ("bytes=4-", b"456789", "bytes 4-9/10"),
        ("bytes=-2", b"89", "bytes 8-9/10"),
        ("bytes=8-99", b"89", "bytes 8-9/10"),
    ]:
        part = await lab.raw("GET", path, by="ann", Range=wanted)
        assert (part.code, part.body, part.headers["Content-Range"]) == (206, body, told)
    beyond = await lab.raw("GET", path, by="ann", Range="bytes=10-")
    assert (beyond.code, beyond.headers["Content-Range"]) == (416, "bytes */10")
    for ignored in ("bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=-"):
        assert (await lab.raw("GET", path, by="ann", Range=ignored)).code == 200
    tag = whole.headers["Etag"]
    assert (await lab.raw("GET", path, by="ann", If_None_Match=tag)).code == 304
    changed = await lab.raw("GET", path, by="ann", Range="bytes=0-3", If_Range='"other"')
    assert (changed.code, changed.body) == (200, b"0123456789")


async def test_only_files_are_downloaded(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    await lab.rest("POST", f"folders/{folder}/files", {"path": "dir"}, by="ann")
    os.mkfifo(site.folders.storage.path(folder) / "fifo")
    for name in ("dir", "fifo", "nothing"):
        answer = await lab.raw("GET", f"folders/{folder}/content?path={name}", by="ann")
        assert answer.code in {400, 404}
        assert json.loads(answer.body)["error"]["field"] == "path"


async def test_a_large_download_arrives_whole(lab: FolderLab, site: Site) -> None:
    folder = await lab.folder("ann")
    content = os.urandom(3_000_001)
    (site.folders.storage.path(folder) / "big").write_bytes(content)
    answer = await lab.raw("GET", f"folders/{folder}/content?path=big", by="ann")
    assert answer.body == content


async def test_an_upload_goes_on_where_it_broke_off(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    content = os.urandom(300_000)
    new = {"path": "sub/file", "size": len(content)}
    begun = await lab.rest("POST", f"folders/{folder}/uploads", new, by="ann")
    upload = begun.body["id"]
    first = await lab.append(upload, 0, content[:100_000], by="ann")
    assert (first.code, first.headers["Upload-Offset"]) == (204, "100000")
    wrong = await lab.append(upload, 50_000, content[50_000:], by="ann")
    assert (wrong.code, json.loads(wrong.body)["error"]["offset"]) == (409, 100_000)
    assert (await lab.rest("GET", f"folders/{folder}/files", by="ann")).body["entries"] == []
    head = await lab.raw("HEAD", f"uploads/{upload}", by="ann")
    assert (head.headers["Upload-Offset"], head.headers["Upload-Length"]) == ("100000", "300000")
    last = await lab.append(upload, 100_000, content[100_000:], by="ann")
    assert last.headers["Upload-Offset"] == "300000"
    stored = await lab.raw("GET", f"folders/{folder}/content?path=sub/file", by="ann")
    assert stored.body == content
    assert (await lab.raw("HEAD", f"uploads/{upload}", by="ann")).code == 404


async def test_a_client_of_tus_needs_nothing_else(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    uploads = f"folders/{folder}/uploads"
    about = await lab.raw("OPTIONS", uploads, by="ann")
    assert (about.code, about.headers["Tus-Version"]) == (204, "1.0.0")
    name = base64.b64encode("grüße.txt".encode()).decode()
    begun = await lab.raw(
        "POST",
        uploads,
        by="ann",
        Tus_Resumable="1.0.0",
        Upload_Length="5",
        Upload_Metadata=f"filename {name},filetype dGV4dA==",
    )
    assert begun.code == 201
    location = begun.headers["Location"]
    assert location.startswith("/services/apportion/api/v1/uploads/")
    host = lab.rest.base.removesuffix("/services/apportion/")
    sent = await AsyncHTTPClient().fetch(
        host + location,
        method="PATCH",
        headers={
            "Authorization": "token ann",
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": "0",
        },
        body=b"hello",
    )
    assert (sent.code, sent.headers["Tus-Resumable"]) == (204, "1.0.0")
    stored = await lab.raw("GET", f"folders/{folder}/content?path={quote('grüße.txt')}", by="ann")
    assert stored.body == b"hello"


async def test_a_body_larger_than_the_servers_limit_streams_through(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    size = 110 * 1024 * 1024  # tornado itself refuses bodies above 100 MiB
    new = {"path": "big", "size": size}
    begun = await lab.rest("POST", f"folders/{folder}/uploads", new, by="ann")
    sent = await lab.append(begun.body["id"], 0, bytes(size), by="ann")
    assert (sent.code, sent.headers["Upload-Offset"]) == (204, str(size))


async def test_what_is_in_the_way_is_kept_unless_it_may_be_replaced(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    uploads = f"folders/{folder}/uploads"
    await lab.upload(folder, "a", b"old", by="ann")
    refused = await lab.rest("POST", uploads, {"path": "a", "size": 3}, by="ann")
    assert (refused.status, refused.field) == (409, "path")
    over = {"path": "a", "size": 3, "overwrite": True}
    begun = await lab.rest("POST", uploads, over, by="ann")
    assert (await lab.append(begun.body["id"], 0, b"new", by="ann")).code == 204
    stored = await lab.raw("GET", f"folders/{folder}/content?path=a", by="ann")
    assert stored.body == b"new"

    begun = await lab.rest("POST", uploads, {"path": "b", "size": 3}, by="ann")
    await lab.upload(folder, "b", b"other", by="ann")
    late = await lab.append(begun.body["id"], 0, b"mine", by="ann")
    assert late.code == 400  # one byte too many
    assert (await lab.append(begun.body["id"], 0, b"min", by="ann")).code == 409
    await lab.rest("DELETE", f"folders/{folder}/files?path=b", by="ann")
    finished = await lab.rest("POST", f"uploads/{begun.body['id']}/finish", by="ann")
    assert (finished.status, finished.body["done"]) == (200, True)


async def test_an_upload_is_its_users_alone_and_ends_with_his_right(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    share = await lab.share(folder, "bob", "rw", by="ann")
    new = {"path": "a", "size": 3}
    upload = (await lab.rest("POST", f"folders/{folder}/uploads", new, by="bob")).body["id"]
    for who in ("ann", "zoe", "root"):
        assert (await lab.append(upload, 0, b"abc", by=who)).code == 404
    assert (await lab.raw("DELETE", f"uploads/{upload}", by="zoe")).code == 404
    await lab.rest("PATCH", f"folders/{folder}/shares/{share}", {"mode": "ro"}, by="ann")
    assert (await lab.append(upload, 0, b"abc", by="bob")).code == 404
    assert (await lab.raw("DELETE", f"uploads/{upload}", by="bob")).code == 404


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content_Type": "text/plain", "Upload_Offset": "0"}, 415),
        ({"Content_Type": "application/offset+octet-stream"}, 400),
        ({"Content_Type": "application/offset+octet-stream", "Upload_Offset": "-1"}, 400),
        ({"Content_Type": "application/offset+octet-stream", "Upload_Offset": "x"}, 400),
    ],
)
async def test_bytes_that_are_not_announced_rightly_are_refused(
    lab: FolderLab, headers: dict[str, str], status: int
) -> None:
    folder = await lab.folder("ann")
    new = {"path": "a", "size": 3}
    upload = (await lab.rest("POST", f"folders/{folder}/uploads", new, by="ann")).body["id"]
    kept = {**headers, "Connection": "keep-alive"}
    answer = await lab.raw("PATCH", f"uploads/{upload}", by="ann", body=b"abc", **kept)
    assert answer.code == status
    assert answer.headers["Connection"] == "close"  # its body was not read: no request may follow
    assert json.loads(answer.body)["error"]["message"]
    assert (await lab.rest("GET", f"uploads/{upload}", by="ann")).body["offset"] == 0


async def test_bad_announcements_name_their_field(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    uploads = f"folders/{folder}/uploads"
    for body, field in [
        ({"path": "a"}, "size"),
        ({"path": "a", "size": -1}, "size"),
        ({"path": "a", "size": "1"}, "size"),
        ({"path": "a", "size": 2**60}, "size"),
        ({"path": "a", "size": 1, "x": 1}, "x"),
    ]:
        answer = await lab.rest("POST", uploads, body, by="ann")
        assert (answer.status, answer.field) == (400, field)
    tus = await lab.raw(
        "POST", uploads, by="ann", Upload_Length="1", Upload_Metadata="filename %%%"
    )
    assert (tus.code, json.loads(tus.body)["error"]["field"]) == (400, "filename")


async def test_json_bodies_keep_their_limit(lab: FolderLab) -> None:
    folder = await lab.folder("ann")
    answer = await lab.rest("POST", f"folders/{folder}/files", {"path": "x" * (1 << 20)}, by="ann")
    assert (answer.status, answer.field) == (400, "body")


async def test_whose_right_ends_while_he_sends_puts_nothing_in_its_place(
    lab: FolderLab, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = await lab.folder("tess", project="ml101", members_mode="rw")
    new = {"path": "late", "size": 5}
    begun = await lab.rest("POST", f"folders/{folder}/uploads", new, by="bob")
    really = site.uploads.append

    async def append_and_lose(upload_id: str, user: str, offset: int, piece: bytes) -> int:
        reached = await really(upload_id, user, offset, piece)
        change = {"members_mode": "ro"}
        assert await lab.status("PATCH", f"folders/{folder}", change, by="tess") == 200
        return reached

    monkeypatch.setattr(site.uploads, "append", append_and_lose)
    assert (await lab.append(begun.body["id"], 0, b"hello", by="bob")).code == 403
    listed = await lab.rest("GET", f"folders/{folder}/files", by="tess")
    assert listed.body["entries"] == []
