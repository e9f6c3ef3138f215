"""What saving leaves about while it works, and its removal: interim images, files, deleted ones.

An interim image is what ``docker commit`` makes, with the session's secrets in it. It has no
name that the catalogue shows, and is found by its labels whatever has happened to us.
"""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from sqlalchemy import select

from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.images.catalogue import HIDDEN_LABEL, PREFIX
from hub_ext.images.request_states import WORKED_ON
from hub_ext.images.saved_config import site_key
from hub_ext.nodes.engine import EngineRefused, ImageStore
from hub_ext.site import Site

INTERIM = "apportion-interim"
_OF_LABEL = PREFIX + "interim-of"
SITE_LABEL = PREFIX + "interim-site"

log = logging.getLogger(__name__)


def interim_labels(site: Site, request_id: str) -> dict[str, str]:
    """Hide it, and say whose it is."""
    return {
        HIDDEN_LABEL: "1",
        _OF_LABEL: request_id,
        SITE_LABEL: site_key(site.deployment_id),
    }


def interim_image(store: ImageStore, request_id: str) -> str | None:
    """Id of the interim image of a request."""
    return next(iter(store.labelled(f"{_OF_LABEL}={request_id}")), None)


def work_directory(site: Site, request_id: str) -> Path:
    """For its files; below the data directory, which only the service reads."""
    return site.data_dir / "saving" / request_id


def remove_leftovers(site: Site, store: ImageStore) -> None:
    """Remove what no request under way needs: blocks. Raises EngineUnavailable."""
    with site.database.transaction() as db:
        query = select(ImageRequestRow.id).where(ImageRequestRow.state.in_(WORKED_ON))
        needed = set(db.scalars(query))
        deleted = db.scalars(select(ImageRow).where(ImageRow.deleted_at.is_not(None))).all()
    for image_id in store.labelled(f"{SITE_LABEL}={site_key(site.deployment_id)}"):
        facts = store.image(image_id)
        if facts is not None and facts.labels.get(_OF_LABEL) not in needed:
            _remove(store, image_id)
    for directory in (site.data_dir / "saving").glob("*"):
        if directory.name not in needed:
            shutil.rmtree(directory, ignore_errors=True)
    for row in deleted:
        if _remove(store, row.reference):
            with site.database.transaction() as db:
                db.delete(db.get_one(ImageRow, row.reference))


def remove_interim(site: Site, store: ImageStore, request_id: str) -> None:
    """Interim image and files of one request: blocks."""
    for image_id in store.labelled(f"{_OF_LABEL}={request_id}"):
        store.remove_image(image_id)
    shutil.rmtree(work_directory(site, request_id), ignore_errors=True)


def _remove(store: ImageStore, reference: str) -> bool:
    """False when the engine still needs it, for a container that is going."""
    try:
        store.remove_image(reference)
    except EngineRefused as error:
        log.info("Image %s is not removed yet: %s", reference, error)
        return False
    return True
