"""Pages of images: the catalogue, one's own images and requests, and what waits for an admin.

They show what the REST API answers; changes are the API's own handlers, with fields for JSON.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.db.models import SessionRow
from hub_ext.errors import NotFound
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.images.families import Family, families
from hub_ext.images.giving import ImageSharing
from hub_ext.images.request_states import UNFINISHED, State
from hub_ext.images.requests import held, may_push_again, request_json
from hub_ext.images.saved_names import LONGEST, short_name
from hub_ext.images.visibility import image_rows, visible_images
from hub_ext.nodes import inventory
from hub_ext.projects.membership import roles_of
from hub_ext.projects.permissions import Action, may
from hub_ext.web.api.images import (
    ApproveHandler,
    DeclineHandler,
    ImageHandler,
    ImageRequestHandler,
    ImagesHandler,
    PushHandler,
    SessionImageRequestHandler,
)
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.page import Page
from hub_ext.web.templating import ROOT, templates
from hub_ext.web.translation import gettext as _

IMAGES = f"{ROOT}images"
_MINE_SHOWN = 20
_WAITING_SHOWN = 100
_DECIDED_SHOWN = 20
MOVING = frozenset({*UNFINISHED, State.PUSHING}) - {State.REQUESTED}
"""States in which there is progress to see."""

templates.filters["short_name"] = short_name
templates.globals["LONGEST_IMAGE_NAME"] = LONGEST
templates.globals["MOST_BOXES"] = 20
"""Of so many projects at most each has a box to tick; of more, names are typed."""


@dataclass(frozen=True, slots=True)
class _Shelf:
    """A family as the page shows it: ``versions`` are the API's images."""

    title: str
    versions: list[dict[str, Any]]


class ImagesList(Page, ImagesHandler):
    """The live part of the Images page."""

    section = "images"

    template = "images_list.html"

    async def get(self) -> None:
        """What waits (admins), own images, own requests, the catalogue."""
        caller = self.caller
        await inventory.refresh_images(self.site)
        with self.site.database.transaction() as db:
            visible = visible_images(db, self.site, caller.name, caller.groups, self.everybody)
            rows = image_rows(db)
            waiting = _waiting(db) if caller.admin else []
            decided = _decided(db, self.site.policy.registry) if caller.admin else []
            requests = _own_requests(db, caller.name)
            kept = sum(held(db, caller.name))
            roles = roles_of(db, self.site.policy, caller.name, caller.groups, caller.admin)
        mine, others = _own_and_others(visible, rows, caller.name)
        self.show_list(
            waiting=waiting,
            decided=decided,
            kept=kept,
            most=self.site.policy.max_saved_images,
            mine=[self.image_json(image, rows.get(image.reference)) for image in mine],
            requests=requests,
            shelves=[self._shelf(family, rows) for family in families(others)],
            projects=sorted(name for name, role in roles.items() if may(role, Action.NARROW)),
            moving=any(each["state"] in MOVING for each in (*waiting, *decided, *requests)),
            admin=caller.admin,
            everybody=self.everybody,
        )

    @property
    def everybody(self) -> bool:
        """An admin looks at the private images of others too."""
        return self.caller.admin and self.get_query_argument("all", "") == "1"

    def show_list(self, **context: Any) -> None:
        """As a part of the page."""
        self.show(self.template, **context)

    def _shelf(self, family: Family, rows: Mapping[str, ImageRow]) -> _Shelf:
        versions = [self.image_json(image, rows.get(image.reference)) for image in family.images]
        return _Shelf(family.title, versions)


class ImagesPage(ImagesList):
    """The Images page."""

    template = "images.html"

    def show_list(self, **context: Any) -> None:
        """As the whole page."""
        self.show(self.template, said=self.said(), **context)


class ImageForm(Form):
    """A change; without a page of ours to go back to, it leads to the Images page."""

    home = IMAGES

    @property
    def back(self) -> str:
        """The page that the form is on."""
        back = super().back
        return back if back.startswith((IMAGES, f"{ROOT}sessions/")) else IMAGES


class AskForm(ImageForm, SessionImageRequestHandler):
    """A session that is to become an image."""

    names = ("name",)
    optional = ("description",)

    def next(self, value: dict[str, Any]) -> str:
        """To the session, which shows how far it is."""
        return f"{ROOT}sessions/{value['session_id']}"

    def done(self, value: dict[str, Any]) -> list[str]:
        """What happens next."""
        if value["state"] == State.REQUESTED:
            said = _("%(name)s is asked for. An admin decides; keep the session running.")
        else:
            said = _("%(name)s is being made. Keep the session running until it is there.")
        return [said % {"name": value["name"]}]


