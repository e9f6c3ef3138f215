"""``/api/v1/folders`` and ``storage-quotas``: folders, their trash, their clones, their limits."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderJobRow, FolderRow
from hub_ext.errors import ApportionError, BadValue, Forbidden, NotFound
from hub_ext.folders import body, quota, trash
from hub_ext.folders.access import NO_FOLDER, Access, Action, Person
from hub_ext.folders.catalogue import HOME_FOLDER, as_json, lock, note
from hub_ext.folders.fullness import tell_of_full
from hub_ext.folders.holders import holders, warnings_of
from hub_ext.folders.sizes import measure_now
from hub_ext.folders.views import folder_json, folders_json, job_json, state_of
from hub_ext.projects.body import is_user_name, read_body
from hub_ext.web.base import ApiHandler

_MOST = 500
"""Largest page of results."""
_MOST_JOBS = 50
_STATES = ("live", "trash", "any")


class FolderApiHandler(ApiHandler):
    """What the caller is to which folder; a stranger's 404 is that of a missing one."""

    @property
    def person(self) -> Person:
        """The caller."""
        caller = self.caller
        return Person(caller.name, caller.groups, caller.admin)

    def access(self, db: Session) -> Access:
        """What the caller may do, in this transaction."""
        return Access(db, self.site.policy, self.person)

    def allowed(self, db: Session, folder_id: str, action: Action) -> tuple[Access, FolderRow]:
        """The folder, locked, if the caller may. Raises NotFound, Forbidden, Conflict."""
        access = self.access(db)
        return access, access.require(lock(db, folder_id), action)

    def described(self, db: Session, access: Access, folder: FolderRow) -> dict[str, Any]:
        """As the caller sees it."""
        return folder_json(db, self.site.policy, access, folder)


class FoldersHandler(FolderApiHandler):
    """All that the caller may see."""

    def get(self) -> None:
        """His own, those of his projects, those that he was invited to.

        ``state``: live (default), trash, any; ``owner``: as in user:ann or project:ml101;
        ``shared=1``: only those of other users; ``all=1``: everybody's (admin).
        """
        limit = self.whole_number("limit", 100, 1, _MOST)
        with self.site.database.transaction() as db:
            access = self.access(db)
            rows = self._rows(db, access)
            start = self._start([row.id for row in rows])
            page = rows[start : start + limit]
            more = len(rows) > start + limit
            self.reply(
                {
                    "folders": folders_json(db, self.site.policy, access, page),
                    "after": page[-1].id if more else None,
                    "quotas": self._quotas(db, access),
                }
            )

    async def post(self) -> None:
        """A new folder; 409 when it exists."""
        new = read_body(body.NewFolder, self.body())
        name = self.caller.name
        kind, owner = ("project", new.project) if new.project is not None else ("user", name)
        if kind == "user" and "members_mode" in new.model_fields_set:
            raise BadValue("Only a project's folder has members.", field="members_mode")
        with self.site.database.transaction() as db:
            access = self.access(db)
            access.require_room_in(kind, owner)
            folder = self.site.folders.create(
                db,
                owner,
                new.name,
                kind=kind,
                by=name,
                usage=new.usage,
                members_mode=new.members_mode,
            )
        try:
            await self.site.folders.ready(self.site.database, folder)
        except ApportionError:
            with self.site.database.transaction() as db:
                self.site.folders.withdraw(db, folder, by=name)
            raise
        with self.site.database.transaction() as db:
            self.reply(self.described(db, self.access(db), folder), 201)

    def _rows(self, db: Session, access: Access) -> list[FolderRow]:
        """Those that are asked for and that he may see, in order."""
        state = self.get_query_argument("state", "live")
        if state not in _STATES:
            raise BadValue(f"'state' is one of {', '.join(_STATES)}.", field="state")
        owner = self.get_query_argument("owner", "")
        shared = self.get_query_argument("shared", "") == "1"
        everybody = self.get_query_argument("all", "") == "1" and self.caller.admin
        rows = access.everything(db) if everybody else access.candidates(db)
        return [
            row
            for row in rows
            if (state == "any" or (state == "trash") == (row.trashed_at is not None))
            and owner in {"", f"{row.kind}:{row.owner}"}
            and not (shared and (row.kind == "project" or row.owner == self.caller.name))
            and access.right(row) is not None
        ]

    def _start(self, ids: list[str]) -> int:
        """Place of the first one of the page that is asked for."""
        after = self.get_query_argument("after", "")
        if not after:
            return 0
        if after not in ids:
            raise BadValue("'after' is the id of the last folder that you have.", field="after")
        return ids.index(after) + 1

    def _quotas(self, db: Session, access: Access) -> list[dict[str, Any]]:
        """Used and limit of the caller, and of the projects that he teaches."""
        owners = [
            owner
            for owner in access.keeps()
            if owner[0] == "user" or not self.caller.admin  # to an admin: storage-quotas
        ]
        return [room.as_json() for room in quota.rooms(db, self.site.policy, owners).values()]


