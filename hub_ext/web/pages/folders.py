"""Pages of folders: the list with the trash, a folder's files, its settings, invitations.

They show what the REST API answers; changes go through the forms of ``folder_forms.py``.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderJobRow, ShareRow, UploadRow
from hub_ext.folders import quota, sharing
from hub_ext.folders.access import Access, Action, Standing
from hub_ext.folders.catalogue import one
from hub_ext.folders.uploads import IDLE_S
from hub_ext.folders.views import folder_json, folders_json, job_json, share_json
from hub_ext.web.api.files import FilesHandler
from hub_ext.web.api.folders import FolderApiHandler, FoldersHandler
from hub_ext.web.pages.page import Page
from hub_ext.web.templating import ROOT, templates

FOLDERS_PER_PAGE = 100
FILES_PER_PAGE = 200
_SHARES_SHOWN = 500
_FAILED_SHOWN_S = 86400.0

_SECTIONS = {
    Standing.OWNER: "mine",
    Standing.INSTRUCTOR: "projects",
    Standing.MEMBER: "projects",
    Standing.INVITED: "shared",
    Standing.ADMIN: "others",
}


def files_url(folder_id: str, path: str = "") -> str:
    """The page of a folder's directory."""
    query = "?" + urlencode({"path": path}) if path else ""
    return f"{ROOT}folders/{folder_id}{query}"


templates.globals["files_url"] = files_url


class FolderPage(Page, FolderApiHandler):
    """A page about folders; changes have forms of their own."""

    SUPPORTED_METHODS = ("GET", "HEAD")

    section = "folders"

    def invitations(self, db: Session) -> list[dict[str, Any]]:
        """The caller's open ones, accepted ones too."""
        rows = sharing.received(db, self.caller.name, ended=False, after="", limit=_SHARES_SHOWN)
        return [share_json(row, one(db, row.folder_id)) for row in rows]


class FolderList(FolderPage, FoldersHandler):
    """The live part of the Folders page."""

    template = "folders_list.html"

    def get(self) -> None:
        """Own folders, those of projects, those shared with the caller; or the trash."""
        trash = self.get_query_argument("state", "") == "trash"
        with self.site.database.transaction() as db:
            access = self.access(db)
            rows = self._rows(db, access)
            start = self._start([row.id for row in rows])
            page = rows[start : start + FOLDERS_PER_PAGE]
            folders = folders_json(db, self.site.policy, access, page)
            context = {
                "folders": [_with_section(folder) for folder in folders],
                "jobs": _running_jobs(db, [row.id for row in page if row.state == "cloning"]),
                "failed": [] if trash or start else _failed_jobs(db, self.caller.name),
                "quotas": self._quotas(db, access),
                "projects": _taught(access),
                "invited": [share for share in self.invitations(db) if share["state"] == "pending"],
            }
        query = {"state": "trash"} if trash else {}
        if self.everybody:
            query["all"] = "1"
        more = len(rows) > start + FOLDERS_PER_PAGE
        self.show_list(
            **context,
            trash=trash,
            everybody=self.everybody,
            query=urlencode(query | self._after()),
            more=urlencode(query | {"after": page[-1].id}) if more else "",
            first=start == 0,
            trash_days=self.site.policy.trash_days,
        )

    @property
    def everybody(self) -> bool:
        """An admin looks at everybody's."""
        return self.caller.admin and self.get_query_argument("all", "") == "1"

    def show_list(self, **context: Any) -> None:
        """As a part of the page."""
        self.show(self.template, **context)

    def _after(self) -> dict[str, str]:
        after = self.get_query_argument("after", "")
        return {"after": after} if after else {}


class FoldersPage(FolderList):
    """The Folders page."""

    template = "folders.html"

    def show_list(self, **context: Any) -> None:
        """As the whole page."""
        self.show(self.template, said=self.said(), admin=self.caller.admin, **context)


class FilesPage(FolderPage, FilesHandler):
    """A directory of a folder."""

    async def get(self, folder_id: str) -> None:
        """Its names in pages, what is on its way into the folder, and how much room is left."""
        path = self.get_query_argument("path", "", strip=False).strip("/")
        offset = self.whole_number("after", 0, 0, 2**31)
        row = await self.opened(folder_id, Action.READ)
        found = await self.site.folders.storage.list(
            folder_id, path, offset=offset, limit=FILES_PER_PAGE
        )
        with self.site.database.transaction() as db:
            access = self.access(db)
            folder = folder_json(db, self.site.policy, access, row)
            room = quota.room_of(db, self.site.policy, row.kind, row.owner).as_json()
            uploads = _unfinished(db, folder_id, self.caller.name)
        shown = offset + FILES_PER_PAGE
        self.show(
            "folder_files.html",
            said=self.said(),
            folder=folder,
            room=room if folder["standing"] in {"owner", "instructor"} else None,
            path=path,
            crumbs=_crumbs(path),
            entries=found.entries,
            total=found.total,
            cut=found.cut,
            offset=offset,
            before=max(0, offset - FILES_PER_PAGE) if offset else None,
            after=shown if shown < found.total else None,
            uploads=uploads,
        )


