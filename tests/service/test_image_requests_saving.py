"""An approved session becomes a clean image, or nothing, wherever the service is killed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.db.models import AuditRow, SessionRow
from hub_ext.images.catalogue import parse_image
from hub_ext.images.cleaning import CleanLayer, clean_layer
from hub_ext.images.leaks import Leaks
from hub_ext.images.making import Making, SavingFailed, make_image
from hub_ext.images.requests import ImageRequests, NewImageRequest, request_json
from hub_ext.images.saved_config import NewImage
from hub_ext.images.saving import Saver
from hub_ext.images.visibility import visible_images
from hub_ext.nodes import inventory
from hub_ext.nodes.engine import EngineRefused, ImageFacts
from hub_ext.site import Site
from tests.service.conftest import IMAGE
from tests.service.image_engine import (
    TOKEN,
    ImageEngine,
    Killed,
    MemoryImages,
    files_of,
    tar_of,
)
from tests.service.project_rows import add_session

FILES = {
    "usr/lib/python3/thing.py": b"ANSWER = 42\n",
    "tmp/jupyter/token.json": TOKEN.encode(),
    "home/work/private": b"mine",
    "root/.bash_history": b"secret commands",
}
NEW = NewImageRequest(name="course", description="With thing")


@pytest.fixture
async def engine(site: Site) -> ImageEngine:
    """The site's engine, with a session of ann that runs in container c1."""
    site.engine = ImageEngine()
    await inventory.refresh(site)
    site.engine.start("c1", FILES)
    with site.database.transaction() as db:
        add_session(db, "default", id="s1", status="RUNNING", container_id="c1")
    return site.engine


def saver(site: Site) -> Saver:
    return Saver(site, pause=lambda seconds: None)


async def approved(site: Site, new: NewImageRequest = NEW) -> ImageRequestRow:
    with site.database.transaction() as db:
        session = db.get_one(SessionRow, "s1")
    requests = ImageRequests(site)
    row = await requests.ask(session, "ann", new)
    return await requests.approve(row.id, "root")


def request_row(site: Site, request_id: str) -> ImageRequestRow:
    return ImageRequests(site).get(request_id)


def image_rows(site: Site) -> list[ImageRow]:
    with site.database.transaction() as db:
        return list(db.scalars(select(ImageRow)))


def names(engine: ImageEngine) -> list[str]:
    return [name for image in engine.image_store.images for name in image.names]


async def test_the_image_has_what_was_installed_and_nothing_of_the_session(
    site: Site, engine: ImageEngine
) -> None:
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert (row.state, row.reason, row.progress) == ("done", "", 1.0)
    assert row.reference is not None
    image = engine.image_store.find(row.reference)
    assert image is not None
    assert files_of(image.layers[-1]) == {"usr/lib/python3/thing.py": b"ANSWER = 42\n"}
    everything = json.dumps(image.config).encode() + b"".join(image.layers)
    assert TOKEN.encode() not in everything
    assert image.config["config"]["Env"] == engine.parent.config["config"]["Env"]
    assert image.config["config"]["Cmd"] == ["start-singleuser"]
    assert [step["created_by"] for step in image.config["history"]] == [
        "base",
        "saved from a session",
    ]
    labels = image.config["config"]["Labels"]
    assert labels["org.apportion.title"] == "course"
    assert labels["org.apportion.description"] == "With thing"
    assert (labels["org.apportion.family"], labels["org.apportion.min-memory"]) == ("base", "512")
    assert "org.apportion.source" not in labels
    assert site.deployment_id not in json.dumps(image.config)


async def test_nothing_interim_is_left_and_the_image_is_its_owners(
    site: Site, engine: ImageEngine
) -> None:
    row = await approved(site)
    await saver(site).work()
    (image,) = image_rows(site)
    assert (image.reference, image.owner, image.visibility) == (
        request_row(site, row.id).reference,
        "ann",
        "user",
    )
    assert sorted(names(engine)) == sorted([engine.parent.names[0], image.reference])
    assert list((site.data_dir / "saving").glob("*")) == []
    with site.database.transaction() as db:
        actions = list(db.scalars(select(AuditRow.action).order_by(AuditRow.id)))
    assert actions == ["image.request", "image.approved", "image.saved"]