class FolderHandler(FolderApiHandler):
    """One of them."""

    def get(self, folder_id: str) -> None:
        """How it stands, and which live sessions mount it."""
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.SEE)
            described = self.described(db, access, folder)
            keeps = access.right(folder)
            if keeps is not None and keeps.actions & {Action.SHARE, Action.TRANSFER}:
                room = quota.room_of(db, self.site.policy, folder.kind, folder.owner)
                described["quota"] = room.as_json()
        self.reply(described)

    def patch(self, folder_id: str) -> None:
        """Name, usage, what members may do."""
        change = read_body(body.FolderChange, self.body())
        values = change.model_dump(exclude_unset=True)
        for field, value in values.items():
            if value is None:
                raise BadValue(f"{field} cannot be null; leave it out to keep it.", field=field)
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.DESCRIBE)
            if "members_mode" in values and folder.kind != "project":
                raise BadValue("Only a project's folder has members.", field="members_mode")
            self.site.folders.change(db, folder, values, by=self.caller.name)
            self.reply(self.described(db, access, folder))

    def delete(self, folder_id: str) -> None:
        """For good, out of the trash; the body repeats the folder's name."""
        typed = read_body(body.Purge, self.body())
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.PURGE)
            trash.check_purge(db, folder, typed.name)
            trash.begin_purge(db, folder, by=self.caller.name)
            job = self.site.folder_jobs.add_purge(db, folder_id=folder.id, user=self.caller.name)
            db.flush()
            described = self.described(db, access, folder) | {"job": job_json(job)}
        self.site.folder_jobs.wake()
        self.reply(described, 202)


class TrashHandler(FolderApiHandler):
    """Into the trash."""

    def post(self, folder_id: str) -> None:
        """Sessions that mount it keep it until they end; the answer names them."""
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.TRASH)
            found = holders(db, [folder.id])[folder.id]
            trash.trash(db, folder, by=self.caller.name)
            # Who could only remove it does not see it any more.
            seen = access.right(folder) is not None
            described = (
                self.described(db, access, folder)
                if seen
                else {"id": folder.id, "state": state_of(folder)}
            )
        self.reply({**described, "warnings": warnings_of(folder, found)})


class RestoreFolderHandler(FolderApiHandler):
    """Out of the trash."""

    def post(self, folder_id: str) -> None:
        """Under a new name when the old one is taken."""
        wanted = read_body(body.Restore, self.body())
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.RESTORE)
            before = folder.name
            trash.restore(db, folder, wanted.name, by=self.caller.name)
            described = self.described(db, access, folder)
        renamed = wanted.name is None and folder.name != before
        warnings = [f"'{before}' is taken; it is '{folder.name}' now."] if renamed else []
        self.reply({**described, "warnings": warnings})


class TransferHandler(FolderApiHandler):
    """To another owner."""

    def post(self, folder_id: str) -> None:
        """Admins only; sessions that mount it keep it."""
        wanted = read_body(body.Transfer, self.body())
        with self.site.database.transaction() as db:
            access, folder = self.allowed(db, folder_id, Action.TRANSFER)
            if wanted.kind == "project" and wanted.owner not in access.roles:
                raise BadValue(f"There is no project {wanted.owner[:80]!r}.", field="owner")
            if wanted.name is None and folder.name == HOME_FOLDER:
                raise BadValue("A home folder needs a name at its new owner.", field="name")
            self.site.folders.transfer(
                db,
                folder,
                wanted.kind,
                wanted.owner,
                wanted.name or folder.name,
                by=self.caller.name,
            )
            self.reply(self.described(db, access, folder))


class CloneHandler(FolderApiHandler):
    """A copy that is a folder of its own."""

    async def post(self, folder_id: str) -> None:
        """Begins it; 202 with the new folder and the job that fills it."""
        wanted = read_body(body.Clone, self.body())
        kind, owner = ("user", self.caller.name)
        if wanted.project is not None:
            kind, owner = "project", wanted.project
        with self.site.database.transaction() as db:
            access, source = self.allowed(db, folder_id, Action.READ)
            access.require_room_in(kind, owner)
            limited = quota.room_of(db, self.site.policy, kind, owner).limit is not None
        await self.site.folders.ready(self.site.database, source)
        if limited and source.used_bytes is None:
            await measure_now(self.site, source.id)
        with self.site.database.transaction() as db:
            access, source = self.allowed(db, folder_id, Action.READ)
            access.require_room_in(kind, owner)
            room = quota.room_of(db, self.site.policy, kind, owner)
            quota.check_room(room, source.used_bytes or 0, field="name")
            folder, job = self._begin(db, source, kind, owner, wanted.name)
            described = {
                "folder": self.described(db, access, folder),
                "job": job_json(job),
            }
        self.site.folder_jobs.wake()
        self.reply(described, 202)

    def _begin(
        self, db: Session, source: FolderRow, kind: str, owner: str, name: str
    ) -> tuple[FolderRow, FolderJobRow]:
        by = self.caller.name
        folder = self.site.folders.create(
            db, owner, name, kind=kind, by=by, usage=source.usage, state="cloning"
        )
        job = self.site.folder_jobs.add_clone(
            db, folder_id=folder.id, source_id=source.id, by=self.person
        )
        db.flush()
        note(db, by, "folder.clone", folder, None, {"from": as_json(source)["id"]})
        return folder, job


