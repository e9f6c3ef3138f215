"""Pages and forms about images as HTTP, without a browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPResponse

from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.db.models import SessionRow
from hub_ext.images.saving import Saver
from hub_ext.nodes import inventory
from hub_ext.site import Site
from tests.service.conftest import RoomyEngine
from tests.service.image_engine import ImageEngine
from tests.service.project_rows import add_member, add_project, add_session
from tests.service.rest_client import RestClient, serving

SESSION = "a" * 32
SESSION_PAGE = f"sessions/{SESSION}"
ASK = f"{SESSION_PAGE}/image-request"
CAN_ASK = "Make an image of this session"


@dataclass
class Shop:
    """A site and a way to its pages."""

    site: Site
    engine: ImageEngine
    api: RestClient

    async def send(self, path: str, by: str, **fields: str | list[str]) -> HTTPResponse:
        """A page, or with ``fields`` a form as a browser without script sends it."""
        return await AsyncHTTPClient().fetch(
            self.api.base + path,
            method="POST" if fields else "GET",
            body=urlencode(fields, doseq=True) if fields else None,
            headers={"Authorization": f"token {by}"},
            follow_redirects=False,
            raise_error=False,
        )

    async def page(self, path: str, by: str) -> str:
        answer = await self.send(path, by)
        assert answer.code == 200, answer.body
        return answer.body.decode()

    async def asked(self, name: str = "course") -> str:
        """Id of ann's request, made with the form."""
        answer = await self.send(ASK, "ann", name=name, description="With thing")
        assert answer.code == 303, answer.body
        (request,) = (await self.api("GET", "image-requests", by="ann")).body["image_requests"]
        return str(request["id"])

    async def saved(self) -> str:
        """Reference of an image of ann's."""
        request = await self.asked()
        answer = await self.send(f"image-requests/{request}/approve", "root", x="1")
        assert answer.code == 303, answer.body
        await Saver(self.site).work()
        return self.request(request).reference or ""

    def request(self, request_id: str) -> ImageRequestRow:
        with self.site.database.transaction() as db:
            return db.get_one(ImageRequestRow, request_id)

    def image(self, reference: str) -> ImageRow:
        with self.site.database.transaction() as db:
            return db.get_one(ImageRow, reference)

    async def give(self, reference: str, by: str, **fields: str | list[str]) -> HTTPResponse:
        return await self.send("images/give", by, reference=reference, **fields)


