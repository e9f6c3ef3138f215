"""Pages and forms of folders as HTTP, without a browser."""

from __future__ import annotations

import re
import time
import uuid
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.folders.catalogue import find
from hub_ext.folders.file_process import Progress
from hub_ext.site import Site
from tests.service.rest_client import RestClient, serving


async def ask(
    client: RestClient, path: str, by: str, *, headers: dict[str, str] | None = None, **fields: str
) -> HTTPResponse:
    """A page, or with ``fields`` a form as a browser without script sends it."""
    return await AsyncHTTPClient().fetch(
        client.base + path,
        method="POST" if fields else "GET",
        body=urlencode(fields) if fields else None,
        headers={"Authorization": f"token {by}", **(headers or {})},
        follow_redirects=False,
        raise_error=False,
    )


async def made(client: RestClient, name: str, by: str) -> str:
    answer = await client("POST", "folders", {"name": name}, by=by)
    assert answer.status == 201
    return str(answer.body["id"])


def begin_copy(site: Site, source: str, user: str) -> tuple[str, str]:
    """A copy that nobody works on: ids of the folder and of the job."""
    job = FolderJobRow(
        id=uuid.uuid4().hex,
        kind="clone",
        folder_id=uuid.uuid4().hex,
        source_id=source,
        user=user,
        state="running",
        bytes_done=3 * 2**20,
        bytes_total=4 * 2**20,
        files_done=7,
        started_at=time.time(),
    )
    folder = FolderRow(
        id=job.folder_id,
        kind="user",
        owner=user,
        name="copy",
        created_at=time.time(),
        state="cloning",
    )
    with site.database.transaction() as db:
        db.add_all([job, folder])
    return job.folder_id, job.id