class JobsHandler(FolderApiHandler):
    """Clones into and out of a folder, and its purge."""

    def get(self, folder_id: str) -> None:
        """The newest first: those that work on it, and the caller's own from it.

        A clone that failed or was cancelled leaves no folder; who began it still learns here
        what became of it.
        """
        user = self.caller.name
        with self.site.database.transaction() as db:
            folder = db.get(FolderRow, folder_id)
            seen = folder is not None and self.access(db).right(folder) is not None
            mine = FolderJobRow.user == user
            ours = FolderJobRow.folder_id == folder_id
            query = select(FolderJobRow).where(
                or_(ours, FolderJobRow.source_id == folder_id),
                mine if not seen else or_(ours, mine),
            )
            query = query.order_by(FolderJobRow.started_at.desc(), FolderJobRow.id)
            jobs = db.scalars(query.limit(_MOST_JOBS)).all()
        if not seen and not jobs:
            raise NotFound(NO_FOLDER)
        self.reply({"jobs": [job_json(job) for job in jobs]})


class JobHandler(FolderApiHandler):
    """One of them."""

    def delete(self, folder_id: str, job_id: str) -> None:
        """Cancel a clone; nothing of it stays."""
        with self.site.database.transaction() as db:
            job = db.get(FolderJobRow, job_id, with_for_update=True)
            if job is None or folder_id not in {job.folder_id, job.source_id}:
                raise NotFound("There is no such job.")
            if job.user != self.caller.name:
                target = db.get(FolderRow, job.folder_id)
                right = self.access(db).right(target) if target is not None else None
                if right is None or Action.DESCRIBE not in right.actions:
                    raise NotFound("There is no such job.")
            self.site.folder_jobs.cancel(db, job)
            described = job_json(job)
        self.site.folder_jobs.wake()
        self.reply(described, 202)


class QuotasHandler(FolderApiHandler):
    """Who has a storage quota of his own."""

    def get(self) -> None:
        """Those that an admin has set (admin); used and limit of each."""
        if not self.caller.admin:
            raise Forbidden("Storage quotas are for admins; your own is shown with your folders.")
        with self.site.database.transaction() as db:
            owners = [(row.kind, row.owner) for row in quota.set_limits(db)]
            found = quota.rooms(db, self.site.policy, owners)
        defaults = {
            "user": self.site.policy.user_storage_bytes,
            "project": self.site.policy.project_storage_bytes,
        }
        self.reply(
            {"quotas": [room.as_json() for room in found.values()], "default_bytes": defaults}
        )


class QuotaHandler(FolderApiHandler):
    """One owner's."""

    def get(self, kind: str, owner: str) -> None:
        """Used and limit; his own, of a project that he teaches, and anybody's for an admin."""
        with self.site.database.transaction() as db:
            if not self.caller.admin and (kind, owner) not in self.access(db).keeps():
                raise NotFound("There is no such storage quota.")
            self._reply_room(db, kind, owner)

    def put(self, kind: str, owner: str) -> None:
        """A limit of its own (admin). Nothing is deleted when less is allowed than is used."""
        self._require_admin()
        change = read_body(body.QuotaChange, self.body())
        if not is_user_name(owner):
            raise BadValue("That is nobody's name.", field="owner")
        limit = None if change.gib is None else round(change.gib * 2**30)
        with self.site.database.transaction() as db:
            quota.set_limit(db, kind, owner, limit, by=self.caller.name)
            db.flush()
            self._reply_room(db, kind, owner)
        tell_of_full(self.site, [(kind, owner)])

    def delete(self, kind: str, owner: str) -> None:
        """Back to the site's default (admin)."""
        self._require_admin()
        with self.site.database.transaction() as db:
            quota.drop_limit(db, kind, owner, by=self.caller.name)
            db.flush()
            self._reply_room(db, kind, owner)
        tell_of_full(self.site, [(kind, owner)])

    def _require_admin(self) -> None:
        if not self.caller.admin:
            raise Forbidden("Only an admin changes storage quotas.")

    def _reply_room(self, db: Session, kind: str, owner: str) -> None:
        self.reply(quota.room_of(db, self.site.policy, kind, owner).as_json())
