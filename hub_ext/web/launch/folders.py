"""The folders of the launch form: all that one may mount, as the last launch had them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.folders.access import Access, Mode, Person
from hub_ext.folders.catalogue import HOME_FOLDER
from hub_ext.folders.names import is_dot_folder
from hub_ext.site import Site
from hub_ext.web.translation import gettext


def launch_folders(
    db: Session, site: Site, person: Person, asked: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Own ones first, then those that others share, then those of projects.

    ``asked``: folders as a launch request has them, which are ticked. Home and own dot-folders
    are not there to choose: every session has them.
    """
    access = Access(db, site.policy, person)
    found = []
    for row in access.candidates(db):
        mode, own = access.mode(row), row.kind == "user" and row.owner == person.name
        if mode is None or row.name == HOME_FOLDER or (own and is_dot_folder(row.name)):
            continue
        before = next((wish for wish in asked if _is(row, wish, own)), None)
        found.append(
            {
                "id": row.id,
                "name": row.name,
                "of": "" if own else _owner(row),
                "usage": row.usage,
                "writable": mode.covers(Mode.RW),
                "chosen": before is not None,
                "mode": (before or {}).get("mode") or "",
                "target": (before or {}).get("target") or "",
                "subpath": (before or {}).get("subpath") or "",
            }
        )
    return found


def _is(row: FolderRow, wish: dict[str, Any], own: bool) -> bool:
    """Whether the last launch meant this one; by name alone it meant his own."""
    if wish.get("id") is not None:
        return bool(wish["id"] == row.id)
    of = wish.get("of")
    return wish.get("name") == row.name and (own if of is None else of == f"{row.kind}:{row.owner}")


def _owner(row: FolderRow) -> str:
    if row.kind == "project":
        return gettext("of project %(owner)s") % {"owner": row.owner}
    return gettext("of %(owner)s") % {"owner": row.owner}
