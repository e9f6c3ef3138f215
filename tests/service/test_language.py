"""A reader sets the language of his pages; refusals and the API follow what is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.site import Site
from hub_ext.web.translation import COOKIE
from tests.service.rest_client import RestClient, serving

JAPANESE = {"Accept-Language": "ja-JP,ja;q=0.9,en;q=0.5"}


@pytest.fixture
async def client(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RestClient]:
    async with serving(site, monkeypatch) as client:
        yield client


async def ask(
    client: RestClient, path: str, headers: dict[str, str], **fields: str
) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(
        client.base + path,
        method="POST" if fields else "GET",
        body=urlencode(fields) if fields else None,
        headers={"Authorization": "token ann", **headers},
        follow_redirects=False,
        raise_error=False,
    )


async def test_the_language_that_is_set_goes_before_the_browser_s(client: RestClient) -> None:
    answer = await ask(client, "language", JAPANESE, language="en")
    assert answer.code == 303
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=en;")
    assert "HttpOnly" in cookie

    page = await ask(client, "folders", JAPANESE)
    assert '<html lang="ja">' in page.body.decode()
    assert "<h1" in page.body.decode()
    assert "フォルダ</h1>" in page.body.decode()
    page = await ask(client, "folders", JAPANESE | {"Cookie": f"{COOKIE}=en"})
    assert '<html lang="en">' in page.body.decode()
    assert "Folders</h1>" in page.body.decode()


async def test_a_language_that_is_not_there_is_refused_by_its_name(client: RestClient) -> None:
    answer = await ask(client, "language", {}, language="<tlh>")
    assert answer.code == 400
    assert "There is no language &#39;&lt;tlh&gt;&#39;; there are: en, ja" in answer.body.decode()
    assert COOKIE not in str(answer.headers.get_list("Set-Cookie"))
    page = await ask(client, "folders", {"Cookie": f"{COOKIE}=../../x"})
    assert '<html lang="en">' in page.body.decode()


async def test_one_reader_s_language_is_not_the_next_one_s(client: RestClient) -> None:
    for headers, code in ((JAPANESE, "ja"), ({}, "en"), (JAPANESE, "ja"), ({}, "en")):
        page = await ask(client, "invitations", headers)
        assert f'<html lang="{code}">' in page.body.decode()


async def test_the_api_refuses_in_the_language_that_is_asked_for_and_with_the_same_code(
    client: RestClient,
) -> None:
    path = f"api/v1/folders/{'f' * 32}"
    english = await ask(client, path, {})
    japanese = await ask(client, path, JAPANESE)
    assert b"There is no such folder." in english.body
    assert "そのようなフォルダはありません。" in japanese.body.decode("unicode_escape")
    assert b'"code": "not_found"' in english.body
    assert b'"code": "not_found"' in japanese.body


async def test_a_page_that_is_not_there_says_so_in_the_reader_s_language(
    client: RestClient,
) -> None:
    answer = await ask(client, "nowhere", JAPANESE)
    assert answer.code == 404
    assert "ここには何もありません。" in answer.body.decode()
