"""What a session mounts: chosen at submission, checked again whenever it is handed over.

At submission nothing touches the storage: the session's row says which folders, how and where
(``Mount``). The directories are looked up when a spawner takes the session over, after its wait
and at every restart; what its user may no longer mount then ends it, with a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.db.models import ProjectRow
from hub_ext.errors import BadValue, OverLimit
from hub_ext.folders.access import Access, Mode, Person
from hub_ext.folders.catalogue import HOME_FOLDER, find, label, new_folder
from hub_ext.folders.names import HOME, check_folder_name, check_target, is_dot_folder
from hub_ext.folders.quota import NO_ROOM, keeps, room_of
from hub_ext.folders.safe_path import check_path
from hub_ext.sessions.launch import FolderMount

if TYPE_CHECKING:  # the site holds the folders
    from hub_ext.site import Site


MATERIALS = f"{HOME}/materials"
"""Where sessions of a project have the folder that it has chosen for all of them."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder, or a directory in it (``subpath``), as a session sees it at ``target``.

    mode: ro or rw. asked: the mode that was asked for; None: the best there is.
    auto: nobody asked for it (home, dot-folders). source: its path on the node, "" until the
    session is handed over. until: when the session has to let go of it (Unix s).
    """

    id: str
    name: str
    kind: str
    owner: str
    target: str
    mode: str
    subpath: str = ""
    asked: str | None = None
    auto: bool = False
    source: str = ""
    until: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For the session's row."""
        return asdict(self)

    @classmethod
    def read(cls, values: dict[str, Any], user: str) -> Mount:
        """From the session's row; rows of the first release name the directory only."""
        if "id" not in values:
            name, folder_id = values["name"], PurePosixPath(values["source"]).name
            auto = name == HOME_FOLDER or is_dot_folder(name)
            return cls(id=folder_id, kind="user", owner=user, auto=auto, **values)
        return cls(**values)

    @property
    def shown(self) -> str:
        """As an error message names it."""
        return f"{self.kind}:{self.owner}/{self.name}" if self.name else "home"