class CancelRequestForm(ImageForm, ImageRequestHandler):
    """No image after all."""

    def post(self, request_id: str) -> None:
        """As DELETE of the API."""
        self.delete(request_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is gone."""
        return [_("The request for %(name)s is cancelled.") % {"name": value["name"]}]


class DecisionForm(ImageForm):
    """For admins; to others there is nothing here."""

    async def prepare(self) -> None:
        """Raises NotFound."""
        await super().prepare()
        if not self._finished and not self.caller.admin:
            raise NotFound("There is no such request.")


class ApproveForm(DecisionForm, ApproveHandler):
    """Let it be made."""

    def done(self, value: dict[str, Any]) -> list[str]:
        """It goes on by itself."""
        said = _("%(name)s of %(user)s is being made.")
        return [said % {"name": value["name"], "user": value["user"]}]


class DeclineForm(DecisionForm, DeclineHandler):
    """Refuse it."""

    names = ("reason",)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who reads why."""
        said = _("%(name)s is declined; %(user)s reads the reason.")
        return [said % {"name": value["name"], "user": value["user"]}]


class PushForm(DecisionForm, PushHandler):
    """To the registry once more."""

    def done(self, value: dict[str, Any]) -> list[str]:
        """It goes on by itself."""
        return [_("%(name)s is on its way to the registry.") % {"name": value["name"]}]


class GiveForm(ImageForm, ImageHandler):
    """Who may use an image."""

    async def post(self) -> None:
        """As PATCH of the API."""
        await self.patch(self.get_body_argument("reference"))

    def values(self) -> dict[str, Any]:
        """Projects that are ticked or typed count only for the choice that they belong to."""
        visibility = self.get_body_argument("visibility")
        if visibility != "project":
            return {"visibility": visibility, "projects": []}
        typed = self.get_body_argument("more_projects", "").replace(",", " ").split()
        projects = [*self.get_body_arguments("project"), *typed]
        return {"visibility": visibility, "projects": list(dict.fromkeys(projects))}

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who."""
        sentences = {
            "all": _("Everybody may use %(name)s now."),
            "project": _("%(name)s may be used in %(projects)s now."),
            "user": _("Only %(owner)s may use %(name)s now."),
        }
        names = {
            "name": short_name(value["reference"]),
            "projects": ", ".join(value["projects"]),
            "owner": value["owner"],
        }
        return [sentences[value["visibility"]] % names]


class DeleteImageForm(ImageForm, ImagesHandler):
    """For good."""

    async def post(self) -> None:
        """``confirm``: its name, typed."""
        reference = self.get_body_argument("reference")
        await inventory.refresh_images(self.site, unless_known=reference)
        confirm = self.get_body_argument("confirm")
        ImageSharing(self.site).delete(self.submitter(), reference, confirm)
        self.reply({"deleted": reference})

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is gone."""
        return [_("%(name)s is deleted.") % {"name": short_name(value["deleted"])}]


def _own_and_others(
    visible: Mapping[str, CatalogueImage], rows: Mapping[str, ImageRow], user: str
) -> tuple[list[CatalogueImage], list[CatalogueImage]]:
    own = {name for name in visible if name in rows and rows[name].owner == user}
    mine = sorted((visible[name] for name in own), key=lambda image: -image.created)
    return mine, [image for name, image in visible.items() if name not in own]


def _own_requests(db: Session, user: str) -> list[dict[str, Any]]:
    """The newest first."""
    query = select(ImageRequestRow).where(ImageRequestRow.user == user)
    query = query.order_by(ImageRequestRow.requested_at.desc(), ImageRequestRow.id)
    return _with_sessions(db, db.scalars(query.limit(_MINE_SHOWN)).all())


def _waiting(db: Session) -> list[dict[str, Any]]:
    """What an admin has to decide, the longest waiting first."""
    query = select(ImageRequestRow).where(ImageRequestRow.state == State.REQUESTED)
    query = query.order_by(ImageRequestRow.requested_at, ImageRequestRow.id)
    return _with_sessions(db, db.scalars(query.limit(_WAITING_SHOWN)).all())


def _decided(db: Session, registry: str) -> list[dict[str, Any]]:
    """What has become of the last requests, the newest decision first."""
    query = select(ImageRequestRow).where(ImageRequestRow.decided_at.is_not(None))
    query = query.order_by(ImageRequestRow.decided_at.desc(), ImageRequestRow.id)
    rows = db.scalars(query.limit(_DECIDED_SHOWN)).all()
    shown = _with_sessions(db, rows)
    return [
        each | {"may_push": may_push_again(row, registry)}
        for row, each in zip(rows, shown, strict=True)
    ]


def _with_sessions(db: Session, rows: Sequence[ImageRequestRow]) -> list[dict[str, Any]]:
    """Requests with the names that their sessions have; "" when they are gone."""
    names = _session_names(db, {row.session_id for row in rows})
    return [request_json(row) | {"session": names.get(row.session_id, "")} for row in rows]


def _session_names(db: Session, ids: Collection[str]) -> dict[str, str]:
    query = select(SessionRow.id, SessionRow.name).where(SessionRow.id.in_(ids))
    return {row.id: row.name for row in db.execute(query)}