async def test_a_secret_in_a_kept_file_fails_the_request_and_names_the_path(
    site: Site, engine: ImageEngine
) -> None:
    engine.image_store.containers["c1"].files["etc/app.conf"] = f"token={TOKEN}".encode()
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert row.state == "failed"
    assert "the value of JUPYTERHUB_API_TOKEN is in etc/app.conf" in row.reason
    assert TOKEN not in row.reason
    await saver(site).work()
    assert names(engine) == engine.parent.names
    assert image_rows(site) == []


async def test_a_secret_in_a_packed_file_fails_the_request_too(
    site: Site, engine: ImageEngine
) -> None:
    packed = gzip.compress(tar_of({"notes/app.conf": f"token={TOKEN}".encode()}))
    engine.image_store.containers["c1"].files["srv/backup.tgz"] = packed
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert row.state == "failed"
    assert "the value of JUPYTERHUB_API_TOKEN is in srv/backup.tgz, unpacked" in row.reason
    await saver(site).work()
    assert names(engine) == engine.parent.names


async def test_what_could_not_be_searched_is_told_and_stays_told(
    site: Site, engine: ImageEngine
) -> None:
    object.__setattr__(site.policy, "registry", "registry.example.org/lab")
    engine.image_store.registry_problem = "Docker says: connection refused"
    engine.image_store.containers["c1"].files["srv/data.zst"] = b"\x28\xb5\x2f\xfd\x04\x00\x41"
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert row.state == "done"
    assert row.unsearched == (
        "One packed file was not searched for the session's secrets, or not to the end:"
        " srv/data.zst (zstd cannot be read here)."
    )
    engine.image_store.registry_problem = ""
    ImageRequests(site).push_again(row.id, "root")
    await saver(site).work()
    row = request_row(site, row.id)
    assert (row.state, row.reason) == ("done", "")
    assert request_json(row)["unsearched"].startswith("One packed file")
    with site.database.transaction() as db:
        made = db.scalars(select(AuditRow.after).where(AuditRow.action == "image.saved")).all()
    assert [after["unsearched"] for after in made if after] == [row.unsearched] * 2


async def test_a_name_that_is_used_again_gets_the_next_number(
    site: Site, engine: ImageEngine
) -> None:
    references = []
    for _ in range(2):
        row = await approved(site)
        await saver(site).work()
        references.append(str(request_row(site, row.id).reference))
    first, second = references
    assert first.removesuffix(":1") == second.removesuffix(":2")
    assert first.endswith("/u-ann/course:1")


async def test_a_session_that_ends_before_the_commit_fails_its_request(
    site: Site, engine: ImageEngine
) -> None:
    row = await approved(site)
    with site.database.transaction() as db:
        db.get_one(SessionRow, "s1").status = "TERMINATED"
    await saver(site).work()
    row = request_row(site, row.id)
    assert row.state == "failed"
    assert "has ended" in row.reason


async def test_a_container_that_is_gone_at_the_commit_fails_its_request(
    site: Site, engine: ImageEngine
) -> None:
    row = await approved(site)
    del engine.image_store.containers["c1"]
    await saver(site).work()
    assert request_row(site, row.id).state == "failed"


async def test_a_pause_that_a_killed_commit_left_is_ended(site: Site, engine: ImageEngine) -> None:
    row = await approved(site)
    with site.database.transaction() as db:
        current = db.get_one(ImageRequestRow, row.id)
        current.state, current.reference = "committing", "apportion-x/u-ann/course:1"
    engine.image_store.containers["c1"].paused = True
    await saver(site).work()
    assert not engine.image_store.containers["c1"].paused
    assert request_row(site, row.id).state == "done"


async def test_too_little_disk_is_said_before_anything_is_exported(
    site: Site, engine: ImageEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1024**2})
    monkeypatch.setattr("hub_ext.images.making.shutil.disk_usage", lambda path: usage)
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert row.state == "failed"
    assert "1 MiB are free" in row.reason
    assert "export" not in engine.image_store.calls