class MountPlan:
    """From what a request names to mounts, for one person in one transaction.

    ``keep`` False: a dry run; nothing is stored.
    """

    def __init__(self, db: Session, site: Site, person: Person, *, keep: bool) -> None:
        self._db = db
        self._site = site
        self._keep = keep
        self._access = Access(db, site.policy, person)
        self._user = person.name
        self._made: dict[str, FolderRow] = {}
        self._known: list[FolderRow] | None = None

    def mounts(
        self,
        chosen: Sequence[FolderMount],
        new_folders: Sequence[str],
        project: str | None = None,
    ) -> list[Mount]:
        """Home, dot-folders, the chosen and the new ones, the project's materials; outer targets
        first.

        Raises BadValue naming the field for a folder that is not his, a mode that he does not
        have or a clash of targets; OverLimit for writing where the quota is used up.
        """
        for name in new_folders:
            self._make(name)
        named = {wish.name for wish in chosen}
        wishes = [*chosen, *(FolderMount(name=name) for name in new_folders if name not in named)]
        mounts = [self._home(), *(self._chosen(wish) for wish in wishes)]
        taken = {mount.id for mount in mounts if not mount.subpath}
        for folder in self._site.folders.names(self._db, self._user):
            if is_dot_folder(folder.name) and folder.id not in taken:
                mounts.append(_automatic(folder))
        return with_materials(self._db, self._access, project, _without_clashes(mounts))

    def _home(self) -> Mount:
        folders = self._site.folders
        if self._keep:
            return _mount(folders.home(self._db, self._user), HOME, "rw", auto=True)
        found = find(self._db, "user", self._user, HOME_FOLDER)
        home = found or new_folder("user", self._user, HOME_FOLDER, self._user)
        return _mount(home, HOME, "rw", auto=True)

    def _make(self, name: str) -> None:
        """A folder of his own to begin with this session; one that he has is taken as it is."""
        check_folder_name(name, field="new_folders")
        if find(self._db, "user", self._user, name) is not None:
            return
        if self._keep:
            made = self._site.folders.create(self._db, self._user, name, field="new_folders")
        else:
            made = new_folder("user", self._user, name, self._user)
        self._made[name] = made

    def _chosen(self, wish: FolderMount) -> Mount:
        folder = self._named(wish)
        best = self._access.mode(folder)
        if best is None:
            raise _unknown(wish)
        subpath = self._subpath(wish)
        mode = self._mode(folder, best, wish)
        foreign = folder.kind != "user" or folder.owner != self._user
        if wish.target is None and foreign and is_dot_folder(folder.name):
            raise BadValue(
                f"{label(folder)} would take the place of a dot-folder of your own; give it a"
                " target.",
                field="folders",
            )
        target = self._target(folder, subpath, wish)
        return _mount(folder, target, mode, subpath=subpath, asked=wish.mode)

    def _subpath(self, wish: FolderMount) -> str:
        if not wish.subpath:
            return ""
        self._site.subpath_mounts.require_possible()
        return check_path(wish.subpath, "subpath")

    def _target(self, folder: FolderRow, subpath: str, wish: FolderMount) -> str:
        if wish.target is not None:
            return check_target(wish.target, field="folders")
        where = f"{folder.name}/{subpath}" if subpath else folder.name
        try:
            return check_target(where, field="folders")
        except BadValue as error:
            raise BadValue(
                f"{error.message} Give {where!r:.80} a target.", field="folders"
            ) from None

    def _mode(self, folder: FolderRow, best: Mode, wish: FolderMount) -> str:
        """ro or rw, as asked or the best there is. Raises BadValue, OverLimit."""
        writable = best.covers(Mode.RW)
        if wish.mode == "rw" and not writable:
            raise BadValue(
                f"You may only read {label(folder)}; mount it with mode ro.", field="folders"
            )
        mode = wish.mode or ("rw" if writable else "ro")
        if mode == "rw":
            room = room_of(self._db, self._site.policy, folder.kind, folder.owner)
            if room.full:
                kept = keeps(self._access.right(folder))
                why = f"{room.sentence()} Free some space" if kept else f"{NO_ROOM} Ask its owner"
                raise OverLimit(
                    f"{why}, or mount '{folder.name}' read-only (mode ro).",
                    field="folders",
                )
        return mode

    def _named(self, wish: FolderMount) -> FolderRow:
        """The one folder that is meant; own ones come first. Raises BadValue."""
        if wish.id is not None:
            folder = self._site.folders.get(self._db, wish.id)
            found = [folder] if folder is not None and folder.name != HOME_FOLDER else []
            found = [each for each in found if self._access.mode(each) is not None]
        else:
            found = self._called(wish.name or "")
        if wish.of is not None:
            found = [each for each in found if f"{each.kind}:{each.owner}" == wish.of]
        own = [each for each in found if each.kind == "user" and each.owner == self._user]
        found = own or found
        if not found:
            raise _unknown(wish)
        if len(found) > 1:
            owners = ", ".join(f"{each.kind}:{each.owner}" for each in found[:10])
            raise BadValue(
                f"Several folders are called '{wish.name}': of {owners}. Say which one by 'of'.",
                field="folders",
            )
        return found[0]

    def _called(self, name: str) -> list[FolderRow]:
        """All that he may use under this name."""
        if name in self._made:
            return [self._made[name]]
        if self._known is None:
            self._known = list(self._access.candidates(self._db))
        return [
            each
            for each in self._known
            if each.name == name and name != HOME_FOLDER and self._access.mode(each) is not None
        ]


def _automatic(folder: FolderRow) -> Mount:
    """Dot-folders belong to the home: with the quota used up they stay writable, as it does.

    Else nobody could clear up in a session any more.
    """
    return _mount(folder, check_target(folder.name, field="folders"), "rw", auto=True)


def _mount(
    folder: FolderRow,
    target: str,
    mode: str,
    *,
    subpath: str = "",
    asked: str | None = None,
    auto: bool = False,
) -> Mount:
    return Mount(
        folder.id, folder.name, folder.kind, folder.owner, target, mode, subpath, asked, auto
    )


