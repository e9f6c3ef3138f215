"""The page of limits: what the site's options set, storage quotas, images of users."""

from __future__ import annotations

import math
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.db.image_models import ImageRow
from hub_ext.db.models import ProjectRow
from hub_ext.errors import BadValue
from hub_ext.folders import quota
from hub_ext.folders.quota import Room
from hub_ext.projects.body import is_user_name
from hub_ext.projects.limits import limits_of
from hub_ext.projects.settings import check_name
from hub_ext.projects.views import limits_json
from hub_ext.web.api.folders import QuotaHandler
from hub_ext.web.pages.admin import ADMIN, AdminForm, AdminPage
from hub_ext.web.pages.admin_options import options
from hub_ext.web.sentences import sentence
from hub_ext.web.translation import gettext as _

LIMITS = f"{ADMIN}/limits"
_DEFAULT_PROJECT = "default"
_FOUND = 20
"""Owners that a search shows."""
_MOST_IMAGES = 10
"""Users with the most images."""


class LimitsPage(AdminPage):
    """Everything that bounds users, and where it is set."""

    part = "admin/limits"

    def get(self) -> None:
        """``owner``: whose storage quota is looked for."""
        wanted = self.get_query_argument("owner", "")
        policy = self.site.policy
        with self.site.database.transaction() as db:
            set_here = [(row.kind, row.owner) for row in quota.set_limits(db)]
            owners = _owners(db, wanted) if wanted else set_here
            rooms = list(quota.rooms(db, policy, owners).values())
            default = db.get(ProjectRow, _DEFAULT_PROJECT)
            members = (
                None if default is None else limits_json(limits_of(default, None), policy.unit)
            )
            images = _images(db)
        self.show_part(
            "admin_limits.html",
            options=options(policy),
            policy=policy,
            rooms=rooms,
            own=set(set_here),
            wanted=wanted,
            members=members,
            images=images,
        )


class QuotaForm(AdminForm, QuotaHandler):
    """A storage quota; kind and owner are fields, because a user's name may be anything."""

    home = LIMITS

    def post(self) -> None:
        """As PUT of the API."""
        self.put(*self.owner())

    def owner(self) -> tuple[str, str]:
        """Kind and name. Raises BadValue."""
        kind, owner = self.get_body_argument("kind"), self.get_body_argument("owner")
        if kind not in {"user", "project"}:
            raise BadValue(_("A storage quota is a user's or a project's."), field="kind")
        if kind == "project":
            check_name(owner)
        if not is_user_name(owner):
            raise BadValue(_("That is nobody's name."), field="owner")
        return kind, owner

    def values(self) -> dict[str, Any]:
        """GiB; without a number there is no limit. Raises BadValue."""
        text = self.get_body_argument("gib", "")
        if not text:
            return {"gib": None}
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not 0 <= number <= 2**22:
            raise BadValue(
                _("GiB: '%(value)s' is not a number from 0 to 4,194,304.") % {"value": text[:40]},
                field="gib",
            )
        return {"gib": number}

    def done(self, value: dict[str, Any]) -> list[str]:
        """How it stands now."""
        room = Room(value["kind"], value["owner"], value["used_bytes"], value["limit_bytes"])
        said = [sentence(room.sentence())]
        if room.full:
            said.append(_("Nothing is deleted; nothing more can be added."))
        return said


class DropQuotaForm(QuotaForm):
    """Back to the site's default."""

    def post(self) -> None:
        """As DELETE of the API."""
        self.delete(*self.owner())

    def done(self, value: dict[str, Any]) -> list[str]:
        """How it stands now."""
        return [_("The default of the site holds again."), *super().done(value)]


def _owners(db: Session, wanted: str) -> list[tuple[str, str]]:
    """Owners of folders and quotas that have this in their names; also who has none yet."""
    query = select(FolderRow.kind, FolderRow.owner).distinct()
    query = query.where(FolderRow.owner.icontains(wanted, autoescape=True))
    found = {(kind, owner) for kind, owner in db.execute(query.limit(_FOUND))}
    found |= {(row.kind, row.owner) for row in quota.set_limits(db) if _in(wanted, row.owner)}
    if is_user_name(wanted):
        found.add(("user", wanted))
    names = select(ProjectRow.name).where(ProjectRow.name.icontains(wanted, autoescape=True))
    found |= {("project", name) for name in db.scalars(names.limit(_FOUND))}
    exact_first = sorted(found, key=lambda each: (each[1] != wanted, each))
    return exact_first[:_FOUND]


def _in(wanted: str, name: str) -> bool:
    return wanted.casefold() in name.casefold()


def _images(db: Session) -> list[tuple[str, int]]:
    """Users with the most images made from sessions."""
    count = func.count().label("count")
    query = select(ImageRow.owner, count).where(
        ImageRow.owner.is_not(None), ImageRow.deleted_at.is_(None)
    )
    query = query.group_by(ImageRow.owner).order_by(count.desc(), ImageRow.owner)
    return [(str(owner), number) for owner, number in db.execute(query.limit(_MOST_IMAGES))]
