"""Whatever an address or a form holds, a page says what is wrong and does not fail."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from itertools import product
from urllib.parse import urlencode

import pytest

from hub_ext.site import Site
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.routes import ROUTES
from tests.service.project_lab import Fields, ProjectLab, course

HUGE = "9" * 30
TEXTS = ("\0", HUGE, "1e-999999", "[" * 20_000)
PLACES = (*TEXTS, "nan", f"1:{HUGE}", f"{HUGE}:1", "1:-1", f"{10**12}:1", "1:1e999", "x:1")
FIELDS = (
    *("after", "below", "before", "base", "count", "cpu", "csv", "find", "folder", "fgpu", "from"),
    *("gib", "group", "hours", "id", "key", "kind", "language", "level", "lifetime_h", "limit"),
    *("limits.max_sessions", "list", "lines", "memory_gib", "more", "name", "new_folder", "node"),
    *("not_before", "not_before_zone", "number", "owner", "page", "parent", "period", "position"),
    *("preset", "preview", "priority", "project", "q", "resource_group", "role", "since", "sort"),
    *("state", "status", "text", "title", "until", "user", "valid_from", "version", "when"),
    *("from-0", "until-0", "hours.0.from", "description", "memory_mib", "image", "image_by_name"),
    *("limits.max_fgpu", "limits.max_lifetime_s", "member_limits.max_sessions", "quota.memory_mib"),
)
SORTS = ("line", "name", "slice", "left", "-status", "-ended")


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProjectLab]:
    async with course(site, monkeypatch) as lab:
        yield lab


def requests(text: str) -> list[tuple[str, str]]:
    """Method and path of every page and form, with the text wherever one may write something."""
    filled = "%00" if text == "\0" else "x%27%F0%9F%92%A9"
    found = []
    for pattern, handler in ROUTES:
        path = pattern.replace("([0-9a-f]{32})", "0" * 32).replace("([A-Za-z0-9._-]+)", "ml101")
        path = path.replace("([^/]+)", filled).replace(r"(\d{1,15})", "9" * 15)
        path = re.sub(r"\(\w+(\|\w+)+\)", "accept", path).replace("\\", "").removesuffix("?")
        assert not set("()[]|") & set(path), f"{pattern} has a part that this test does not fill"
        if not issubclass(handler, Form) or "get" in vars(handler):
            found.append(("GET", path))
        if hasattr(handler, "post"):
            found.append(("POST", path))
    return found


@pytest.mark.parametrize("text", TEXTS, ids=["nul", "huge", "tiny", "deep"])
async def test_no_page_and_no_form_fails_on_bad_input(lab: ProjectLab, text: str) -> None:
    fields: Fields = dict.fromkeys(FIELDS, text)
    query = urlencode(dict.fromkeys(FIELDS, text[:200]))
    failed = []
    for method, path in requests(text):
        if method == "GET":
            answer = await lab.page(f"{path}?{query}", by="root")
        else:
            answer = await lab.send(path, fields, by="root")
        if answer.code >= 500:
            failed.append((method, path, answer.code))

    assert not failed


async def test_a_form_that_comes_from_no_address_leads_to_its_own_page(lab: ProjectLab) -> None:
    answer = await lab.send("language", {"language": "en"}, Referer="http://[")

    assert (answer.code, answer.headers["Location"]) == (303, "/services/apportion/")


@pytest.mark.parametrize("place", ["after", "before"])
async def test_no_place_in_a_list_of_sessions_is_beyond_the_database(
    lab: ProjectLab, place: str
) -> None:
    for sort, text in product(SORTS, PLACES):
        answer = await lab.page(f"?{urlencode({'sort': sort, place: text[:2000]})}", by="root")
        assert answer.code in {200, 400}, (sort, text[:40], answer.code)
