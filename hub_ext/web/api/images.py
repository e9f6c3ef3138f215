"""``/api/v1/images`` and ``/api/v1/image-requests``: the catalogue, and images from sessions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from hub_ext.db.image_models import ImageRequestRow, ImageRow
from hub_ext.errors import BadValue, Forbidden, NotFound
from hub_ext.images.catalogue import CatalogueImage
from hub_ext.images.giving import ImageChange, ImageSharing
from hub_ext.images.request_states import State
from hub_ext.images.requests import (
    Decline,
    ImageRequests,
    NewImageRequest,
    request_json,
)
from hub_ext.images.visibility import image_rows, may_manage, visible_images
from hub_ext.nodes import inventory
from hub_ext.sessions.launch import bad_value
from hub_ext.web.base import ApiHandler

_Body = TypeVar("_Body", bound=BaseModel)
_FAR = 1e12
"""A time (Unix s) after all requests."""


class _ImagesHandler(ApiHandler):
    @property
    def requests(self) -> ImageRequests:
        """The site's requests."""
        return ImageRequests(self.site)

    def read(self, model: type[_Body]) -> _Body:
        """The body as the model has it. Raises BadValue."""
        try:
            return model.model_validate(self.body())
        except ValidationError as error:
            raise bad_value(error) from None

    def visible(self) -> dict[str, CatalogueImage]:
        """What the caller sees, by reference."""
        caller = self.caller
        with self.site.database.transaction() as db:
            return visible_images(db, self.site, caller.name, caller.groups, caller.admin)

    def image_json(self, image: CatalogueImage, row: ImageRow | None) -> dict[str, Any]:
        """One image. ``visibility``: user, project, all. ``manage``: the caller may change it;
        only then does it say to which projects it is given."""
        caller = self.caller
        manage = may_manage(row, caller.name, caller.admin)
        unseen = "user" if image.saved else "all"
        return {
            "reference": image.reference,
            "family": image.family,
            "title": image.title,
            "version": image.version,
            "description": image.description,
            "framework": image.framework,
            "apps": [asdict(app) for app in image.apps],
            "min_cpu_milli": image.min_cpu_milli,
            "min_memory_mib": image.min_memory_mib,
            "min_fgpu": float(image.min_fgpu),
            "size_bytes": image.size_bytes,
            "saved": image.saved,
            "sudo": image.sudo,
            "owner": row.owner if row is not None else None,
            "visibility": row.visibility if row is not None else unseen,
            "projects": list(row.projects) if row is not None and manage else [],
            "manage": manage,
        }


class ImagesHandler(_ImagesHandler):
    """The image catalogue."""

    async def get(self) -> None:
        """Images of the nodes that the caller may use; an admin sees all."""
        await inventory.refresh_images(self.site)
        visible = self.visible()
        with self.site.database.transaction() as db:
            rows = image_rows(db)
        found = [self.image_json(image, rows.get(name)) for name, image in visible.items()]
        self.reply({"images": found})


class ImageHandler(_ImagesHandler):
    """One image; its reference, slashes and all, is the rest of the path."""

    async def get(self, reference: str) -> None:
        """404 for one that the caller may not use."""
        await inventory.refresh_images(self.site, unless_known=reference)
        self._reply_image(reference)

    async def patch(self, reference: str) -> None:
        """Give it to projects or to all, or take it back."""
        await inventory.refresh_images(self.site, unless_known=reference)
        ImageSharing(self.site).change(self.submitter(), reference, self.read(ImageChange))
        self._reply_image(reference)

    async def delete(self, reference: str) -> None:
        """``confirm``: its name, typed. 409 while sessions use it."""
        await inventory.refresh_images(self.site, unless_known=reference)
        confirm = self.get_query_argument("confirm", "")
        ImageSharing(self.site).delete(self.submitter(), reference, confirm)
        self.reply({"deleted": reference})

    def _reply_image(self, reference: str) -> None:
        image = self.visible().get(reference)
        if image is None:
            raise NotFound("There is no such image.")
        with self.site.database.transaction() as db:
            row = db.get(ImageRow, reference)
        self.reply(self.image_json(image, row))


class SessionImageRequestHandler(_ImagesHandler):
    """A session that is to become an image."""

    async def post(self, session_id: str) -> None:
        """Ask for it; the session's owner alone."""
        session = self.visible_session(session_id)
        if session.user != self.caller.name:
            raise Forbidden("Only its user asks for an image of a session.")
        row = await self.requests.ask(session, self.caller.name, self.read(NewImageRequest))
        self.reply(request_json(row), 201)


class ImageRequestsHandler(_ImagesHandler):
    """Requests, the newest first."""

    def get(self) -> None:
        """The caller's own; ``all=1``: everybody's (admin). ``state``, repeated, filters.

        ``after``: ``requested_at`` of the last one of the page before.
        """
        limit = self.whole_number("limit", 50, 1, 500)
        states = self.get_query_arguments("state")
        if unknown := set(states) - set(State):
            raise BadValue(f"There is no state {sorted(unknown)[0]!r}.", field="state")
        everybody = self.get_query_argument("all", "") == "1" and self.caller.admin
        rows = self.requests.find(
            user=None if everybody else self.caller.name,
            states=states,
            limit=limit + 1,
            before=self._after(),
        )
        page = rows[:limit]
        self.reply(
            {
                "image_requests": [request_json(row) for row in page],
                "after": page[-1].requested_at if len(rows) > limit else None,
            }
        )

    def _after(self) -> float:
        try:
            after = float(self.get_query_argument("after", str(_FAR)))
        except ValueError:
            after = -1.0
        if not 0 <= after <= _FAR:
            raise BadValue("'after' must be a time in Unix seconds.", field="after")
        return after


class ImageRequestHandler(_ImagesHandler):
    """One request."""

    def get(self, request_id: str) -> None:
        """How far it is; for its user and admins."""
        self.reply(request_json(self._visible(request_id)))

    def delete(self, request_id: str) -> None:
        """Cancel it, before it is worked on."""
        row = self._visible(request_id)
        self.reply(request_json(self.requests.cancel(row.id, self.caller.name)))

    def _visible(self, request_id: str) -> ImageRequestRow:
        row, caller = self.requests.get(request_id), self.caller
        if row.user != caller.name and not caller.admin:
            raise NotFound("There is no such request.")
        return row


class _DecisionHandler(_ImagesHandler):
    async def prepare(self) -> None:
        """Admins only; others do not learn what there is."""
        await super().prepare()
        if not self.caller.admin:
            raise Forbidden("Only an admin decides about images.")


class ApproveHandler(_DecisionHandler):
    """Let it be made."""

    async def post(self, request_id: str) -> None:
        """The saving begins at once."""
        self.reply(request_json(await self.requests.approve(request_id, self.caller.name)))


class DeclineHandler(_DecisionHandler):
    """Refuse it."""

    def post(self, request_id: str) -> None:
        """With a reason, which its user reads."""
        reason = self.read(Decline).reason
        self.reply(request_json(self.requests.decline(request_id, self.caller.name, reason)))


class PushHandler(_DecisionHandler):
    """Try the registry again."""

    def post(self, request_id: str) -> None:
        """Of an image that is there already."""
        self.reply(request_json(self.requests.push_again(request_id, self.caller.name)))
