"""Folders with their invitations, and images with their requests, of a seeded site."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from benchmarks.seeded_site import COURSE, DAY, INSTRUCTOR, STUDENT, Seeding, add
from hub_ext.db.folder_models import FolderRow, ShareRow, StorageQuotaRow
from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.images.catalogue import App, CatalogueImage

_GIB = 1024**3
_USAGES = ("general", "data", "model")
_FAMILIES = ("Data science", "PyTorch", "TensorFlow", "JAX", "R", "Julia", "RAPIDS", "Base")
_SAVED_EVERY = 4
"""So many images of the nodes come one from a session, the others from the catalogue."""


def write_folders(connection: Connection, seeding: Seeding) -> None:
    """Of users and courses; a tenth is in the trash, a third is shared with somebody."""
    rows = list(_folders(seeding))
    add(connection, FolderRow, iter(rows))
    for row in rows:
        if row["kind"] == "user" and not row["trashed_at"]:
            seeding.folders_of.setdefault(row["owner"], {})[row["id"]] = row["name"]
    add(connection, ShareRow, _shares(seeding, rows))
    quotas = [("user", STUDENT), ("user", INSTRUCTOR), ("project", COURSE)]
    add(
        connection,
        StorageQuotaRow,
        ({"kind": kind, "owner": owner, "bytes": 50 * _GIB} for kind, owner in quotas),
    )


def _folders(seeding: Seeding) -> Iterator[dict[str, Any]]:
    chance = seeding.chance
    for number in range(seeding.size.folders):
        kind = "project" if number % 5 == 0 else "user"
        owner = chance.choice(seeding.courses) if kind == "project" else seeding.user()
        if number < 40:
            owner = COURSE if kind == "project" else (STUDENT, INSTRUCTOR)[number % 2]
        created = seeding.now - chance.random() * seeding.size.days * DAY
        trashed = created + DAY if number % 10 == 7 else None
        yield {
            "id": seeding.id(),
            "kind": kind,
            "owner": owner,
            "name": f"{chance.choice(('data', 'results', 'models', 'notes'))}-{number}",
            "usage": _USAGES[number % 3],
            "members_mode": "ro",
            "created_at": created,
            "created_by": owner,
            "state": "new",
            "trashed_at": trashed,
            "trashed_by": owner if trashed else None,
            "used_bytes": int(chance.expovariate(1 / _GIB)),
            "used_files": chance.randrange(20_000),
            "measured_at": seeding.now - 600,
        }


def _shares(seeding: Seeding, folders: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for number, folder in enumerate(folders):
        if number % 3 or folder["kind"] != "user" or folder["trashed_at"]:
            continue
        users = set(seeding.chance.sample(seeding.users, 3))
        if number % 30 == 0 and folder["owner"] != STUDENT:
            users.add(STUDENT)
        for user in sorted(users - {folder["owner"]}):
            accepted = seeding.chance.random() < 0.7
            yield {
                "id": seeding.id(),
                "folder_id": folder["id"],
                "user": user,
                "mode": "rw" if number % 2 else "ro",
                "state": "accepted" if accepted else "pending",
                "invited_by": folder["owner"],
                "invited_at": folder["created_at"] + 60,
                "answered_at": folder["created_at"] + 120 if accepted else None,
                "ended_at": None,
            }


def write_images(connection: Connection, seeding: Seeding) -> None:
    """Rows of saved images, and requests for more; ``catalogue`` has the images themselves."""
    saved = [image for image in catalogue(seeding.size.images) if image.saved]
    add(connection, ImageRow, (_image(seeding, n, image) for n, image in enumerate(saved)))
    requests = max(6, seeding.size.images // 5)
    add(connection, ImageRequestRow, (_request(seeding, number) for number in range(requests)))


def catalogue(count: int) -> list[CatalogueImage]:
    """What an engine would list: families with several versions, and images made from sessions."""
    return [
        _saved(number) if number % _SAVED_EVERY == 3 else _listed(number) for number in range(count)
    ]


def _listed(number: int) -> CatalogueImage:
    family = _FAMILIES[number % len(_FAMILIES)]
    version = f"2026.{number // len(_FAMILIES) + 1}"
    name = family.lower().replace(" ", "")
    return CatalogueImage(
        reference=f"apportion/{name}:{version}",
        image_id=f"sha256:{number:064x}",
        family=name,
        title=family,
        version=version,
        description=f"{family} with JupyterLab, MLflow and a terminal.",
        framework=family,
        apps=(App("mlflow", "MLflow UI", "mlflow/"), App("tensorboard", "TensorBoard", "tb/")),
        min_memory_mib=2048,
        size_bytes=(4 + number % 9) * _GIB,
        created=1.75e9 + number,
        labelled=True,
    )


def _saved(number: int) -> CatalogueImage:
    return CatalogueImage(
        reference=f"apportion-0123abcd/u-{number}/my-image:{number}",
        image_id=f"sha256:{number:064x}",
        family=f"my-image-{number}",
        title=f"my-image-{number}",
        version=str(number),
        description="Made from a session.",
        size_bytes=6 * _GIB,
        created=1.76e9 + number,
        labelled=True,
        saved=True,
    )


def _image(seeding: Seeding, number: int, image: CatalogueImage) -> dict[str, Any]:
    visibility = ("user", "project", "all")[number % 3]
    return {
        "reference": image.reference,
        "owner": STUDENT if number % 10 == 0 else seeding.user(),
        "visibility": visibility,
        "projects": [seeding.chance.choice(seeding.courses)] if visibility == "project" else [],
        "created_at": image.created,
        "changed_by": "",
        "deleted_at": None,
    }


def _request(seeding: Seeding, number: int) -> dict[str, Any]:
    state = ("requested", "done", "declined")[number % 3]
    asked = seeding.now - 3600.0 * (number + 1)
    decided = None if state == "requested" else asked + 600
    diff = {
        "added": 1200,
        "changed": 40,
        "deleted": 2,
        "left_out": 9,
        "paths": [],
        "directories": [],
    }
    return {
        "id": seeding.id(),
        "session_id": seeding.id(),
        "user": STUDENT if number < 6 else seeding.user(),
        "project": seeding.chance.choice(seeding.courses),
        "name": f"torch-course-{number}",
        "description": "Everything that exercise 4 needs.",
        "state": state,
        "reason": "Use the course's image." if state == "declined" else "",
        "reference": f"apportion-0123abcd/u-x/torch-course-{number}:1" if state == "done" else None,
        "parent": "apportion/pytorch:2026.1",
        "size_bytes": 2 * _GIB,
        "diff": diff,
        "progress": 1.0 if state == "done" else 0.0,
        "requested_at": asked,
        "decided_at": decided,
        "decided_by": None if decided is None else "root",
        "ended_at": decided,
    }
