"""Images made from sessions: given to projects or to all, taken back, deleted."""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.image_models import ImageRow
from hub_ext.db.models import ProjectRow, SessionRow
from hub_ext.errors import BadValue, Conflict, Forbidden, NotFound
from hub_ext.images.saved_names import short_name
from hub_ext.images.visibility import ALL, PROJECT, USER, may_manage, visible_images
from hub_ext.projects.audit import note
from hub_ext.projects.membership import roles_of
from hub_ext.projects.permissions import Action, may
from hub_ext.sessions.submission import Submitter
from hub_ext.site import Site

_Project = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]


class ImageChange(BaseModel):
    """Body of ``PATCH /images/{reference}``: who sees it. ``projects`` goes with "project"."""

    model_config = ConfigDict(extra="forbid")

    visibility: Literal["user", "project", "all"]
    projects: Annotated[list[_Project], Field(max_length=100)] = []


class ImageSharing:
    """Changes of who sees an image."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def change(self, who: Submitter, reference: str, change: ImageChange) -> ImageRow:
        """Give it or take it back. Raises NotFound, Forbidden, BadValue."""
        if bool(change.projects) != (change.visibility == PROJECT):
            raise BadValue(
                "Name the projects, and only with the visibility 'project'.", field="projects"
            )
        with self._site.database.transaction() as db:
            row = self._manageable(db, who, reference)
            if row is None:
                row = ImageRow(reference=reference, created_at=time.time(), projects=[])
                row.visibility = ALL
                db.add(row)
            if change.visibility == USER and row.owner is None:
                raise BadValue(
                    "This image was not made from a session, so it has no owner to keep it for.",
                    field="visibility",
                )
            before = _shown(row)
            self._check_may_give(db, who, change, before)
            row.visibility = change.visibility
            row.projects = sorted(set(change.projects))
            row.changed_by = who.by or who.user
            note(db, row.changed_by, "image.give", reference, None, before, _shown(row))
        return row

    def delete(self, who: Submitter, reference: str, confirm: str) -> None:
        """Nobody sees it from now on; the engine's image goes soon after.

        Raises NotFound, Forbidden, BadValue (the name was not typed), Conflict (in use).
        """
        with self._site.database.transaction() as db:
            row = self._manageable(db, who, reference)
            if row is None:
                self._check_made_here(reference)
                row = ImageRow(reference=reference, created_at=time.time(), projects=[])
                row.visibility = USER
            if confirm not in {reference, short_name(reference)}:
                raise BadValue(
                    f"Type {short_name(reference)} to delete this image.", field="confirm"
                )
            _check_unused(db, reference)
            db.add(row)
            row.deleted_at, row.changed_by = time.time(), who.by or who.user
            gone = {"owner": row.owner, "visibility": row.visibility}
            note(db, row.changed_by, "image.delete", reference, None, gone, None)

    def _check_made_here(self, reference: str) -> None:
        """Images of recipes and registries are the admin's own, on the command line."""
        if not self._site.images[reference].saved:
            raise Conflict(
                "This image was not made from a session; 'apportion image rm' removes it."
            )

    def _manageable(self, db: Session, who: Submitter, reference: str) -> ImageRow | None:
        """Raises NotFound when it cannot be seen, Forbidden when it can."""
        if reference not in visible_images(db, self._site, who.user, who.groups, who.admin):
            raise NotFound("There is no such image.")
        row = db.get(ImageRow, reference)
        if not may_manage(row, who.user, who.admin):
            raise Forbidden("Only its owner or an admin changes this image.")
        return row

    def _check_may_give(
        self, db: Session, who: Submitter, change: ImageChange, before: dict[str, Any]
    ) -> None:
        """An owner gives to projects that he instructs; those that have it already may stay."""
        if who.admin:
            known = set(db.scalars(select(ProjectRow.name)))
            missing = [name for name in change.projects if name not in known]
            if missing:
                raise BadValue(f"There is no project '{missing[0]}'.", field="projects")
            return
        if change.visibility == ALL and before["visibility"] != ALL:
            raise Forbidden("Only an admin gives an image to all.", field="visibility")
        roles = roles_of(db, self._site.policy, who.user, who.groups, False)
        for name in set(change.projects) - set(before["projects"]):
            if not may(roles.get(name), Action.NARROW):
                raise Forbidden(f"You are no instructor of a project '{name}'.", field="projects")


def _check_unused(db: Session, reference: str) -> None:
    query = select(SessionRow).where(SessionRow.image == reference, SessionRow.ended_at.is_(None))
    users = [f"{row.name} of {row.user}" for row in db.scalars(query.order_by(SessionRow.order))]
    if users:
        named = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
        raise Conflict(f"Sessions use this image: {named}. Stop them first.")


def _shown(row: ImageRow) -> dict[str, Any]:
    return {"visibility": row.visibility, "projects": list(row.projects)}
