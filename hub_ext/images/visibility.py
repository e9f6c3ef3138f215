"""Who may see and use which image: the one place that decides.

| image                    | seen by                                 | managed by   |
|--------------------------|-----------------------------------------|--------------|
| no row, not saved        | everybody                               | admin        |
| no row, saved            | admins: another site made it            | admin        |
| visibility ``user``      | its owner, admins                       | owner, admin |
| visibility ``project``   | its owner, the projects' people, admins | owner, admin |
| visibility ``all``       | everybody                               | owner, admin |
| deleted                  | nobody                                  | nobody       |

An owner gives it to projects that he instructs; to all, an admin does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.image_models import ImageRow
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.projects.membership import roles_of

if TYPE_CHECKING:
    from hub_ext.site import Site

ALL, PROJECT, USER = "all", "project", "user"


def visible_images(
    db: Session, site: Site, user: str, groups: Collection[str], admin: bool
) -> dict[str, CatalogueImage]:
    """The images of the nodes that this user may launch, by reference.

    ``admin``: everybody's. To choose or offer an image, ask with False: an admin's form is
    not the place for the private images of others.
    """
    rows = image_rows(db)
    roles: Mapping[str, object] | None = None
    visible = {}
    for reference, image in site.images.items():
        row = rows.get(reference)
        if roles is None and row is not None and row.visibility == PROJECT and not admin:
            roles = roles_of(db, site.policy, user, groups, False)
        if sees(image, row, user, roles or {}, admin):
            visible[reference] = image
    return visible


def may_start(
    db: Session, site: Site, user: str, groups: Collection[str], admin: bool, reference: str
) -> bool:
    """Whether a session that was launched earlier may have its image still.

    An image that the nodes do not have is no secret of anybody's, unless a row says so.
    """
    image, row = site.images.get(reference), db.get(ImageRow, reference)
    roles: Mapping[str, object] = {}
    if row is not None and row.visibility == PROJECT and not admin:
        roles = roles_of(db, site.policy, user, groups, False)
    return sees(image, row, user, roles, admin)


def sees(
    image: CatalogueImage | None,
    row: ImageRow | None,
    user: str,
    projects: Collection[str],
    admin: bool,
) -> bool:
    """The table above. ``projects``: where the user has a part. ``image``: None, if away."""
    if row is None:
        return admin or image is None or not image.saved
    if row.deleted_at is not None:
        return False
    if admin or row.visibility == ALL or row.owner == user:
        return True
    return row.visibility == PROJECT and not set(row.projects).isdisjoint(projects)


def may_manage(row: ImageRow | None, user: str, admin: bool) -> bool:
    """Give it to others, take it back, delete it."""
    return admin or (row is not None and row.owner == user)


def image_rows(db: Session) -> dict[str, ImageRow]:
    """What is known of images, by reference."""
    return {row.reference: row for row in db.scalars(select(ImageRow))}
