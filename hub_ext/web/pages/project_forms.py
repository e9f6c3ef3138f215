"""What the short forms of the project pages do: the REST API's own handlers."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any

from hub_ext.errors import BadValue
from hub_ext.web.api.project_desk import (
    AnnouncementHandler,
    AnnouncementsHandler,
    StopSessionsHandler,
)
from hub_ext.web.api.projects import (
    MemberHandler,
    MembersHandler,
    ProjectHandler,
    RestoreHandler,
)
from hub_ext.web.pages.forms import Form
from hub_ext.web.pages.projects import PROJECTS, project_url
from hub_ext.web.translation import gettext as _
from hub_ext.web.translation import ngettext

_SHOWN_FOR = {
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(days=7),
    "": None,
}


def _round(at: float) -> float:
    """Up to five minutes: a form that is sent twice says the same twice."""
    return math.ceil(at / 300) * 300.0


def _what_now(member: dict[str, Any]) -> str:
    if member["role"] == "instructor":
        return _("%(user)s is an instructor now.") % member
    return _("%(user)s is a member now.") % member


class ProjectForm(Form):
    """A change of a project or its members."""

    home = PROJECTS

    @property
    def project(self) -> str:
        """The project of the path."""
        return str(self.path_args[0])


class AddMemberForm(ProjectForm, MembersHandler):
    """One more member."""

    names = ("user", "role")

    def next(self, value: dict[str, Any]) -> str:
        """The list."""
        return project_url(self.project, "members")

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who is what now."""
        return [_what_now(value)]


class MemberForm(ProjectForm, MemberHandler):
    """A change of the member that ``user`` of the query names."""

    def next(self, value: dict[str, Any]) -> str:
        """The list."""
        return project_url(self.project, "members")

    @property
    def user(self) -> str:
        """As the list has it."""
        return self.get_query_argument("user", "", strip=False)


class RoleForm(MemberForm):
    """Another role."""

    names = ("role",)

    def post(self, name: str) -> None:
        """As PATCH of the API."""
        self.patch(name, self.user)

    def done(self, value: dict[str, Any]) -> list[str]:
        """What he is now."""
        return [_what_now(value)]


class RemoveMemberForm(MemberForm):
    """Off the list."""

    def post(self, name: str) -> None:
        """As DELETE of the API."""
        self.delete(name, self.user)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who has gone."""
        return [_("%(user)s is off the list.") % value]


class MessageForm(ProjectForm, AnnouncementsHandler):
    """A message to the members."""

    names = ("text", "level")

    def values(self) -> dict[str, Any]:
        """``for``: how long it is shown."""
        lasting = self.get_body_argument("for", "")
        if lasting not in _SHOWN_FOR:
            raise BadValue(_("A message is shown for an hour, a day, a week, or on."), field="for")
        length = _SHOWN_FOR[lasting]
        until = None if length is None else _round(time.time() + length.total_seconds())
        return super().values() | {"until": until}

    def next(self, value: dict[str, Any]) -> str:
        """The list of messages."""
        return project_url(self.project, "messages")

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who reads it."""
        return [_("Members see it now on every page until they put it away.")]


class TakeBackForm(ProjectForm, AnnouncementHandler):
    """No message after all."""

    def post(self, name: str, number: str) -> None:
        """As DELETE of the API."""
        self.delete(name, number)

    def next(self, value: dict[str, Any]) -> str:
        """The list of messages."""
        return project_url(self.project, "messages")

    def done(self, value: dict[str, Any]) -> list[str]:
        """Nobody sees it any more."""
        return [_("The message is taken back.")]


class StopForm(ProjectForm, StopSessionsHandler):
    """The end of the class."""

    def values(self) -> dict[str, Any]:
        """``when``: warning or now."""
        when = self.get_body_argument("when")
        if when not in {"warning", "now"}:
            raise BadValue(_("Choose whether to warn first, or to stop now."), field="when")
        own = self.get_body_argument("keep_own", "") == "1"
        return {"keep_own": own} | ({"warning_s": 0.0} if when == "now" else {})

    def next(self, value: dict[str, Any]) -> str:
        """To what is left."""
        return project_url(self.project)

    def done(self, value: dict[str, Any]) -> list[str]:
        """With numbers."""
        warned, stopped, cancelled = (value[key] for key in ("warned", "stopped", "cancelled"))
        said = [
            ngettext(
                "%(count)s session is warned, and stops after that.",
                "%(count)s sessions are warned, and stop after that.",
                warned,
            )
            % {"count": warned},
            ngettext(
                "%(count)s session is being stopped.",
                "%(count)s sessions are being stopped.",
                stopped,
            )
            % {"count": stopped},
            ngettext(
                "%(count)s session that waited is cancelled.",
                "%(count)s sessions that waited are cancelled.",
                cancelled,
            )
            % {"count": cancelled},
        ]
        counts = (warned, stopped, cancelled)
        told = [text for text, count in zip(said, counts, strict=True) if count]
        return told or [_("There was nothing to stop.")]


class CallOffForm(ProjectForm, StopSessionsHandler):
    """They may run on."""

    async def post(self, name: str) -> None:
        """As DELETE of the API."""
        self.delete(name)

    def next(self, value: dict[str, Any]) -> str:
        """To the project."""
        return project_url(self.project)

    def done(self, value: dict[str, Any]) -> list[str]:
        """How many."""
        text = ngettext("%(count)s session runs on.", "%(count)s sessions run on.", value["kept"])
        return [text % {"count": value["kept"]}]


class ArchiveForm(ProjectForm, ProjectHandler):
    """Into the archive (admin)."""

    def post(self, name: str) -> None:
        """As DELETE of the API, once the name has been typed."""
        self.by(name)
        typed = self.get_body_argument("name")
        if typed != name:
            raise BadValue(
                _("You have typed '%(typed)s'; type %(name)s to archive it.")
                % {"typed": typed[:80], "name": name},
                field="name",
            )
        self.delete(name)

    def next(self, value: dict[str, Any]) -> str:
        """To the others."""
        return PROJECTS

    def done(self, value: dict[str, Any]) -> list[str]:
        """How to have it back."""
        return [_("%(name)s is in the archive; restore it there if it is needed again.") % value]


class RestoreForm(ProjectForm, RestoreHandler):
    """Out of the archive (admin)."""

    def next(self, value: dict[str, Any]) -> str:
        """To it."""
        return project_url(value["name"])

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is back."""
        return [_("%(name)s is open again, as it was.") % value]
