"""Requests to keep a session as an image, and who sees and manages what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.db.models import SessionRow
from hub_ext.images.saving import Saver
from hub_ext.nodes import inventory
from hub_ext.nodes.engine import EngineUnavailable
from hub_ext.sessions.queue import Queue
from hub_ext.site import Site
from hub_ext.web.launch.form import render_launch_form
from tests.service.conftest import IMAGE
from tests.service.image_engine import ImageEngine
from tests.service.project_rows import add_member, add_project, add_session
from tests.service.rest_client import Answer, RestClient, serving

SESSION = "a" * 32


@dataclass
class Shop:
    """The site, its engine, and its API."""

    site: Site
    engine: ImageEngine
    api: RestClient

    async def ask(self, name: str = "course", *, by: str = "ann") -> Answer:
        path = f"sessions/{SESSION}/image-request"
        return await self.api("POST", path, {"name": name, "description": "With thing"}, by=by)

    async def saved(self) -> str:
        """Reference of an image of ann's session."""
        request = (await self.ask()).body["id"]
        assert (await self.api("POST", f"image-requests/{request}/approve", {})).status == 200
        await Saver(self.site).work()
        answer = await self.api("GET", f"image-requests/{request}", by="ann")
        assert answer.body["state"] == "done", answer.body
        return str(answer.body["reference"])

    async def waiting(self, reference: str, by: str) -> str:
        """Id of a session with this image, of somebody in ml101; it waits."""
        body = {"cpu": 1, "memory_mib": 512, "image": reference, "project": "ml101"}
        answer = await self.api("POST", "sessions", body, by=by)
        assert answer.status == 201, answer.body
        return str(answer.body["sessions"][0]["id"])

    async def take_over(self, session: str) -> dict[str, Any]:
        """A spawner asks for a granted session, as after its wait."""
        Queue(self.site).pass_once()
        answer = await self.api("GET", f"spawner/sessions/{session}/wait", by="spawner-token")
        assert answer.status == 200, answer.body
        return dict(answer.body)

    async def references(self, by: str) -> set[str]:
        answer = await self.api("GET", "images", by=by)
        return {image["reference"] for image in answer.body["images"]}

    async def give(self, reference: str, by: str, **change: Any) -> Answer:
        return await self.api("PATCH", f"images/{reference}", change, by=by)

    async def delete(self, reference: str, by: str, confirm: str = "course:1") -> Answer:
        return await self.api("DELETE", f"images/{reference}?confirm={confirm}", by=by)

    def set_policy(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self.site.policy, name, value)