def _unknown(wish: FolderMount) -> BadValue:
    """The same for a folder that is missing and for one that is not his to read."""
    named = f"'{wish.name}'" if wish.id is None else f"with the id '{wish.id}'"
    of = f" of {wish.of}" if wish.of is not None else ""
    return BadValue(f"You have no folder {named}{of}.", field="folders")


def _without_clashes(mounts: list[Mount]) -> list[Mount]:
    """Sorted by target.

    Raises BadValue when two want the same place, or one a place inside another: there a mount
    point would have to be made in a folder that may be read-only, or somebody else's.
    """
    mounts = sorted(mounts, key=lambda mount: mount.target)
    for number, mount in enumerate(mounts):
        for outer in mounts[:number]:
            if outer.target == mount.target:
                raise BadValue(
                    f"'{mount.name or 'home'}' and '{outer.name or 'home'}' cannot both be"
                    f" mounted at {mount.target}.",
                    field="folders",
                )
            if outer.name != HOME_FOLDER and mount.target.startswith(f"{outer.target}/"):
                raise BadValue(
                    f"'{mount.name}' cannot be mounted at {mount.target}, inside '{outer.name}'"
                    f" at {outer.target}. Choose another target.",
                    field="folders",
                )
    return mounts


def with_materials(
    db: Session, access: Access, project: str | None, mounts: Sequence[Mount]
) -> list[Mount]:
    """The mounts with the materials of the project as it has chosen them by now.

    Without, when it has none, when the user may not read them, and when he has chosen the
    place for something else.
    """
    others = [mount for mount in mounts if not is_materials(mount)]
    row = db.get(ProjectRow, project) if project is not None else None
    folder = db.get(FolderRow, row.materials_folder_id) if row and row.materials_folder_id else None
    if row is None or folder is None or (folder.kind, folder.owner) != ("project", row.name):
        return others
    if access.mode(folder) is None or any(_at_materials(mount) for mount in others):
        return others
    materials = _mount(folder, MATERIALS, "ro", auto=True)
    return sorted([*others, materials], key=lambda mount: mount.target)


def is_materials(mount: Mount) -> bool:
    """Whether the mount is there because of the project."""
    return mount.auto and mount.target == MATERIALS


def _at_materials(mount: Mount) -> bool:
    return mount.target == MATERIALS or mount.target.startswith(f"{MATERIALS}/")


def recheck(
    db: Session, site: Site, person: Person, mounts: Sequence[Mount], project: str | None = None
) -> list[Mount]:
    """What is left of mounts that were planned earlier, as it holds now, with the materials
    that the project has chosen by now.

    A dot-folder that has gone is left out. A folder whose mode nobody asked for is mounted as
    it may be now. Raises BadValue for one that its user may not mount any more, and for a mode
    that he asked for and no longer has: starting with an empty directory, or without the
    folder, would lose work in silence.
    """
    access = Access(db, site.policy, person)
    own = [mount for mount in mounts if not is_materials(mount)]
    checked = [_rechecked(db, access, mount) for mount in own]
    left = [mount for mount in checked if mount is not None]
    return with_materials(db, access, project, left)


def _rechecked(db: Session, access: Access, mount: Mount) -> Mount | None:
    folder = db.get(FolderRow, mount.id)
    best = access.mode(folder) if folder is not None else None
    if folder is None or best is None:
        if mount.auto and mount.name != HOME_FOLDER:
            return None
        raise BadValue(
            f"Its user can no longer mount the folder {mount.shown}: it is gone, in the trash, or"
            " not shared with him any more. Launch without it.",
            field="folders",
        )
    if mount.mode == "rw" and not best.covers(Mode.RW):
        if mount.asked == "rw":
            raise BadValue(
                f"Its user may now only read the folder {mount.shown}, and asked to write to it."
                " Launch with mode ro.",
                field="folders",
            )
        return replace(mount, mode="ro")
    return mount
