"""Who may do what with a folder: the one place that decides.

What somebody is to a folder, and the mode that follows:

| standing   | who                                                  | mode                 |
|------------|------------------------------------------------------|----------------------|
| owner      | the user whose folder it is                          | rwd                  |
| instructor | of the project whose folder it is; the hub's admins  | rwd                  |
| member     | of that project                                      | its ``members_mode`` |
| invited    | who has accepted an invitation                       | the invitation's     |
| admin      | of the hub, in folders of other users                | none                 |

What follows from that:

| action   | means                                            | mode | owner, instructor | admin |
|----------|--------------------------------------------------|------|-------------------|-------|
| see      | that it is there, its size and state             | ro   | yes               | yes   |
| read     | list, download, clone from, mount read-only      | ro   | yes               | no    |
| write    | upload, make directories, rename files, mount rw | rw   | yes               | no    |
| remove   | files in it, from the page                       | rwd  | yes               | no    |
| trash    | the folder itself                                | rwd  | yes               | yes   |
| restore  | out of the trash                                 | -    | yes               | yes   |
| purge    | for good                                         | -    | yes               | yes   |
| describe | name, usage, mode of the members                 | -    | yes               | no    |
| share    | invite, change and stop invitations, see them    | -    | yes               | no    |
| transfer | to another owner                                 | -    | no                | yes   |

"mode" is the least that a member or an invited user needs. An admin of the hub keeps order in
the folders of others, but does not read them through the service.

In the trash, while it is cloned and while it is purged, only owner, instructor and admin know
of it. A folder of an archived project rests: nobody but an admin of the hub knows of it, and
he does not read it either, until the project is restored or the folder is transferred. Whoever
is no member any more, and has no invitation of his own, has nothing at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from sqlalchemy import case, or_, select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow, ShareRow
from hub_ext.db.models import ProjectRow
from hub_ext.errors import BadValue, Conflict, Forbidden, NotFound
from hub_ext.projects.membership import Role, roles_of

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Policy

NO_FOLDER = "There is no such folder."
"""The one sentence for a folder that is missing and for one that is not the caller's."""


class Mode(StrEnum):
    """ro reads, rw writes files, rwd also removes them and trashes the folder itself."""

    RO = "ro"
    RW = "rw"
    RWD = "rwd"

    def covers(self, other: Mode) -> bool:
        """Whether it allows all that ``other`` does."""
        return _STEPS.index(self) >= _STEPS.index(other)


_STEPS = list(Mode)


class Standing(StrEnum):
    """What somebody is to a folder; see the table above."""

    OWNER = "owner"
    INSTRUCTOR = "instructor"
    MEMBER = "member"
    INVITED = "invited"
    ADMIN = "admin"


class Action(StrEnum):
    """What somebody wants to do; see the table above."""

    SEE = "see"
    READ = "read"
    WRITE = "write"
    REMOVE = "remove"
    TRASH = "trash"
    RESTORE = "restore"
    PURGE = "purge"
    DESCRIBE = "describe"
    SHARE = "share"
    TRANSFER = "transfer"


