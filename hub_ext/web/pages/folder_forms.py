"""What the forms of the folder pages do: the REST API's own handlers, with fields for JSON."""

from __future__ import annotations

import posixpath
from typing import Any

from hub_ext.db.folder_models import UploadRow
from hub_ext.errors import NotFound
from hub_ext.folders.access import Action
from hub_ext.folders.quota import keeps
from hub_ext.web.api.files import FilesHandler
from hub_ext.web.api.folders import (
    CloneHandler,
    FolderApiHandler,
    FolderHandler,
    FoldersHandler,
    JobHandler,
    RestoreFolderHandler,
    TransferHandler,
    TrashHandler,
)
from hub_ext.web.api.shares import (
    AnswerHandler,
    HoldersHandler,
    ShareHandler,
    SharesHandler,
)
from hub_ext.web.pages.folders import files_url
from hub_ext.web.pages.forms import Form
from hub_ext.web.templating import ROOT
from hub_ext.web.translation import gettext as _

_LIST = f"{ROOT}folders"


class FolderForm(Form):
    """A change of a folder."""

    home = _LIST


class NewFolderForm(FolderForm, FoldersHandler):
    """A new folder."""

    names = ("name", "usage")
    optional = ("project",)

    def next(self, value: dict[str, Any]) -> str:
        """Into it."""
        return files_url(value["id"])

    def done(self, value: dict[str, Any]) -> list[str]:
        """What to do next."""
        said = _("The folder %(name)s is made. Upload files, or mount it in a session.")
        return [said % {"name": value["name"]}]


class ChangeFolderForm(FolderForm, FolderHandler):
    """Name, usage, what members may do."""

    names = ("name", "usage")

    def post(self, folder_id: str) -> None:
        """As PATCH of the API."""
        self.patch(folder_id)

    def values(self) -> dict[str, Any]:
        """``members_mode`` may be empty: members then have no part in it."""
        mode = self.get_body_argument("members_mode", None)
        return super().values() | ({} if mode is None else {"members_mode": mode})

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is kept."""
        return [_("Saved.")]


class TrashForm(FolderForm, TrashHandler):
    """Into the trash."""

    def next(self, value: dict[str, Any]) -> str:
        """Back to what is left."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """How to have it back."""
        said = _("%(name)s is in the trash; restore it there if you need it again.")
        return [said % {"name": value.get("name") or _("The folder")}]


class RestoreForm(FolderForm, RestoreFolderHandler):
    """Out of the trash."""

    optional = ("name",)

    def next(self, value: dict[str, Any]) -> str:
        """To where it is now."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is back."""
        return [_("%(name)s is back.") % {"name": value["name"]}]


class PurgeForm(FolderForm, FolderHandler):
    """For good."""

    names = ("name",)

    def post(self, folder_id: str) -> None:
        """As DELETE of the API."""
        self.delete(folder_id)

    def next(self, value: dict[str, Any]) -> str:
        """Back to the trash."""
        return f"{_LIST}?state=trash"

    def done(self, value: dict[str, Any]) -> list[str]:
        """It goes on by itself."""
        return [_("%(name)s is being deleted for good.") % {"name": value["name"]}]


class TransferForm(FolderForm, TransferHandler):
    """To another owner (admin)."""

    names = ("kind", "owner")
    optional = ("name",)

    def next(self, value: dict[str, Any]) -> str:
        """To the list: it may be out of the caller's sight now."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """Whose it is."""
        if value["kind"] == "project":
            said = _("%(name)s belongs to project %(owner)s now.")
        else:
            said = _("%(name)s belongs to %(owner)s now.")
        return [said % {"name": value["name"], "owner": value["owner"]}]


class CloneForm(FolderForm, CloneHandler):
    """A copy."""

    names = ("name",)
    optional = ("project",)

    def next(self, value: dict[str, Any]) -> str:
        """To its progress."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """It goes on by itself."""
        said = _("%(name)s is being filled; this page shows how far it is.")
        return [said % {"name": value["folder"]["name"]}]


class CancelJobForm(FolderForm, JobHandler):
    """No copy after all."""

    def post(self, folder_id: str, job_id: str) -> None:
        """As DELETE of the API."""
        self.delete(folder_id, job_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Nothing of it stays."""
        return [_("Cancelled; nothing of the copy stays.")]


class CancelUploadForm(FolderForm, FolderApiHandler):
    """An upload that takes room in a folder which the caller keeps."""

    async def post(self, folder_id: str, upload_id: str) -> None:
        """As DELETE of the API, by those who keep the folder."""
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.SEE)
            upload = db.get(UploadRow, upload_id)
            if upload is None or upload.folder_id != folder.id or not keeps(access.right(folder)):
                raise NotFound("There is no such upload (any more).")
        await self.site.uploads.cancel(upload_id)
        self.reply({"path": upload.path})

    def done(self, value: dict[str, Any]) -> list[str]:
        """Its room is free."""
        said = _("The upload of %(name)s is cancelled.")
        return [said % {"name": posixpath.basename(value["path"])}]


