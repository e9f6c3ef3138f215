"""Pages of the nodes: what they hold; drain, resume, labels, resource group."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hub_ext.errors import BadValue
from hub_ext.nodes.administration import existing_node
from hub_ext.nodes.bookings import holders
from hub_ext.nodes.device_rows import list_events
from hub_ext.nodes.groups import list_groups
from hub_ext.web.api.nodes import NodeApiHandler, NodeHandler, enforcers_json, event_json
from hub_ext.web.pages.admin import ADMIN, AdminForm, AdminPage
from hub_ext.web.translation import gettext as _

NODES = f"{ADMIN}/nodes"


def node_url(name: str) -> str:
    """The page of one node."""
    return f"{NODES}/{quote(name, safe='')}"


class NodesPage(AdminPage, NodeApiHandler):
    """All nodes."""

    part = "admin/nodes"

    def get(self) -> None:
        """``undo``: a node that has just been drained."""
        with self.site.database.transaction() as db:
            booked, nodes = holders(db), self.nodes_json(db)
        undo = self.get_query_argument("undo", "")
        drained = any(node["name"] == undo and node["drained"] for node in nodes)
        self.show_nodes(nodes=nodes, booked=booked, undo=undo if drained else "")

    def show_nodes(self, **context: Any) -> None:
        """As the whole page."""
        self.show_part("admin_nodes.html", **context)


class NodesTable(NodesPage):
    """The live part."""

    def show_nodes(self, **context: Any) -> None:
        """As a part of the page."""
        self.show("admin_nodes_table.html", **context)


class NodePage(AdminPage, NodeApiHandler):
    """One node: its labels, its group, and who is on it."""

    part = "admin/nodes"

    def get(self, name: str) -> None:
        """Raises NotFound."""
        with self.site.database.transaction() as db:
            node = self.node_json(db, name)
            booked = holders(db, name)
            groups = [group.name for group in list_groups(db)]
            events = [event_json(row) for row in list_events(db, name, limit=20)]
        self.show_part(
            "admin_node.html",
            node=node,
            booked=booked,
            groups=groups,
            events=events,
            enforcers=enforcers_json(),
        )


class NodeForm(AdminForm, NodeHandler):
    """A change of a node."""

    home = NODES

    def post(self, name: str) -> None:
        """As PATCH of the API."""
        self.patch(name)

    def labels(self) -> dict[str, str]:
        """Those that the node has now. Raises NotFound."""
        with self.site.database.transaction() as db:
            return dict(existing_node(db, self.path_args[0]).labels)


class DrainForm(NodeForm):
    """No new sessions there."""

    def values(self) -> dict[str, Any]:
        """Whether it is."""
        return {"drained": True}

    def next(self, value: dict[str, Any]) -> str:
        """To the list, which offers the way back."""
        return f"{NODES}?undo={quote(value['name'], safe='')}"

    def done(self, value: dict[str, Any]) -> list[str]:
        """What becomes of those that are there."""
        return [str(value["message"])]


class ResumeForm(DrainForm):
    """Into service again."""

    def values(self) -> dict[str, Any]:
        """Whether it is drained."""
        return {"drained": False}

    def next(self, value: dict[str, Any]) -> str:
        """To where it was asked for; the offer to undo is over."""
        return self.back.partition("?undo=")[0]


class GroupOfNodeForm(NodeForm):
    """Another resource group."""

    names = ("resource_group",)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Which, and what it means at this hour."""
        words = {"node": value["name"], "group": value["resource_group"]}
        moved = _("Node %(node)s is in the resource group %(group)s now.") % words
        return [moved, str(value["message"])]


class EnforcerOfNodeForm(NodeForm):
    """What keeps sessions inside their slices; nothing chosen: as its resource group says."""

    def values(self) -> dict[str, Any]:
        """The name, or null."""
        return {"enforcer": self.get_body_argument("enforcer", "") or None}

    def done(self, value: dict[str, Any]) -> list[str]:
        """Which it is now."""
        words = {"node": value["name"], "enforcer": value["enforcer"]}
        if value["enforcer"] is None:
            return [_("Node %(node)s has the enforcer of its resource group now.") % words]
        return [_("Node %(node)s has the enforcer %(enforcer)s now.") % words]


class AddLabelForm(NodeForm):
    """One label more, or another value of it."""

    def values(self) -> dict[str, Any]:
        """All labels. Raises BadValue."""
        key = self.get_body_argument("key")
        if not key:
            raise BadValue(_("A label needs a key."), field="key")
        return {"labels": {**self.labels(), key: self.get_body_argument("value", "")}}

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is there."""
        words = {"key": self.get_body_argument("key"), "node": value["name"]}
        return [_("Node %(node)s has the label %(key)s now.") % words]


class RemoveLabelForm(NodeForm):
    """One label less; one that is gone already is no error."""

    def values(self) -> dict[str, Any]:
        """All that stay."""
        key = self.get_body_argument("key")
        return {"labels": {name: text for name, text in self.labels().items() if name != key}}

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is gone."""
        words = {"key": self.get_body_argument("key"), "node": value["name"]}
        return [_("Node %(node)s has no label %(key)s any more.") % words]