async def test_a_copy_shows_how_far_it_is_until_it_is_cancelled(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(site, monkeypatch) as client:
        source = await made(client, "data", "ann")
        folder, job = begin_copy(site, source, "ann")
        page = (await ask(client, "folders/list", "ann")).body.decode()
        assert 'aria-valuenow="75.0"' in page
        assert "copying: 3 MiB of 4 MiB, 7 files" in page
        assert "every 1s" in page
        theirs = await ask(client, f"folders/{folder}/jobs/{job}/cancel", "bob", x="1")
        assert theirs.code == 404

        answer = await ask(client, f"folders/{folder}/jobs/{job}/cancel", "ann", x="1")
        assert answer.code == 303
        page = (await ask(client, "folders/list", "ann")).body.decode()
    assert "copying" not in page
    assert "every 60s" in page
    with site.database.transaction() as db:
        assert find(db, "user", "ann", "copy") is None


async def test_how_far_a_copy_is_is_no_news_for_all_open_pages(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[frozenset[str]] = []
    async with serving(site, monkeypatch) as client:
        source = await made(client, "data", "ann")
        _, job = begin_copy(site, source, "ann")
        site.database.changed_tables.listen(told.append)
        site.folder_jobs._note_progress(job, Progress(2**21, 5, 2**22, 9))
        page = (await ask(client, "folders/list", "ann")).body.decode()
        assert "copying: 2 MiB of 4 MiB, 5 files" in page
        assert told == []
        await ask(client, "folders/new", "ann", name="more", usage="general")
    assert told


async def test_a_piece_of_an_upload_is_no_news_for_all_open_pages(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[frozenset[str]] = []
    async with serving(site, monkeypatch) as client:
        folder = await made(client, "data", "ann")
        path = f"folders/{folder}/uploads"
        upload = await client("POST", path, {"path": "a.bin", "size": 8}, by="ann")
        site.database.changed_tables.listen(told.append)
        assert await site.uploads.append(upload.body["id"], "ann", 0, b"piece") == 5
        assert told == []
        await site.uploads.append(upload.body["id"], "ann", 5, b"end")
        assert (
            await client("POST", f"uploads/{upload.body['id']}/finish", {}, by="ann")
        ).status < 300
    assert told


async def test_a_page_without_script_says_that_its_times_are_utc_and_speaks_to_its_reader(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(site, monkeypatch) as client:
        folder = await made(client, "data", "ann")
        asked = {"Accept-Language": "ja-JP, en;q=0.5"}
        page = (await ask(client, f"folders/{folder}/settings", "ann", headers=asked)).body.decode()
        same = {"name": "data", "usage": "general"}
        refused = await ask(client, "folders/new", "ann", headers=asked, **same)
        english = await ask(client, "folders/new", "ann", **same)
        by_api = await client("POST", "folders", {"name": "data"}, by="ann")
    assert '<html lang="ja">' in page
    assert re.search(r"<time datetime=[^>]+>20[^<]+ UTC</time>", page)
    assert "すでにフォルダ「data」があります。" in refused.body.decode()
    assert "You already have a folder &#39;data&#39;." in english.body.decode()
    assert by_api.body["error"]["message"] == "You already have a folder 'data'."


async def test_a_refused_form_says_why_and_leads_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(site, monkeypatch) as client:
        await made(client, "data", "ann")
        again = {"name": "data", "usage": "general"}
        page = await ask(client, "folders/new", "ann", **again)
        script = await ask(client, "folders/new", "ann", headers={"HX-Request": "true"}, **again)
        missing = await ask(client, "folders/new", "ann", usage="general")
        reloaded = await ask(client, "folders/new", "ann")
    assert page.code == script.code == 409
    assert "You already have a folder" in page.body.decode()
    assert 'href="/services/apportion/folders"' in page.body.decode()
    assert b'"code": "conflict"' in script.body
    assert missing.code == 400
    assert reloaded.code == 302
    assert reloaded.headers["Location"] == "/services/apportion/folders"


@pytest.mark.parametrize(
    "referer",
    ["https://evil.example/", "//evil.example/services/apportion/folders/new", "", "javascript:1"],
)
async def test_no_form_leads_to_another_site(
    site: Site, monkeypatch: pytest.MonkeyPatch, referer: str
) -> None:
    async with serving(site, monkeypatch) as client:
        folder = await made(client, "data", "ann")
        answer = await ask(
            client,
            f"folders/{folder}/change",
            "ann",
            headers={"Referer": referer},
            name="data",
            usage="data",
        )
    assert answer.headers["Location"].startswith("/services/apportion/folders")


FORMS = [
    ("change", {"name": "x", "usage": "data"}),
    ("clone", {"name": "x"}),
    ("trash", {"x": "1"}),
    ("restore", {"x": "1"}),
    ("purge", {"name": "data"}),
    ("transfer", {"kind": "user", "owner": "bob"}),
    ("invite", {"users": "bob", "mode": "rwd"}),
    ("stop-sessions", {"x": "1"}),
    ("files/new-directory", {"name": "x"}),
    ("files/rename?path=a", {"name": "x"}),
    ("files/delete?path=a", {"x": "1"}),
]


def shown(answer: HTTPResponse) -> bytes:
    """A page without its head and the tokens in it, which change with the clock."""
    token = rb'(_xsrf=|name="_xsrf" value=")[^"]*'
    return re.sub(token, rb"\1", answer.body.partition(b"<main")[2])


@pytest.mark.parametrize(("form", "fields"), FORMS, ids=[form for form, _ in FORMS])
async def test_forms_of_a_stranger_s_folder_are_those_of_a_missing_one(
    site: Site, monkeypatch: pytest.MonkeyPatch, form: str, fields: dict[str, str]
) -> None:
    async with serving(site, monkeypatch) as client:
        folder = await made(client, "data", "ann")
        theirs = await ask(client, f"folders/{folder}/{form}", "bob", **fields)
        missing = await ask(client, f"folders/{'f' * 32}/{form}", "bob", **fields)
        kept = await client("GET", f"folders/{folder}", by="ann")
    assert theirs.code == missing.code == 404
    assert b"There is no such folder" in shown(missing)
    assert shown(theirs) == shown(missing)
    assert (kept.body["name"], kept.body["state"]) == ("data", "ready")


async def test_the_number_of_invitations_is_on_every_page(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(site, monkeypatch) as client:
        folder = await made(client, "data", "ann")
        answer = await ask(client, f"folders/{folder}/invite", "ann", users="bob, cleo", mode="ro")
        assert answer.code == 303
        before = (await ask(client, "", "bob")).body.decode()
        (share,) = (await client("GET", "invitations", by="bob")).body["invitations"]
        declined = await ask(client, f"invitations/{share['id']}/reject", "bob", x="1")
        after = (await ask(client, "", "bob")).body.decode()
        sent = (await ask(client, "invitations", "ann")).body.decode()
    assert "invitations-badge" in before
    assert declined.code == 303
    assert "invitations-badge" not in after
    assert "rejected" in sent
    assert "pending" in sent


async def test_who_keeps_a_folder_sees_and_cancels_what_others_upload_into_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(site, monkeypatch) as client:
        folder = await made(client, "data", "ann")
        invited = await client(
            "POST", f"folders/{folder}/shares", {"users": ["bob"], "mode": "rw"}, by="ann"
        )
        share = invited.body["shares"][0]["id"]
        await client("POST", f"invitations/{share}/accept", {}, by="bob")
        upload = await client(
            "POST", f"folders/{folder}/uploads", {"path": "a/big<1>.bin", "size": 2**30}, by="bob"
        )
        cancel = f"folders/{folder}/uploads/{upload.body['id']}/cancel"
        page = (await ask(client, f"folders/{folder}/settings", "ann")).body.decode()
        guests = (await ask(client, f"folders/{folder}/settings", "bob")).body.decode()
        refused = [(await ask(client, cancel, by, x="1")).code for by in ("bob", "zoe")]
        other = await made(client, "other", "ann")
        elsewhere = f"folders/{other}/uploads/{upload.body['id']}/cancel"
        refused.append((await ask(client, elsewhere, "ann", x="1")).code)

        cancelled = await ask(client, cancel, "ann", x="1")
        after = (await ask(client, f"folders/{folder}/settings", "ann")).body.decode()
    assert "Uploads on their way" in page
    assert "a/big&lt;1&gt;.bin" in page
    assert "nothing was added to for 7 days" in " ".join(page.split())
    assert "1 GiB" in page
    assert "Uploads on their way" not in guests
    assert refused == [404, 404, 404]
    assert cancelled.code == 303
    assert "a/big" not in after


async def test_a_copy_that_was_not_made_says_why_among_the_folders_for_a_day(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(site, monkeypatch) as client:
        source = await made(client, "data", "ann")
        _, job = begin_copy(site, source, "bob")
        with site.database.transaction() as db:
            row = db.get_one(FolderJobRow, job)
            row.state, row.error, row.ended_at = "failed", "Not shared <any> more.", time.time()
        page = (await ask(client, "folders/list", "bob")).body.decode()
        theirs = (await ask(client, "folders/list", "ann")).body.decode()
        with site.database.transaction() as db:
            db.get_one(FolderJobRow, job).ended_at = time.time() - 86401
        later = (await ask(client, "folders/list", "bob")).body.decode()
    assert "was not made. Not shared &lt;any&gt; more." in page
    assert "was not made" not in theirs + later