class InviteForm(FolderForm, SharesHandler):
    """Invite users."""

    def values(self) -> dict[str, Any]:
        """Names with commas or spaces between."""
        users = self.get_body_argument("users").replace(",", " ").split()
        return {"users": users, "mode": self.get_body_argument("mode")}

    def done(self, value: dict[str, Any]) -> list[str]:
        """What happens next."""
        users = ", ".join(share["user"] for share in value["shares"])
        said = _("Invited: %(users)s. They have the folder as soon as they accept.")
        return [said % {"users": users}]


class ShareForm(FolderForm, ShareHandler):
    """A change of an invitation."""

    def warnings(self, value: dict[str, Any]) -> list[str]:
        """Which sessions have the folder all the same."""
        asked = self.get_query_argument("stop_sessions", "") == "1"
        if asked:
            said = _("The session %(name)s is warned and stopped.")
        else:
            said = _("The session %(name)s has the folder as before until it ends.")
        return [said % {"name": each["name"]} for each in value["sessions"]]


class ShareModeForm(ShareForm):
    """Another mode."""

    names = ("mode",)

    def post(self, folder_id: str, share_id: str) -> None:
        """As PATCH of the API."""
        self.patch(folder_id, share_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """For whom."""
        sentences = {
            "ro": _("%(user)s may read the folder now."),
            "rw": _("%(user)s may read the folder and write to it now."),
            "rwd": _("%(user)s may read the folder, write to it and delete in it now."),
        }
        return [sentences[value["mode"]] % {"user": value["user"]}]


class StopShareForm(ShareForm):
    """Cancel an invitation, or stop sharing."""

    def post(self, folder_id: str, share_id: str) -> None:
        """As DELETE of the API; ``stop_sessions`` as there."""
        self.delete(folder_id, share_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who has lost it."""
        return [_("%(user)s has no part in this folder any more.") % {"user": value["user"]}]


class StopSessionsForm(FolderForm, HoldersHandler):
    """Sessions that hold the folder without a right to it."""

    def post(self, folder_id: str) -> None:
        """As DELETE of the API."""
        self.delete(folder_id)

    def warnings(self, value: dict[str, Any]) -> list[str]:
        """``done`` says it."""
        return []

    def done(self, value: dict[str, Any]) -> list[str]:
        """Which."""
        of_whom = _("%(name)s of %(user)s")
        names = [
            of_whom % {"name": each["name"], "user": each["user"]} for each in value["sessions"]
        ]
        if not names:
            return [_("No session holds it without a right to it any more.")]
        return [_("Warned, and stopped afterwards: %(names)s.") % {"names": ", ".join(names)}]


class AnswerForm(FolderForm, AnswerHandler):
    """Accept, decline, leave."""

    def next(self, value: dict[str, Any]) -> str:
        """To the folder, or to what is left."""
        accepted = value["state"] == "accepted"
        return files_url(value["folder"]["id"]) if accepted else _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """What follows."""
        sentences = {
            "accepted": _("%(name)s is yours to use: open it here, or mount it in a session."),
            "rejected": _("You have declined %(name)s."),
            "left": _("You have left %(name)s. Sessions that mount it keep it until they end."),
        }
        return [sentences[value["state"]] % {"name": value["folder"]["name"]}]


class FileForm(FolderForm, FilesHandler):
    """A change inside a folder, in the directory ``at`` of the query."""

    def next(self, value: dict[str, Any]) -> str:
        """The same directory."""
        return files_url(self.path_args[0], self.at)

    @property
    def at(self) -> str:
        """The directory that is shown."""
        return self.get_query_argument("at", "", strip=False)

    def inside(self, name: str) -> str:
        """The path of a name there. A name with a slash is left to the API to judge."""
        return f"{self.at}/{name}" if self.at else name


class NewDirectoryForm(FileForm):
    """A directory."""

    def values(self) -> dict[str, Any]:
        """Its path."""
        return {"path": self.inside(self.get_body_argument("name"))}

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is there."""
        return [_("%(name)s is made.") % {"name": posixpath.basename(value["path"])}]


class RenameFileForm(FileForm):
    """Another name, or by slashes another directory of the same folder."""

    async def post(self, folder_id: str) -> None:
        """As PATCH of the API."""
        await self.patch(folder_id)

    def values(self) -> dict[str, Any]:
        """From ``path`` of the query to the name that was typed."""
        to = self.inside(self.get_body_argument("name"))
        return {"path": self.get_query_argument("path", strip=False), "to": to}

    def done(self, value: dict[str, Any]) -> list[str]:
        """How it is called."""
        return [_("It is %(path)s now.") % {"path": value["path"]}]


class DeleteFileForm(FileForm):
    """For good; ``path`` of the query says what."""

    async def post(self, folder_id: str) -> None:
        """As DELETE of the API."""
        await self.delete(folder_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is gone."""
        return [_("%(name)s is deleted.") % {"name": posixpath.basename(value["path"])}]
