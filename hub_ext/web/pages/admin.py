"""The admin's pages: what all of them share, and the first one, which says what needs attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.image_models import ImageRequestRow
from hub_ext.db.models import DeviceRow, NodeRow
from hub_ext.errors import ApportionError, Forbidden
from hub_ext.first_steps import first_steps
from hub_ext.images.request_states import State
from hub_ext.nodes.presets import largest_node, list_presets, too_large
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.page import Page
from hub_ext.web.sentences import sentence
from hub_ext.web.templating import ROOT
from hub_ext.web.translation import gettext as _

ADMIN = f"{ROOT}admin"
_REQUESTS_SHOWN = 5


def parts() -> dict[str, str]:
    """The pages of the section by path, each with its title, in the order of the navigation."""
    return {
        "admin": _("Overview"),
        "admin/nodes": _("Nodes"),
        "admin/groups": _("Resource groups"),
        "admin/presets": _("Presets"),
        "admin/limits": _("Limits"),
        "admin/announcements": _("Announcements"),
        "admin/audit": _("Audit log"),
    }


class _ForAdmins(Page):
    """Everybody else is told so: that there are pages for admins is no secret."""

    section = "admin"

    async def prepare(self) -> None:
        """Raises Forbidden."""
        await super().prepare()
        if not self._finished and not self.caller.admin:
            raise Forbidden(_("This page is for admins."))


class AdminPage(_ForAdmins):
    """One of the section."""

    part = "admin"
    """Path of the page in ``parts``."""

    def show_part(self, name: str, **context: Any) -> None:
        """Render a template that extends ``admin_frame.html``."""
        self.show(name, said=self.said(), part=self.part, parts=parts(), **context)


class AdminForm(_ForAdmins, Form):
    """A change that an admin makes."""

    home = ADMIN


@dataclass(frozen=True, slots=True)
class Attention:
    """What somebody should look at, and where."""

    level: str
    """danger or warning"""
    text: str
    path: str
    """Below the service's root."""


class AdminHome(AdminPage):
    """What needs attention, and the way to all parts."""

    async def get(self) -> None:
        """As of now."""
        found = await self._storage()
        with self.site.database.transaction() as db:
            found += [*_of_nodes(db), *_of_presets(db, self)]
            requests = _requests(db)
        await self.show_home(attention=found, requests=requests)

    async def show_home(self, **context: Any) -> None:
        """As the whole page."""
        steps = await first_steps(self.site, self.caller.name)
        self.show_part("admin.html", first_steps=steps, **context)

    async def _storage(self) -> list[Attention]:
        try:
            await self.site.folders.storage.free_bytes()
        except ApportionError as error:
            return [Attention("danger", error.message, "folders")]
        return []


class AdminAttention(AdminHome):
    """The part of it that stays up to date."""

    async def show_home(self, **context: Any) -> None:
        """As a part of the page."""
        self.show("admin_attention.html", **context)


def _of_nodes(db: Session) -> list[Attention]:
    nodes = db.scalars(select(NodeRow).order_by(NodeRow.name)).all()
    if not nodes:
        text = _("There is no node. Run 'apportion doctor' on the machine of the service.")
        return [Attention("danger", text, "admin/nodes")]
    found = []
    for node in nodes:
        words = {"node": node.name, "problem": sentence(node.problem)}
        path = "admin/nodes"
        if node.problem:
            text = _("Node %(node)s takes no sessions: %(problem)s") % words
            found.append(Attention("danger", text, path))
        if node.drained:
            text = _("Node %(node)s is drained: no session starts there.") % words
            found.append(Attention("warning", text, path))
        found += [_of_device(device) for device in node.devices if device.problem]
    return found


def _of_device(device: DeviceRow) -> Attention:
    words: dict[str, Any] = {"device": device.device, "node": device.node}
    words["problem"] = sentence(device.problem)
    text = _("Device %(device)s of node %(node)s: %(problem)s") % words
    return Attention("danger", text, "admin/nodes")


def _of_presets(db: Session, page: Page) -> list[Attention]:
    unit = page.site.policy.unit
    largest = largest_node(db)
    problems = [too_large(preset, largest, unit) for preset in list_presets(db)]
    return [Attention("warning", problem, "admin/presets") for problem in problems if problem]


def _requests(db: Session) -> dict[str, Any]:
    """Those for images that wait, the longest waiting first, and how many there are."""
    waits = ImageRequestRow.state == State.REQUESTED
    query = select(ImageRequestRow).where(waits).order_by(ImageRequestRow.requested_at)
    count = db.scalar(select(func.count()).select_from(ImageRequestRow).where(waits))
    return {"count": count or 0, "first": db.scalars(query.limit(_REQUESTS_SHOWN)).all()}
