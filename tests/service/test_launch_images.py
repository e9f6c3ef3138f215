"""The launch form's images: what is offered to whom, in which order, and said how."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hub_ext.db.connection import Database
from hub_ext.db.image_models import ImageRow
from hub_ext.errors import BadValue
from hub_ext.images.catalogue import App, CatalogueImage
from hub_ext.nodes import inventory
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.site import Site
from hub_ext.web.launch.form import render_launch_form
from hub_ext.web.launch.images import launch_families
from tests.service.conftest import IMAGE

TORCH = CatalogueImage(
    "apportion/pytorch:2.15",
    "sha256:1",
    "pytorch",
    "PyTorch",
    "2.15",
    description="PyTorch 2.15 for <GPUs>.",
    framework="PyTorch 2.15",
    apps=(App("mlflow", "MLflow UI", "mlflow/"), App("tensorboard", "TensorBoard", "tensorboard/")),
    min_memory_mib=2048,
    min_fgpu=0.1,
    size_bytes=6 * 1024**3,
    labelled=True,
)
OLDER = replace(TORCH, reference="apportion/pytorch:2.9", version="2.9")
PLAIN = CatalogueImage("ubuntu:24.04", "sha256:2", "ubuntu", "ubuntu", "24.04")


def with_images(site: Site, *images: CatalogueImage) -> None:
    site.images = {image.reference: image for image in images}


def offered(site: Site, database: Database, user: str = "ann") -> dict[str, list[str]]:
    with database.transaction() as db:
        found = launch_families(db, site, user, frozenset())
    return {family["title"]: [image["version"] for image in family["images"]] for family in found}


def test_one_entry_a_family_with_the_newest_version_first(site: Site, database: Database) -> None:
    with_images(site, PLAIN, OLDER, TORCH)

    assert offered(site, database) == {"PyTorch": ["2.15", "2.9"], "Others": ["ubuntu:24.04"]}


async def test_the_version_used_last_leads_and_so_does_its_family(
    site: Site, database: Database
) -> None:
    await inventory.refresh(site)
    with_images(site, IMAGE, OLDER, TORCH)
    desk = Submissions(site)
    for image in (TORCH.reference, OLDER.reference):
        ask = read_launch_request({"image": image, "fgpu": 0.1, "memory_mib": 2048})
        desk.submit(Submitter("ann"), ask)

    assert offered(site, database) == {"PyTorch": ["2.9", "2.15"], "Base": ["test"]}
    assert offered(site, database, "bob") == {"Base": ["test"], "PyTorch": ["2.15", "2.9"]}


def test_who_has_used_none_is_offered_the_sites_default(site: Site, database: Database) -> None:
    with_images(site, IMAGE, OLDER, TORCH)
    site.policy = replace(site.policy, default_image=OLDER.reference)

    assert next(iter(offered(site, database).items())) == ("PyTorch", ["2.9", "2.15"])


def test_two_images_of_one_version_can_be_told_apart(site: Site, database: Database) -> None:
    with_images(site, TORCH, replace(TORCH, reference="reg.example/torch:1"))

    assert offered(site, database) == {
        "PyTorch": ["2.15 (apportion/pytorch:2.15)", "2.15 (reg.example/torch:1)"]
    }


def test_the_private_image_of_another_is_not_offered(site: Site, database: Database) -> None:
    with_images(site, IMAGE, TORCH)
    with database.transaction() as db:
        row = ImageRow(reference=TORCH.reference, owner="bob", visibility="user", projects=[])
        row.created_at = 0.0
        db.add(row)

    assert list(offered(site, database, "ann")) == ["Base"]
    assert list(offered(site, database, "bob")) == ["Base", "PyTorch"]


def test_an_image_is_described_with_what_it_needs(site: Site) -> None:
    with_images(site, TORCH)
    html = " ".join(render_launch_form(site, "ann", "").split())

    assert 'data-needs="at least 0.1 fGPU, 2 GiB of memory"' in html
    assert 'data-size="6 GiB"' in html
    assert 'data-apps="MLflow UI, TensorBoard"' in html
    assert "PyTorch 2.15 for &lt;GPUs&gt;." in html
    assert "PyTorch 2.15 · 6 GiB · needs at least 0.1 fGPU, 2 GiB of memory · apps: " in html


@pytest.mark.parametrize("typed", ["ubuntu", "ubuntu:24.04"])
async def test_a_name_typed_by_hand_may_leave_out_latest(site: Site, typed: str) -> None:
    await inventory.refresh(site)
    latest = replace(PLAIN, reference="ubuntu:latest", version="latest")
    with_images(site, IMAGE, PLAIN, latest)

    row = Submissions(site).submit(Submitter("ann"), read_launch_request({"image": typed}))[0]

    assert row.image == {"ubuntu": "ubuntu:latest"}.get(typed, typed)


async def test_less_than_an_image_needs_is_refused_with_its_number(site: Site) -> None:
    await inventory.refresh(site)
    with_images(site, TORCH)
    ask = read_launch_request({"image": TORCH.reference, "fgpu": 0.5, "memory_mib": 1024})

    with pytest.raises(BadValue, match="PyTorch needs at least 2048 MiB of memory, not 1024"):
        Submissions(site).submit(Submitter("ann"), ask)