_BY_MODE = {
    Mode.RO: frozenset({Action.SEE, Action.READ}),
    Mode.RW: frozenset({Action.SEE, Action.READ, Action.WRITE}),
    Mode.RWD: frozenset({Action.SEE, Action.READ, Action.WRITE, Action.REMOVE, Action.TRASH}),
}
_ORDER = (FolderRow.owner, FolderRow.name, FolderRow.id)
_KEEPER = frozenset(Action) - {Action.TRANSFER}
_ADMIN = frozenset({Action.SEE, Action.TRASH, Action.RESTORE, Action.PURGE, Action.TRANSFER})
_KEEPERS = frozenset({Standing.OWNER, Standing.INSTRUCTOR})
_CONTENT = frozenset({Action.READ, Action.WRITE, Action.REMOVE})
_NOT_OF_HOME = frozenset({Action.TRASH, Action.DESCRIBE, Action.SHARE})
_REFUSED = {
    Action.READ: "An admin does not read the folders of others.",
    Action.WRITE: "You may read this folder, not write to it.",
    Action.REMOVE: "You may not remove anything from this folder.",
    Action.TRASH: "You may not put this folder into the trash.",
    Action.RESTORE: "Only its owner restores a folder.",
    Action.PURGE: "Only its owner deletes a folder for good.",
    Action.DESCRIBE: "Only its owner changes a folder.",
    Action.SHARE: "Only its owner shares a folder.",
    Action.TRANSFER: "Only an admin gives a folder to another owner.",
}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody, with his groups in the hub and whether he is an admin there."""

    name: str
    groups: Collection[str] = frozenset()
    admin: bool = False


@dataclass(frozen=True, slots=True)
class Right:
    """What somebody is to one folder, his mode, and all he may do."""

    standing: Standing
    mode: Mode | None
    actions: frozenset[Action]


class Access:
    """What one person may do, in any folder; read once, for the transaction it was made in."""

    def __init__(self, db: Session, policy: Policy, person: Person) -> None:
        self.person = person
        self.roles = roles_of(db, policy, person.name, person.groups, person.admin)
        self._archived = set(
            db.scalars(select(ProjectRow.name).where(ProjectRow.archived_at.is_not(None)))
        )
        accepted = select(ShareRow).where(
            ShareRow.user == person.name,
            ShareRow.state == "accepted",
        )
        self._invited = {row.folder_id: Mode(row.mode) for row in db.scalars(accepted)}

    def right(self, folder: FolderRow) -> Right | None:
        """None: to him the folder does not exist."""
        standing, mode = self._standing(folder)
        actions: frozenset[Action] = frozenset()
        if standing in _KEEPERS:
            actions = _KEEPER
        elif mode is not None and _usable(folder):
            actions = _BY_MODE[mode]
        if self.person.admin:
            actions |= _ADMIN
        if Action.SEE not in actions:
            return None
        return Right(standing or Standing.ADMIN, mode, actions)

    def mode(self, folder: FolderRow) -> Mode | None:
        """The mode in which he may use its content now; None: not at all."""
        right = self.right(folder)
        return right.mode if right is not None and _usable(folder) else None

    def claim(self, folder: FolderRow) -> Mode | None:
        """The mode that he has a right to, whatever state the folder is in."""
        return self._standing(folder)[1]

    def candidates(self, db: Session) -> Iterable[FolderRow]:
        """All folders to which he could be something; his own first, then in ``_ORDER``."""
        own = case((FolderRow.owner == self.person.name, 0), else_=1)
        query = select(FolderRow).order_by(FolderRow.kind.desc(), own, *_ORDER)
        theirs = or_(
            (FolderRow.kind == "user") & (FolderRow.owner == self.person.name),
            (FolderRow.kind == "project") & FolderRow.owner.in_(self.roles),
            FolderRow.id.in_(self._invited),
        )
        return db.scalars(query.where(theirs))

    def everything(self, db: Session) -> Iterable[FolderRow]:
        """All folders there are."""
        return db.scalars(select(FolderRow).order_by(FolderRow.kind.desc(), *_ORDER))

    def require(self, folder: FolderRow | None, action: Action) -> FolderRow:
        """The folder, if he may.

        Raises NotFound when to him it does not exist, Forbidden, or Conflict when its state
        does not allow it to anybody.
        """
        right = self.right(folder) if folder is not None else None
        if folder is None or right is None:
            raise NotFound(NO_FOLDER)
        if folder.name == "" and action in _NOT_OF_HOME:
            raise Conflict("A home folder cannot be renamed, shared or put into the trash.")
        if action not in right.actions:
            raise Forbidden(_REFUSED[action])
        check_state(folder, action)
        return folder

    def require_room_in(self, kind: str, owner: str, *, field: str = "project") -> None:
        """Whether he may make folders there: his own, and those of projects he teaches.

        Raises BadValue for a project that he does not know, Forbidden.
        """
        if kind == "user" and owner == self.person.name:
            return
        role = self.roles.get(owner) if kind == "project" else None
        if role is None:
            raise BadValue(f"There is no project {owner[:80]!r}.", field=field)
        if role is Role.MEMBER:
            raise Forbidden(f"Only instructors of {owner} make folders in it.", field=field)

    def keeps(self) -> list[tuple[str, str]]:
        """Kind and name of the owners for whom he may make folders."""
        taught = [name for name, role in self.roles.items() if role is not Role.MEMBER]
        return [("user", self.person.name), *(("project", name) for name in taught)]

    def _standing(self, folder: FolderRow) -> tuple[Standing | None, Mode | None]:
        """The strongest of what he is to it."""
        if folder.kind == "user" and folder.owner == self.person.name:
            return Standing.OWNER, Mode.RWD
        if folder.kind == "project" and folder.owner in self._archived:
            return None, None
        role = self.roles.get(folder.owner) if folder.kind == "project" else None
        if role in {Role.ADMIN, Role.INSTRUCTOR}:
            return Standing.INSTRUCTOR, Mode.RWD
        invited = self._invited.get(folder.id)
        member = Mode(folder.members_mode) if role is not None and folder.members_mode else None
        if member is not None and (invited is None or member.covers(invited)):
            return Standing.MEMBER, member
        return (Standing.INVITED, invited) if invited is not None else (None, None)


def mode_of(db: Session, policy: Policy, who: Person, folder: FolderRow) -> Mode | None:
    """How somebody may use the content of a folder now; None: not at all."""
    return Access(db, policy, who).mode(folder)


def _usable(folder: FolderRow) -> bool:
    return folder.state in {"new", "ready"} and folder.trashed_at is None


def check_state(folder: FolderRow, action: Action) -> None:
    """Whether the folder's state allows this to anybody. Raises Conflict."""
    if action is Action.SEE:
        return
    if folder.state == "purging":
        raise Conflict("The folder is being deleted.")
    if folder.state == "cloning":
        raise Conflict("The folder is still being cloned; wait for it, or cancel that.")
    in_trash = folder.trashed_at is not None
    if action in {Action.RESTORE, Action.PURGE}:
        if not in_trash:
            raise Conflict("The folder is not in the trash; only there it is deleted for good.")
    elif in_trash and action is not Action.TRANSFER:
        raise Conflict("The folder is in the trash; restore it first.")
