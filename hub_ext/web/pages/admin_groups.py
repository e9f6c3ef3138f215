"""Pages of the resource groups: named sets of nodes with weekly hours."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from hub_ext import hours
from hub_ext.errors import BadValue
from hub_ext.nodes.groups import DEFAULT_GROUP
from hub_ext.web.api.nodes import (
    GroupApiHandler,
    ResourceGroupHandler,
    ResourceGroupsHandler,
    enforcers_json,
)
from hub_ext.web.pages.admin import ADMIN, AdminForm, AdminPage
from hub_ext.web.pages.forms import Form
from hub_ext.web.translation import gettext as _

GROUPS = f"{ADMIN}/groups"
_MORE_ROWS = 3
"""Empty rows for further hours; each save brings new ones."""
_MOST_ROWS = 60
_ROW = re.compile(r"^hours\.(\d+)(?:\.(days|from|until))?")


def group_url(name: str) -> str:
    """The page of one group."""
    return f"{GROUPS}/{quote(name, safe='')}"


def day_names() -> dict[str, str]:
    """Days of the week in the page's language."""
    names = (_("Mon"), _("Tue"), _("Wed"), _("Thu"), _("Fri"), _("Sat"), _("Sun"))
    return dict(zip(hours.DAYS, names, strict=True))


def windows_of(form: Form) -> list[dict[str, Any]] | None:
    """Hours as the rows of a form have them; rows without times do not count. None: always.

    Raises BadValue that says which row.
    """
    windows, rows = [], []
    for row in range(_MOST_ROWS):
        start = form.get_body_argument(f"from-{row}", "")
        until = form.get_body_argument(f"until-{row}", "")
        if not start and not until:
            continue
        days = form.get_body_arguments(f"days-{row}") or list(hours.DAYS)
        windows.append({"days": days, "from": start, "until": until})
        rows.append(row)
    if not windows:
        return None
    try:
        return hours.read_windows(windows, "hours")
    except BadValue as error:
        raise _of_row(error, rows) from None


def _of_row(error: BadValue, rows: list[int]) -> BadValue:
    """The same refusal, in words of the form."""
    match = _ROW.match(error.field or "")
    if match is None:
        return error
    row = rows[int(match[1])]
    rest = error.message.removeprefix(error.field or "").lstrip(":").strip()
    words = {"row": row + 1, "field": match[2] or "", "problem": rest}
    message = _("Hours, row %(row)s, %(field)s: %(problem)s") % words
    return BadValue(message, field=f"{match[2] or 'from'}-{row}")


class GroupsPage(AdminPage, GroupApiHandler):
    """All groups, and a form for another one."""

    part = "admin/groups"

    def get(self) -> None:
        """By name."""
        self.show_groups(groups=self.groups_json(), rows=_MORE_ROWS)

    def show_groups(self, **context: Any) -> None:
        """As the whole page."""
        self.show_part("admin_groups.html", days=day_names(), **context)


class GroupsTable(GroupsPage):
    """The live part."""

    def show_groups(self, **context: Any) -> None:
        """As a part of the page."""
        self.show("admin_groups_table.html", days=day_names(), **context)


class GroupPage(AdminPage, GroupApiHandler):
    """One group."""

    part = "admin/groups"

    def get(self, name: str) -> None:
        """Raises NotFound."""
        group = self.group_json(name)
        rows = len(group["hours"] or ()) + _MORE_ROWS
        self.show_part(
            "admin_group.html",
            group=group,
            rows=rows,
            days=day_names(),
            enforcers=enforcers_json(),
            stays=group["name"] == DEFAULT_GROUP,
        )


class GroupForm(AdminForm):
    """A change of a group."""

    home = GROUPS

    def next(self, value: dict[str, Any]) -> str:
        """To the list."""
        return GROUPS


class NewGroupForm(GroupForm, ResourceGroupsHandler):
    """Another one."""

    names = ("name", "title")

    def values(self) -> dict[str, Any]:
        """With its hours."""
        return super().values() | {"hours": windows_of(self)}

    def done(self, value: dict[str, Any]) -> list[str]:
        """What to do next."""
        words = {"group": value["name"]}
        made = _("The resource group %(group)s is made.") % words
        return [made, _("Move nodes into it on their pages.")]


class ChangeGroupForm(GroupForm, ResourceGroupHandler):
    """Title and hours."""

    names = ("title", "version")

    def post(self, name: str) -> None:
        """As PATCH of the API."""
        self.patch(name)

    def values(self) -> dict[str, Any]:
        """With its hours and its enforcer."""
        values = super().values() | {"hours": windows_of(self)}
        if "enforcer" in self.request.body_arguments:
            values["enforcer"] = self.get_body_argument("enforcer") or None
        return values

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is kept."""
        words = {"group": value["name"]}
        state = _("It is open now.") if value["open"] else _("It is closed now.")
        return [_("The resource group %(group)s is saved.") % words, state]


class DeleteGroupForm(GroupForm, ResourceGroupHandler):
    """Gone."""

    def post(self, name: str) -> None:
        """As DELETE of the API."""
        self.delete(name)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Which."""
        return [_("The resource group %(group)s is deleted.") % {"group": value["name"]}]