@pytest.fixture
async def shop(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """A site where ann has a session with something in it; bob is somebody else."""
    engine = ImageEngine()
    site.engine = engine
    await inventory.refresh(site)
    engine.start("c1", {"usr/lib/thing": b"1", "tmp/x": b"22"})
    with site.database.transaction() as db:
        add_session(db, "default", id=SESSION, status="RUNNING", container_id="c1")
        add_project(db, "ml101")
        add_member(db, "ml101", "bob")
        add_member(db, "ml101", "eve", "instructor")
    async with serving(site, monkeypatch) as api:
        yield Shop(site, engine, api)


async def test_a_request_shows_size_and_changes_before_it_is_approved(shop: Shop) -> None:
    answer = await shop.ask()
    assert answer.status == 201
    body = answer.body
    assert (body["state"], body["size_bytes"], body["parent"]) == ("requested", 3, IMAGE.reference)
    assert body["diff"]["added"] == 1
    assert body["diff"]["left_out"] == 1
    assert body["diff"]["paths"] == [{"kind": "added", "path": "/usr/lib/thing"}]
    assert body["diff"]["directories"] == [{"path": "/usr/lib", "changes": 1}]


@pytest.mark.parametrize(
    "name",
    ["", "Upper", "a b", "../x", "a/b", "a:1", "-a", "a-", "a..b", "x" * 41, "ä", "a\n", "{0}"],
)
async def test_a_name_that_no_engine_takes_is_refused(shop: Shop, name: str) -> None:
    answer = await shop.ask(name)
    assert (answer.status, answer.field) == (400, "name")


async def test_only_the_user_of_a_session_asks(shop: Shop) -> None:
    assert (await shop.ask(by="bob")).status == 404
    assert (await shop.ask(by="root")).status == 403


async def test_only_a_running_session_can_be_asked_for(shop: Shop) -> None:
    with shop.site.database.transaction() as db:
        db.get_one(SessionRow, SESSION).status = "TERMINATED"
    answer = await shop.ask()
    assert answer.status == 409
    assert "TERMINATED" in answer.body["error"]["message"]


async def test_one_request_a_session_at_a_time(shop: Shop) -> None:
    await shop.ask()
    answer = await shop.ask("other")
    assert answer.status == 409
    assert "'course'" in answer.body["error"]["message"]


async def test_the_limit_counts_images_and_requests(shop: Shop) -> None:
    shop.set_policy(max_saved_images=1)
    await shop.saved()
    answer = await shop.ask("second")
    assert answer.status == 422
    assert "1 saved images and 0 requests; the limit is 1" in answer.body["error"]["message"]


async def test_a_request_that_is_refused_asks_the_engine_nothing(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looked(container_id: str) -> None:
        raise AssertionError("The engine was asked.")

    request = (await shop.ask()).body["id"]
    monkeypatch.setattr(shop.engine.image_store, "container", looked)
    assert (await shop.ask("again")).status == 409
    with shop.site.database.transaction() as db:
        db.get_one(ImageRequestRow, request).session_id = "b" * 32  # another one's
    shop.set_policy(max_saved_images=1)
    assert (await shop.ask("again")).status == 422


async def test_an_engine_that_is_away_is_said(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(container_id: str) -> None:
        raise EngineUnavailable("Docker does not answer: refused")

    monkeypatch.setattr(shop.engine.image_store, "container", away)
    assert (await shop.ask()).status == 503


async def test_requests_of_others_are_unknown(shop: Shop) -> None:
    request = (await shop.ask()).body["id"]
    assert (await shop.api("GET", f"image-requests/{request}", by="bob")).status == 404
    assert (await shop.api("DELETE", f"image-requests/{request}", by="bob")).status == 404
    assert (await shop.api("GET", "image-requests", by="bob")).body["image_requests"] == []
    theirs = await shop.api("GET", "image-requests?all=1&state=requested")
    assert [each["id"] for each in theirs.body["image_requests"]] == [request]
    assert (await shop.api("GET", "image-requests?all=1", by="bob")).body["image_requests"] == []


async def test_requests_come_in_pages(shop: Shop) -> None:
    for name in ("one", "two"):
        request = (await shop.ask(name)).body["id"]
        await shop.api("DELETE", f"image-requests/{request}", by="ann")
    first = (await shop.api("GET", "image-requests?limit=1", by="ann")).body
    assert [each["name"] for each in first["image_requests"]] == ["two"]
    path = f"image-requests?limit=1&after={first['after']!r}"
    second = (await shop.api("GET", path, by="ann")).body
    assert [each["name"] for each in second["image_requests"]] == ["one"]
    assert second["after"] is None
    assert (await shop.api("GET", "image-requests?state=lost", by="ann")).field == "state"
    assert (await shop.api("GET", "image-requests?after=nan", by="ann")).field == "after"


async def test_only_an_admin_decides(shop: Shop) -> None:
    request = (await shop.ask()).body["id"]
    for verb in ("approve", "decline", "push"):
        answer = await shop.api("POST", f"image-requests/{request}/{verb}", {}, by="ann")
        assert answer.status == 403


async def test_a_declined_request_tells_its_reason(shop: Shop) -> None:
    request = (await shop.ask()).body["id"]
    path = f"image-requests/{request}/decline"
    assert (await shop.api("POST", path, {"reason": " "})).field == "reason"
    assert (await shop.api("POST", path, {"reason": "Use the course's image."})).status == 200
    body = (await shop.api("GET", f"image-requests/{request}", by="ann")).body
    assert (body["state"], body["reason"]) == ("declined", "Use the course's image.")
    assert (await shop.api("POST", path, {"reason": "again"})).status == 409
    assert (await shop.ask()).status == 201


async def test_a_cancelled_request_cannot_be_approved(shop: Shop) -> None:
    request = (await shop.ask()).body["id"]
    assert (await shop.api("DELETE", f"image-requests/{request}", by="ann")).status == 200
    answer = await shop.api("POST", f"image-requests/{request}/approve", {})
    assert answer.status == 409
    assert "cancelled" in answer.body["error"]["message"]


async def test_a_session_that_was_started_again_fails_its_request(shop: Shop) -> None:
    request = (await shop.ask()).body["id"]
    with shop.site.database.transaction() as db:
        db.get_one(SessionRow, SESSION).container_id = "c2"
    assert (await shop.api("POST", f"image-requests/{request}/approve", {})).status == 409
    body = (await shop.api("GET", f"image-requests/{request}", by="ann")).body
    assert body["state"] == "failed"


async def test_a_site_may_need_no_approval(shop: Shop) -> None:
    shop.set_policy(approve_own_images=True)
    body = (await shop.ask()).body
    assert (body["state"], body["decided_by"]) == ("approved", "ann")


async def test_sessions_without_containers_cannot_be_saved(shop: Shop) -> None:
    class Processes:
        pass

    shop.site.engine = Processes()  # type: ignore[assignment]
    answer = await shop.ask()
    assert answer.status == 409
    assert "no containers" in answer.body["error"]["message"]


async def test_a_saved_image_is_its_owners_alone(shop: Shop) -> None:
    reference = await shop.saved()
    assert reference in await shop.references("ann")
    assert reference not in await shop.references("bob")
    assert (await shop.api("GET", f"images/{reference}", by="bob")).status == 404
    assert (await shop.give(reference, "bob", visibility="all")).status == 404
    assert (await shop.delete(reference, "bob")).status == 404
    unknown = await shop.api("GET", "images/no/such:1", by="bob")
    theirs = await shop.api("GET", f"images/{reference}", by="bob")
    assert unknown.body == theirs.body


async def test_others_cannot_launch_it_by_name_and_learn_nothing(shop: Shop) -> None:
    reference = await shop.saved()
    small = {"cpu": 1, "memory_mib": 512}
    for path in ("sessions", "dry-run"):
        theirs = await shop.api("POST", path, {**small, "image": reference}, by="bob")
        missing = await shop.api("POST", path, {**small, "image": "no/such:1"}, by="bob")
        assert theirs.status == missing.status == 400
        text = theirs.body["error"]["message"]
        assert text.replace(reference, "no/such:1") == missing.body["error"]["message"]
    mine = await shop.api("POST", "sessions", {**small, "image": reference}, by="ann")
    assert mine.status == 201
    assert mine.body["sessions"][0]["image"] == reference


async def test_an_admin_may_launch_it_for_himself_but_not_for_others(shop: Shop) -> None:
    reference = await shop.saved()
    small = {"cpu": 1, "memory_mib": 512, "image": reference}
    assert (await shop.api("POST", "sessions", small)).status == 201
    for_bob = await shop.api("POST", "sessions", {**small, "user": "bob"})
    assert (for_bob.status, for_bob.field) == (400, "image")


async def test_the_launch_form_lists_it_for_its_owner_alone(shop: Shop) -> None:
    reference = await shop.saved()
    assert reference in render_launch_form(shop.site, "ann", "")
    assert reference not in render_launch_form(shop.site, "bob", "")
    assert reference not in render_launch_form(shop.site, "root", "", admin=True)


async def test_minimum_resources_and_family_are_the_parents(shop: Shop) -> None:
    reference = await shop.saved()
    body = (await shop.api("GET", f"images/{quote(reference, safe='')}", by="ann")).body
    assert (body["family"], body["title"], body["version"]) == ("base", "course", "1")
    assert (body["min_memory_mib"], body["visibility"], body["owner"]) == (512, "user", "ann")
    little = {"cpu": 1, "memory_mib": 256, "image": reference}
    answer = await shop.api("POST", "sessions", little, by="ann")
    assert (answer.status, answer.field) == (400, "memory_mib")


async def test_an_instructor_gives_his_image_to_his_project_and_takes_it_back(shop: Shop) -> None:
    reference = await shop.saved()
    with shop.site.database.transaction() as db:
        add_member(db, "ml101", "ann", "instructor")
    given = await shop.give(reference, "ann", visibility="project", projects=["ml101"])
    assert (given.status, given.body["projects"]) == (200, ["ml101"])
    assert reference in await shop.references("bob")
    assert reference not in await shop.references("outsider")
    assert reference in render_launch_form(shop.site, "bob", "")
    assert (await shop.give(reference, "bob", visibility="all")).status == 403
    assert (await shop.give(reference, "ann", visibility="user")).status == 200
    assert reference not in await shop.references("bob")


async def test_an_image_taken_back_starts_in_no_session_that_waits_or_begins_again(
    shop: Shop,
) -> None:
    reference = await shop.saved()
    await shop.give(reference, "root", visibility="project", projects=["ml101"])
    again = await shop.waiting(reference, "bob")
    assert (await shop.take_over(again))["grant"]["image"] == reference
    waiting = await shop.waiting(reference, "bob")
    assert (await shop.give(reference, "ann", visibility="user")).status == 200
    for session in (waiting, again):
        taken = await shop.take_over(session)
        assert (taken["status"], taken["grant"]) == ("ERROR", None)
        assert taken["reason"]["code"] == "image"
        assert f"can no longer use the image {reference}" in taken["reason"]["message"]


async def test_an_image_still_given_to_a_hub_group_starts_after_the_wait(shop: Shop) -> None:
    reference = await shop.saved()
    await shop.give(reference, "root", visibility="project", projects=["ml101"])
    session = await shop.waiting(reference, "dan+course-ml101")
    assert (await shop.take_over(session))["grant"]["image"] == reference


async def test_a_hub_group_opens_an_image_of_its_project(shop: Shop) -> None:
    reference = await shop.saved()
    await shop.give(reference, "root", visibility="project", projects=["ml101"])
    assert reference in await shop.references("dan+course-ml101")
    assert reference not in await shop.references("dan")


async def test_an_owner_gives_to_no_project_that_he_does_not_instruct(shop: Shop) -> None:
    reference = await shop.saved()
    for name in ("ml101", "no-such"):
        answer = await shop.give(reference, "ann", visibility="project", projects=[name])
        assert (answer.status, answer.field) == (403, "projects")
        assert answer.body["error"]["message"] == f"You are no instructor of a project '{name}'."
    assert (await shop.give(reference, "ann", visibility="all")).status == 403
    missing = await shop.give(reference, "root", visibility="project", projects=["no-such"])
    assert missing.status == 400
    assert (await shop.give(reference, "root", visibility="project")).status == 400
    assert (await shop.give(reference, "root", visibility="all")).status == 200
    assert reference in await shop.references("outsider")


async def test_an_image_is_deleted_by_typing_its_name_and_not_while_it_is_used(shop: Shop) -> None:
    reference = await shop.saved()
    with shop.site.database.transaction() as db:
        uses = add_session(db, "default", "ann", image=reference, name="lab").id
    assert (await shop.delete(reference, "ann", confirm="course")).field == "confirm"
    used = await shop.delete(reference, "ann")
    assert (used.status, "lab of ann" in used.body["error"]["message"]) == (409, True)
    with shop.site.database.transaction() as db:
        db.get_one(SessionRow, uses).ended_at = 1.0
    assert (await shop.delete(reference, "ann")).status == 200
    assert reference not in await shop.references("ann")
    assert reference not in await shop.references("root")

    await Saver(shop.site).work()
    assert shop.engine.image_store.find(reference) is None
    with shop.site.database.transaction() as db:
        assert db.get(ImageRow, reference) is None


async def test_the_name_of_a_deleted_image_is_not_used_again(shop: Shop) -> None:
    reference = await shop.saved()
    await shop.delete(reference, "ann")
    await Saver(shop.site).work()
    assert await shop.saved() == reference.removesuffix(":1") + ":2"


async def test_a_saved_image_of_another_site_is_for_admins(shop: Shop) -> None:
    reference = await shop.saved()
    with shop.site.database.transaction() as db:
        db.delete(db.get_one(ImageRow, reference))
    for user in ("ann", "bob"):
        assert reference not in await shop.references(user)
    assert reference in await shop.references("root")


async def test_images_of_recipes_are_given_by_nobody_but_an_admin_and_deleted_elsewhere(
    shop: Shop,
) -> None:
    assert (await shop.give(IMAGE.reference, "ann", visibility="all")).status == 403
    answer = await shop.delete(IMAGE.reference, "root", confirm="base:test")
    assert (answer.status, "apportion image rm" in answer.body["error"]["message"]) == (409, True)
    given = await shop.give(IMAGE.reference, "root", visibility="project", projects=["ml101"])
    assert given.status == 200
    assert IMAGE.reference in await shop.references("bob")
    assert IMAGE.reference not in await shop.references("outsider")


@pytest.mark.parametrize("reference", ["%00", "a%0ab", "..", "%2e%2e%2fetc", "x" * 3000])
async def test_a_hostile_reference_is_unknown(shop: Shop, reference: str) -> None:
    assert (await shop.api("GET", f"images/{reference}")).status == 404