@pytest.fixture
async def shop(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """Ann has a session with something in it; bob is a member, eve an instructor of ml101."""
    engine = ImageEngine()
    site.engine = engine
    await inventory.refresh(site)
    engine.start("c1", {"usr/lib/<thing>": b"1", "tmp/x": b"22"})
    with site.database.transaction() as db:
        add_session(db, "default", id=SESSION, status="RUNNING", container_id="c1")
        add_project(db, "ml101")
        add_member(db, "ml101", "bob")
        add_member(db, "ml101", "eve", "instructor")
        add_member(db, "ml101", "ann", "instructor")
    async with serving(site, monkeypatch) as api:
        yield Shop(site, engine, api)


async def test_an_image_is_asked_for_approved_and_there_without_script(shop: Shop) -> None:
    assert CAN_ASK in await shop.page(SESSION_PAGE, "ann")
    assert "You have none yet" in await shop.page("images", "ann")
    request = await shop.asked()
    page = await shop.page(SESSION_PAGE, "ann")
    assert "waits for an admin" in page
    assert CAN_ASK not in page

    waiting = await shop.page("images", "root")
    assert 'id="image-requests-badge">1' in waiting
    assert f'data-request="{request}"' in waiting
    assert "Paths: 1 added" in waiting
    assert "1 stay with the session" in waiting
    assert "/usr/lib/&lt;thing&gt;" in waiting
    answer = await shop.send(f"image-requests/{request}/approve", "root", x="1")
    assert (answer.code, answer.headers["Location"]) == (303, "/services/apportion/images")
    assert "image-requests-badge" not in await shop.page("images", "root")

    assert "every 2s" in await shop.page(f"{SESSION_PAGE}/image", "ann")
    await Saver(shop.site).work()
    page = await shop.page("images", "ann")
    assert 'id="my-images"' in page
    assert "course:1" in page
    assert "ready" in await shop.page(SESSION_PAGE, "ann")


async def test_what_waits_is_shown_to_admins_alone(shop: Shop) -> None:
    request = await shop.asked()
    for by in ("ann", "bob", "eve"):
        page = await shop.page("images/list", by)
        assert "Waiting for a decision" not in page
        assert "image-requests-badge" not in await shop.page("images", by)
    for by in ("bob", "eve"):
        assert request not in await shop.page("images", by)


def shown(answer: HTTPResponse) -> bytes:
    """A page without its head and the tokens in it, which change with the clock."""
    token = rb'(_xsrf=|name="_xsrf" value=")[^"]*'
    return re.sub(token, rb"\1", answer.body.partition(b"<main")[2])


@pytest.mark.parametrize("by", ["bob", "eve", "ann"])
@pytest.mark.parametrize(
    ("form", "fields"), [("approve", {"x": "1"}), ("decline", {"reason": "r"})]
)
async def test_decisions_of_others_meet_nothing(
    shop: Shop, by: str, form: str, fields: dict[str, str]
) -> None:
    request = await shop.asked()
    there = await shop.send(f"image-requests/{request}/{form}", by, **fields)
    missing = await shop.send(f"image-requests/{'f' * 32}/{form}", by, **fields)
    assert there.code == missing.code == 404
    assert shown(there) == shown(missing) != b""
    assert shop.request(request).state == "requested"


async def test_a_decision_needs_a_login(shop: Shop) -> None:
    request = await shop.asked()
    answer = await shop.send(f"image-requests/{request}/approve", "nobody", x="1")
    assert answer.code == 403
    assert shop.request(request).state == "requested"


async def test_a_declined_request_says_why_and_can_be_asked_again(shop: Shop) -> None:
    request = await shop.asked()
    blank = await shop.send(f"image-requests/{request}/decline", "root", reason="  ")
    assert blank.code == 400
    assert shop.request(request).state == "requested"
    answer = await shop.send(f"image-requests/{request}/decline", "root", reason="Too <large>")
    assert answer.code == 303
    page = await shop.page(SESSION_PAGE, "ann")
    assert "Too &lt;large&gt;" in page
    assert CAN_ASK in page
    assert "Too &lt;large&gt;" in await shop.page("images", "ann")


async def test_only_its_user_or_an_admin_cancels_a_request(shop: Shop) -> None:
    request = await shop.asked()
    assert (await shop.send(f"image-requests/{request}/cancel", "bob", x="1")).code == 404
    assert shop.request(request).state == "requested"
    assert (await shop.send(f"image-requests/{request}/cancel", "ann", x="1")).code == 303
    assert shop.request(request).state == "cancelled"


async def test_only_a_running_session_of_one_s_own_offers_it(shop: Shop) -> None:
    assert CAN_ASK not in await shop.page(SESSION_PAGE, "root")
    assert (await shop.send(SESSION_PAGE, "bob")).code == 404
    assert (await shop.send(f"{SESSION_PAGE}/image", "bob")).code == 404
    assert (await shop.send(ASK, "bob", name="course")).code == 404
    with shop.site.database.transaction() as db:
        db.get_one(SessionRow, SESSION).status = "STARTING"
    assert CAN_ASK not in await shop.page(SESSION_PAGE, "ann")


async def test_without_containers_nothing_is_offered(shop: Shop) -> None:
    shop.site.engine = RoomyEngine()
    assert CAN_ASK not in await shop.page(SESSION_PAGE, "ann")


async def test_an_instructor_sees_the_session_but_not_its_request(shop: Shop) -> None:
    await shop.asked("secret-plan")
    with shop.site.database.transaction() as db:
        db.get_one(SessionRow, SESSION).project = "ml101"
    assert "secret-plan" not in await shop.page(SESSION_PAGE, "eve")
    assert "secret-plan" in await shop.page(SESSION_PAGE, "root")


async def test_a_bad_name_is_refused_with_the_way_back(shop: Shop) -> None:
    answer = await shop.send(ASK, "ann", name="../x")
    assert answer.code == 400
    assert "as in torch-course" in answer.body.decode()
    assert 'href="/services/apportion/images"' in answer.body.decode()


async def test_who_has_an_image_made_is_told_its_full_name_and_how_many_he_may_have(
    shop: Shop,
) -> None:
    assert "that you may have" not in await shop.page("images", "ann")
    reference = await shop.saved()
    page = await shop.page("images", "ann")
    _, _, requests = page.partition('id="my-requests"')
    assert reference in requests
    assert "1 of 10 images" in " ".join(page.split())


async def test_an_admin_pushes_an_image_again_that_did_not_get_to_the_registry(shop: Shop) -> None:
    object.__setattr__(shop.site.policy, "registry", "registry.example.org/lab")
    shop.engine.image_store.registry_problem = "Docker says: connection refused"
    reference = await shop.saved()
    (request,) = (await shop.api("GET", "image-requests", by="ann")).body["image_requests"]
    again = f"image-requests/{request['id']}/push"
    page = await shop.page("images", "root")
    assert "was not pushed" in page
    assert f'action="/services/apportion/{again}"' in page
    assert "decided-requests" not in await shop.page("images", "ann")
    assert (await shop.send(again, "ann", x="1")).code == 404

    shop.engine.image_store.registry_problem = ""
    assert (await shop.send(again, "root", x="1")).code == 303
    await Saver(shop.site).work()
    assert shop.engine.image_store.pushed == [reference]
    assert again not in await shop.page("images", "root")


async def test_an_image_is_given_to_a_project_and_taken_back(shop: Shop) -> None:
    reference = await shop.saved()
    assert reference not in await shop.page("images", "bob")
    assert 'value="ml101"' in await shop.page("images", "ann")
    answer = await shop.give(reference, "ann", visibility="project", project=["ml101"])
    assert answer.code == 303, answer.body
    assert reference in await shop.page("images", "bob")
    answer = await shop.give(reference, "ann", visibility="user", project=["ml101"])
    assert answer.code == 303, answer.body
    assert reference not in await shop.page("images", "bob")
    assert shop.image(reference).projects == []


async def test_only_an_admin_gives_an_image_to_all(shop: Shop) -> None:
    reference = await shop.saved()
    assert "Everybody</label>" not in await shop.page("images", "ann")
    assert (await shop.give(reference, "ann", visibility="all")).code == 403
    assert (await shop.give(reference, "bob", visibility="all")).code == 404
    assert shop.image(reference).visibility == "user"
    assert (await shop.give(reference, "root", visibility="all")).code == 303
    assert reference in await shop.page("images", "bob")


async def test_private_images_of_others_are_shown_to_admins_who_ask(shop: Shop) -> None:
    reference = await shop.saved()
    assert reference not in await shop.page("images", "root")
    assert reference in await shop.page("images?all=1", "root")
    assert reference not in await shop.page("images?all=1", "bob")


async def test_an_image_is_deleted_by_its_name_and_by_its_owner(shop: Shop) -> None:
    reference = await shop.saved()
    form = {"reference": reference, "confirm": "course:1"}
    assert (await shop.send("images/delete", "bob", **form)).code == 404
    assert (await shop.send("images/delete", "ann", **form | {"confirm": "course"})).code == 400
    assert shop.image(reference).deleted_at is None
    assert (await shop.send("images/delete", "ann", **form)).code == 303
    assert shop.image(reference).deleted_at is not None
    assert reference not in (await shop.page("images/list", "ann"))


async def test_of_many_projects_no_box_each_names_are_typed(shop: Shop) -> None:
    reference = await shop.saved()
    with shop.site.database.transaction() as db:
        for number in range(30):
            add_project(db, f"course-{number:02}")
    page = await shop.page("images", "root")
    assert page.count('value="course-07"') == 1
    assert 'name="more_projects"' in page

    answer = await shop.give(
        reference, "root", visibility="project", more_projects="course-07, course-09"
    )

    assert answer.code == 303, answer.body
    assert shop.image(reference).projects == ["course-07", "course-09"]
    assert 'type="checkbox" name="project" value="course-07"' in await shop.page(
        "images?all=1", "root"
    )
    wrong = await shop.give(reference, "root", visibility="project", more_projects="nonesuch")
    assert wrong.code == 400
    assert shop.image(reference).projects == ["course-07", "course-09"]
