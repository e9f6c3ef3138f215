"""What the forms of the folder pages do: the REST API's own handlers, with fields for JSON."""

from __future__ import annotations

import posixpath
from typing import Any

from hub_ext.web.api.files import FilesHandler
from hub_ext.web.api.folders import (
    CloneHandler,
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
        return [f"The folder {value['name']} is made. Upload files, or mount it in a session."]


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
        return ["Saved."]


class TrashForm(FolderForm, TrashHandler):
    """Into the trash."""

    def next(self, value: dict[str, Any]) -> str:
        """Back to what is left."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """How to have it back."""
        name = value.get("name", "The folder")
        return [f"{name} is in the trash; restore it there if you need it again."]


class RestoreForm(FolderForm, RestoreFolderHandler):
    """Out of the trash."""

    optional = ("name",)

    def next(self, value: dict[str, Any]) -> str:
        """To where it is now."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is back."""
        return [f"{value['name']} is back."]


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
        return [f"{value['name']} is being deleted for good."]


class TransferForm(FolderForm, TransferHandler):
    """To another owner (admin)."""

    names = ("kind", "owner")
    optional = ("name",)

    def next(self, value: dict[str, Any]) -> str:
        """To the list: it may be out of the caller's sight now."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """Whose it is."""
        return [f"{value['name']} belongs to {value['kind']} {value['owner']} now."]


class CloneForm(FolderForm, CloneHandler):
    """A copy."""

    names = ("name",)
    optional = ("project",)

    def next(self, value: dict[str, Any]) -> str:
        """To its progress."""
        return _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """It goes on by itself."""
        return [f"{value['folder']['name']} is being filled; this page shows how far it is."]


class CancelJobForm(FolderForm, JobHandler):
    """No copy after all."""

    def post(self, folder_id: str, job_id: str) -> None:
        """As DELETE of the API."""
        self.delete(folder_id, job_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Nothing of it stays."""
        return ["Cancelled; nothing of the copy stays."]


class InviteForm(FolderForm, SharesHandler):
    """Invite users."""

    def values(self) -> dict[str, Any]:
        """Names with commas or spaces between."""
        users = self.get_body_argument("users").replace(",", " ").split()
        return {"users": users, "mode": self.get_body_argument("mode")}

    def done(self, value: dict[str, Any]) -> list[str]:
        """What happens next."""
        users = ", ".join(share["user"] for share in value["shares"])
        return [f"Invited: {users}. They have the folder as soon as they accept."]


class ShareForm(FolderForm, ShareHandler):
    """A change of an invitation."""

    def warnings(self, value: dict[str, Any]) -> list[str]:
        """Which sessions have the folder all the same."""
        asked = self.get_query_argument("stop_sessions", "") == "1"
        until = "is warned and stopped" if asked else "has the folder as before until it ends"
        return [f"The session {each['name']} {until}." for each in value["sessions"]]


class ShareModeForm(ShareForm):
    """Another mode."""

    names = ("mode",)

    def post(self, folder_id: str, share_id: str) -> None:
        """As PATCH of the API."""
        self.patch(folder_id, share_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """For whom."""
        return [f"{value['user']} has the folder as {value['mode']} now."]


class StopShareForm(ShareForm):
    """Cancel an invitation, or stop sharing."""

    def post(self, folder_id: str, share_id: str) -> None:
        """As DELETE of the API; ``stop_sessions`` as there."""
        self.delete(folder_id, share_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """Who has lost it."""
        return [f"{value['user']} has no part in this folder any more."]


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
        names = [f"{each['name']} of {each['user']}" for each in value["sessions"]]
        if not names:
            return ["No session holds it without a right to it any more."]
        return [f"Warned, and stopped afterwards: {', '.join(names)}."]


class AnswerForm(FolderForm, AnswerHandler):
    """Accept, decline, leave."""

    def next(self, value: dict[str, Any]) -> str:
        """To the folder, or to what is left."""
        accepted = value["state"] == "accepted"
        return files_url(value["folder"]["id"]) if accepted else _LIST

    def done(self, value: dict[str, Any]) -> list[str]:
        """What follows."""
        name = value["folder"]["name"]
        sentences = {
            "accepted": f"{name} is yours to use: open it here, or mount it in a session.",
            "rejected": f"You have declined {name}.",
            "left": f"You have left {name}. Sessions that mount it keep it until they end.",
        }
        return [sentences[value["state"]]]


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
        return [f"{posixpath.basename(value['path'])} is made."]


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
        return [f"It is {value['path']} now."]


class DeleteFileForm(FileForm):
    """For good; ``path`` of the query says what."""

    async def post(self, folder_id: str) -> None:
        """As DELETE of the API."""
        await self.delete(folder_id)

    def done(self, value: dict[str, Any]) -> list[str]:
        """It is gone."""
        return [f"{posixpath.basename(value['path'])} is deleted."]