class SettingsPage(FolderPage):
    """What a folder is, who shares it, and what can be done with it."""

    def get(self, folder_id: str) -> None:
        """As far as the caller may know."""
        policy, user = self.site.policy, self.caller.name
        with self.site.database.transaction() as db:
            access, row = self.allowed(db, folder_id, Action.SEE)
            folder = folder_json(db, policy, access, row)
            shares = []
            if "share" in folder["may"] and not folder["home"]:
                found = sharing.of_folder(db, folder_id, ended=False, after="", limit=_SHARES_SHOWN)
                shares = [share_json(share, row) for share in found]
            keeps = {"share", "transfer"} & set(folder["may"])
            room = quota.room_of(db, policy, row.kind, row.owner).as_json() if keeps else None
            mine = db.scalar(
                select(ShareRow).where(
                    ShareRow.folder_id == folder_id,
                    ShareRow.user == user,
                    ShareRow.state == "accepted",
                )
            )
            self_share = None if mine is None else mine.id
            jobs = _jobs(db, folder_id, user)
            projects = _taught(access)
            uploads = self.site.uploads.into(db, folder_id) if keeps else []
        self.show(
            "folder_settings.html",
            said=self.said(),
            folder=folder,
            shares=shares,
            room=room,
            self_share=self_share,
            jobs=jobs,
            uploads=uploads,
            upload_days=round(IDLE_S / 86400),
            projects=projects,
            warning_s=policy.ending_warning_s,
        )


class InvitationsPage(FolderPage):
    """Invitations that the caller got, and that he made."""

    def get(self) -> None:
        """Those that are open; of the ones he made, also how they ended."""
        with self.site.database.transaction() as db:
            received, access = self.invitations(db), self.access(db)
            sent = [
                share_json(row, one(db, row.folder_id))
                for ended in (False, True)
                for row in sharing.sent(db, access, ended=ended, after="", limit=_SHARES_SHOWN)
            ]
        self.show("invitations.html", said=self.said(), received=received, sent=sent)


def _with_section(folder: dict[str, Any]) -> dict[str, Any]:
    return folder | {"section": _SECTIONS[Standing(folder["standing"])]}


def _taught(access: Access) -> list[str]:
    return [owner for kind, owner in access.keeps() if kind == "project"]


def _running_jobs(db: Session, folder_ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The clone that fills each of these folders."""
    query = select(FolderJobRow).where(
        FolderJobRow.folder_id.in_(folder_ids), FolderJobRow.state == "running"
    )
    return {job.folder_id: job_json(job) for job in db.scalars(query)}


def _failed_jobs(db: Session, user: str) -> list[dict[str, Any]]:
    """Copies of the last day that this user will look for in vain, the newest first."""
    query = select(FolderJobRow).where(
        FolderJobRow.user == user,
        FolderJobRow.kind == "clone",
        FolderJobRow.state == "failed",
        FolderJobRow.ended_at > time.time() - _FAILED_SHOWN_S,
    )
    query = query.order_by(FolderJobRow.ended_at.desc(), FolderJobRow.id)
    return [job_json(job) for job in db.scalars(query.limit(3))]


def _jobs(db: Session, source_id: str, user: str) -> list[dict[str, Any]]:
    """The clones of a folder that this user has begun, the newest first."""
    query = select(FolderJobRow).where(
        FolderJobRow.source_id == source_id, FolderJobRow.user == user
    )
    query = query.order_by(FolderJobRow.started_at.desc(), FolderJobRow.id)
    return [job_json(job) for job in db.scalars(query.limit(5))]


def _unfinished(db: Session, folder_id: str, user: str) -> list[UploadRow]:
    """What the caller has begun to upload into the folder."""
    query = select(UploadRow).where(UploadRow.folder_id == folder_id, UploadRow.user == user)
    return list(db.scalars(query.order_by(UploadRow.started_at, UploadRow.id)))


def _crumbs(path: str) -> list[tuple[str, str]]:
    """Name and path of each directory on the way."""
    parts = path.split("/") if path else []
    return [(part, "/".join(parts[: number + 1])) for number, part in enumerate(parts)]