async def test_the_disk_must_hold_the_sessions_own_layer_three_times(
    site: Site, engine: ImageEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_mib = 300
    parent = ImageFacts(engine.parent.id, ("sha256:1",), {}, 1000 * 2**20)
    interim = ImageFacts("interim", ("sha256:1", "sha256:2"), {}, (1000 + own_mib) * 2**20)
    found = {parent.image_id: parent, interim.image_id: interim}
    monkeypatch.setattr(engine.image_store, "image", found.get)
    usage = type("Usage", (), {"free": (1000 + 2 * own_mib) * 2**20})
    monkeypatch.setattr("hub_ext.images.making.shutil.disk_usage", lambda path: usage)
    new = NewImage("lab/course:1", "r1", "course", "1", "", "key", IMAGE.reference)
    directory = site.data_dir / "saving" / "r1"
    making = Making(new, interim.image_id, parent.image_id, directory, lambda unsearched: None)
    with pytest.raises(SavingFailed, match=f"up to {1000 + 3 * own_mib + 256} MiB"):
        make_image(engine.image_store, making, lambda part: None)
    assert "export" not in engine.image_store.calls


async def test_a_packed_layer_is_gone_from_the_disk_once_it_is_unpacked(
    site: Site, engine: ImageEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    export = engine.image_store.export
    at_the_end: set[str] = set()

    def packed(image_id: str) -> Iterator[bytes]:
        files = files_of(b"".join(export(image_id)))
        yield tar_of({n: gzip.compress(f) if n.endswith(".tar") else f for n, f in files.items()})

    def clean(plain: Path, target: Path, leaks: Leaks) -> CleanLayer:
        at_the_end.update(path.name for path in plain.parent.iterdir())
        return clean_layer(plain, target, leaks)

    monkeypatch.setattr(engine.image_store, "export", packed)
    monkeypatch.setattr("hub_ext.images.making.clean_layer", clean)
    row = await approved(site)
    await saver(site).work()
    assert request_row(site, row.id).state == "done"
    # the layer of the parent, packed by the engine, has another digest: it is not left out
    assert at_the_end == {"part-0", "part-2", "part-3", "plain.tar"}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("registry", ["", "registry.example.org/lab"])
async def test_killed_at_any_call_of_the_engine_the_next_start_finishes(
    site: Site, engine: ImageEngine, after: bool, registry: str
) -> None:
    object.__setattr__(site.policy, "registry", registry)
    object.__setattr__(site.policy, "max_saved_images", 1000)
    store = engine.image_store
    number = 0
    while True:
        number += 1
        row = await approved(site)
        store.calls, store.dies_at, store.after = [], number, after
        died = await dies(site, store)
        assert not store.containers["c1"].paused
        secretive = [i for i in store.images if TOKEN in json.dumps(i.config)]
        assert all("org.apportion.hidden" in i.config["config"]["Labels"] for i in secretive)
        store.dies_at = 0
        await saver(site).work()
        row = request_row(site, row.id)
        assert (row.state, row.reason) == ("done", ""), f"killed at call {number}"
        assert not any(TOKEN in json.dumps(image.config) for image in store.images)
        assert sorted(names(engine)) == sorted(
            [*engine.parent.names, *(image.reference for image in image_rows(site))]
        )
        assert list((site.data_dir / "saving").glob("*")) == []
        if not died:
            break
    assert number > 10
    assert bool(store.pushed) == bool(registry)


async def dies(site: Site, store: MemoryImages) -> bool:
    """Whether the service dies while it works; the dead write nothing down."""
    transaction = Database.transaction

    def of_the_living(database: Database) -> AbstractContextManager[Session]:
        if len(store.calls) >= store.dies_at:
            raise Killed
        return transaction(database)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Database, "transaction", of_the_living)
        try:
            await saver(site).work()
        except Killed:
            return True
    return False


async def test_an_unexpected_error_fails_its_request_alone_and_is_logged(
    site: Site,
    engine: ImageEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(*_args: object) -> None:
        raise RuntimeError("a fault of ours")

    row = await approved(site)
    engine.start("c2", FILES)
    with site.database.transaction() as db:
        other = add_session(db, "default", id="s2", status="RUNNING", container_id="c2").id
        session = db.get_one(SessionRow, other)
    requests = ImageRequests(site)
    behind = await requests.ask(session, "ann", NewImageRequest(name="other"))
    await requests.approve(behind.id, "root")
    monkeypatch.setattr("hub_ext.images.saving.make_image", in_turn([broken, make_image]))
    await saver(site).work()
    failed = request_row(site, row.id)
    assert (failed.state, "something unexpected" in failed.reason) == ("failed", True)
    assert "a fault of ours" not in failed.reason
    assert "a fault of ours" in caplog.text
    assert request_row(site, behind.id).state == "done"


def in_turn(works: list[Callable[..., None]]) -> Callable[..., None]:
    """The first at the first call, and so on."""
    return lambda *arguments: works.pop(0)(*arguments)


async def test_nobody_else_sees_the_image_from_the_moment_it_is_loaded(
    site: Site, engine: ImageEngine
) -> None:
    await approved(site)
    store = engine.image_store
    seen: list[Any] = []
    load = store.load

    def look_after_load(archive: Any) -> None:
        load(archive)
        images = {i.names[0]: i for i in store.images}
        site.images = {
            name: parse_image(name, image.config["config"]["Labels"])
            for name, image in images.items()
        }
        with site.database.transaction() as db:
            seen.append(set(visible_images(db, site, "bob", frozenset(), False)))
            seen.append(set(visible_images(db, site, "ann", frozenset(), False)))

    store.load = look_after_load  # type: ignore[method-assign]
    await saver(site).work()
    bob, ann = seen
    (row,) = image_rows(site)
    assert row.reference not in bob
    assert row.reference in ann


async def test_a_registry_that_refuses_leaves_the_local_image_and_says_so(
    site: Site, engine: ImageEngine
) -> None:
    object.__setattr__(site.policy, "registry", "registry.example.org/lab")
    engine.image_store.registry_problem = "Docker says: connection refused"
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert row.state == "done"
    assert "was not pushed to registry.example.org: Docker says: connection refused" in row.reason
    assert row.reference is not None
    assert row.reference in names(engine)

    engine.image_store.registry_problem = ""
    ImageRequests(site).push_again(row.id, "root")
    await saver(site).work()
    assert engine.image_store.pushed == [row.reference]
    assert request_row(site, row.id).reason == ""


@pytest.mark.parametrize(
    ("problem", "told"),
    [
        ("no basic auth credentials", "asks for a user and password. For an admin: run `docker"),
        ("unauthorized: authentication required", "refuses the user and password that it was"),
        ("denied: requested access to the resource is denied", "does not let that user push"),
    ],
)
async def test_a_registry_that_wants_another_login_is_asked_once_and_the_image_stays(
    site: Site, engine: ImageEngine, monkeypatch: pytest.MonkeyPatch, problem: str, told: str
) -> None:
    asked = []

    def refuse(reference: str, progress: Callable[[float], None]) -> None:
        asked.append(reference)
        raise EngineRefused(f"Docker says: {problem}")

    object.__setattr__(site.policy, "registry", "registry.example.org/lab")
    monkeypatch.setattr(engine.image_store, "push", refuse)
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert (row.state, row.reference in names(engine)) == ("done", True)
    assert told in row.reason
    assert "`docker login registry.example.org` in the account of the service" in row.reason
    assert asked == [row.reference]


async def test_an_unexpected_error_of_a_push_leaves_the_image_and_ends_the_request(
    site: Site, engine: ImageEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(reference: str, progress: Callable[[float], None]) -> None:
        raise RuntimeError("a fault of ours")

    object.__setattr__(site.policy, "registry", "registry.example.org/lab")
    monkeypatch.setattr(engine.image_store, "push", broken)
    row = await approved(site)
    await saver(site).work()
    row = request_row(site, row.id)
    assert (row.state, row.reference in names(engine)) == ("done", True)
    assert "was not pushed: something unexpected" in row.reason
