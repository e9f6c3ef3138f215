"""Projects in the database: every change is checked whole, audited, and told to the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hub_ext.db.connection import Database
from hub_ext.db.folder_models import FolderRow
from hub_ext.db.models import PresetRow, ProjectRow, ResourceGroupRow, SessionRow
from hub_ext.errors import BadValue, Conflict, NotFound
from hub_ext.fgpu import FgpuUnit
from hub_ext.projects import audit, bounds
from hub_ext.projects.consequences import consequences
from hub_ext.projects.holdings import Holding, holding_of, holdings
from hub_ext.projects.permissions import Action, By, may, needed, require
from hub_ext.projects.roster import Roster
from hub_ext.projects.settings import REST_NAMES, ProjectSettings, check_name, read_settings
from hub_ext.projects.tree import Rows, check_place, depth_first, lineage, read_projects
from hub_ext.sessions.status import LIVE

FIRST_PROJECT = "default"
"""What is there from the start, and stays."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A project after a change, and sentences about what the change does not do."""

    row: ProjectRow
    warnings: list[str]


class ProjectStore:
    """The projects of this deployment; ``roster`` has their members."""

    def __init__(self, database: Database, unit: FgpuUnit) -> None:
        self.database = database
        self.roster = Roster(database, unit, self._announce)
        self._unit = unit
        self._listeners: list[Callable[[], None]] = []

    def listen(self, callback: Callable[[], None]) -> None:
        """Call it after every change of a project or its members has been committed."""
        self._listeners.append(callback)

    def get(self, name: str) -> ProjectRow:
        """One project, archived or not. Raises NotFound."""
        with self.database.transaction() as db:
            return one_project(db, name)

    def tree(self, *, archived: bool = False) -> list[ProjectRow]:
        """Every project after its parent, siblings by age; those that are archived or not."""
        with self.database.transaction() as db:
            rows = read_projects(db)
        wanted = {
            name: row for name, row in rows.items() if (row.archived_at is not None) == archived
        }
        return depth_first(wanted)

    def holding(self, name: str) -> Holding:
        """The same of one project."""
        with self.database.transaction() as db:
            return holding_of(db, name)

    def holdings(self) -> Mapping[str, Holding]:
        """What the sessions of each project hold now, with those below it."""
        with self.database.transaction() as db:
            return holdings(db, read_projects(db))

    def create(self, name: str, values: Mapping[str, Any], *, by: By) -> Changed:
        """A new project; ``values`` by the columns of ProjectSettings.

        Raises Forbidden, BadValue, Conflict.
        """
        require(by.role, Action.GOVERN, "Only an admin creates projects.")
        check_name(name)
        with self.database.transaction() as db:
            rows = read_projects(db, for_change=True)
            if name in rows:
                archived = " It is archived; restore it." if rows[name].archived_at else ""
                raise Conflict(f"There is already a project {name}.{archived}", field="name")
            settings = self._checked(db, name, dict(values), values, rows)
            row = ProjectRow(
                name=name,
                created_at=time.time(),
                created_order=(db.scalar(select(func.max(ProjectRow.created_order))) or 0) + 1,
                version=1,
                bounds=settings.model_dump(include=set(bounds.COLUMNS)),
                **settings.model_dump(),
            )
            db.add(row)
            audit.note(db, by.user, "project.create", name, name, None, settings.model_dump())
        self._announce()
        return Changed(row, [])

    def change(
        self,
        name: str,
        values: Mapping[str, Any],
        *,
        by: By,
        version: int | None = None,
    ) -> Changed:
        """Set these columns; of ``member_limits`` those that are named.

        An instructor's None goes back to what the admin has set. ``version``: of the project
        as it was read; another one is a Conflict. Raises NotFound, Forbidden (beyond what the
        role may), BadValue, Conflict. A refusal changes nothing.
        """
        for column in values:
            field = REST_NAMES.get(column, column)
            message = f"Only an admin changes {field} of a project."
            require(by.role, needed(column), message, field)
        with self.database.transaction() as db:
            rows = read_projects(db, for_change=True)
            row = _one(rows, name)
            _check_changeable(row, version)
            if may(by.role, Action.GOVERN):
                changed, told = self._change_all(db, row, values, rows, by.user)
            else:
                changed, told = self._change_within_bounds(db, row, values, rows, by.user)
            warnings = [*told, *consequences(db, rows, row, values, self._unit)]
        if changed:
            self._announce()
        return Changed(row, warnings)

    def _change_all(
        self, db: Session, row: ProjectRow, values: Mapping[str, Any], rows: Rows, by: str
    ) -> tuple[bool, list[str]]:
        """An admin sets the bounds of instructors together with what holds now."""
        before, most = bounds.values_of(row), bounds.bounds_of(row)
        wanted = {**_settings_of(row), **values, **bounds.merged_by_admin(before, values)}
        settings = self._checked(db, row.name, wanted, values, rows)
        after = settings.model_dump(include=set(bounds.COLUMNS))
        anew = bounds.merged_by_admin(most, values)
        anew |= {column: after[column] for column in anew if column in bounds.LISTS}
        changed = _write(db, row, settings, {**most, **anew}, by)
        return changed, list(bounds.overruled(before, most, after, self._unit))

    def _change_within_bounds(
        self, db: Session, row: ProjectRow, values: Mapping[str, Any], rows: Rows, by: str
    ) -> tuple[bool, list[str]]:
        """An instructor moves what holds now below the bounds."""
        most = bounds.bounds_of(row)
        wanted = bounds.merged(bounds.values_of(row), values, most)
        settings = self._checked(
            db, row.name, {**_settings_of(row), **values, **wanted}, values, rows
        )
        new = settings.model_dump(include=set(wanted))
        bounds.check(new, most, lineage(rows, row.name)[1:], self._unit)
        changed = _write(db, row, settings, most, by)
        return changed, list(bounds.put_back(values, most, self._unit))

    def archive(self, name: str, *, by: By) -> ProjectRow:
        """Close it for good, or until ``restore``. Raises Forbidden, NotFound, Conflict."""
        require(by.role, Action.GOVERN, "Only an admin archives projects.")
        with self.database.transaction() as db:
            rows = read_projects(db, for_change=True)
            row = _one(rows, name)
            if name == FIRST_PROJECT:
                raise Conflict(f"{name} cannot be archived: it is for those who have no project.")
            if row.archived_at is not None:
                raise Conflict(f"Project {name} is archived already.")
            _check_empty(db, name, rows)
            row.archived_at = time.time()
            row.version += 1
            audit.note(db, by.user, "project.archive", name, name, None, None)
        self._announce()
        return row

    def restore(self, name: str, *, by: By) -> ProjectRow:
        """Open an archived project again, as it was. Raises Forbidden, NotFound, Conflict."""
        require(by.role, Action.GOVERN, "Only an admin restores projects.")
        with self.database.transaction() as db:
            rows = read_projects(db, for_change=True)
            row = _one(rows, name)
            if row.archived_at is None:
                raise Conflict(f"Project {name} is not archived.")
            if row.parent is not None and rows[row.parent].archived_at is not None:
                raise Conflict(f"Its parent {row.parent} is archived; restore that first.")
            row.archived_at = None
            row.version += 1
            audit.note(db, by.user, "project.restore", name, name, None, None)
        self._announce()
        return row

    def _announce(self) -> None:
        for callback in self._listeners:
            callback()

    def _checked(
        self,
        db: Session,
        name: str,
        merged: dict[str, Any],
        given: Mapping[str, Any],
        rows: Rows,
    ) -> ProjectSettings:
        """The settings as they would be, if all of them together may be. Raises BadValue."""
        settings = read_settings(merged, self._unit)
        if "parent" in given and settings.parent is not None:
            parent = rows.get(settings.parent)
            if parent is None or parent.archived_at is not None:
                what = "is archived" if parent else "does not exist"
                raise BadValue(f"parent: project {settings.parent[:80]} {what}.", field="parent")
        check_place(rows, name, settings.parent)
        for column, known in (
            ("presets", PresetRow.name),
            ("resource_groups", ResourceGroupRow.name),
        ):
            if given.get(column):
                _check_known(getattr(settings, column), set(db.scalars(select(known))), column)
        if given.get("materials_folder_id"):
            _check_materials(db, name, settings.materials_folder_id or "")
        return settings


def one_project(db: Session, name: str) -> ProjectRow:
    """One of them, inside the caller's transaction. Raises NotFound."""
    row = db.get(ProjectRow, name)
    if row is None:
        raise NotFound("There is no such project.")
    return row


def _one(rows: Rows, name: str) -> ProjectRow:
    if name not in rows:
        raise NotFound("There is no such project.")
    return rows[name]


def _settings_of(row: ProjectRow) -> dict[str, Any]:
    return {column: getattr(row, column) for column in ProjectSettings.model_fields}


def _check_changeable(row: ProjectRow, version: int | None) -> None:
    if row.archived_at is not None:
        raise Conflict(f"Project {row.name} is archived; restore it to change it.")
    if version is not None and version != row.version:
        raise Conflict(
            f"Project {row.name} has been changed meanwhile: it is at version {row.version}, not"
            f" {version}. Read it again.",
            field="version",
        )


def _check_known(names: list[str], known: set[str], field: str) -> None:
    for number, name in enumerate(names):
        if name not in known:
            there = ", ".join(sorted(known)) or "none"
            raise BadValue(
                f"{field}: there is no {name[:80]}; there are {there}.", field=f"{field}.{number}"
            )


def _check_materials(db: Session, name: str, folder_id: str) -> None:
    """What all sessions of a project mount is the project's own."""
    folder = db.get(FolderRow, folder_id)
    ours = folder is not None and (folder.kind, folder.owner) == ("project", name)
    if folder is None or not ours or folder.trashed_at is not None:
        raise BadValue(
            f"materials_folder_id: project {name} has no such folder; make one for it on the page"
            " Folders first.",
            field="materials_folder_id",
        )


def _write(
    db: Session, row: ProjectRow, settings: ProjectSettings, most: dict[str, Any], by: str
) -> bool:
    """Store what differs, with its audit row. False when nothing does."""
    before = {**_settings_of(row), **_named(bounds.bounds_of(row))}
    after = {**settings.model_dump(), **_named(most)}
    if before == after:
        return False
    for column, value in settings.model_dump().items():
        setattr(row, column, value)
    row.bounds = most
    row.version += 1
    audit.note(db, by, "project.change", row.name, row.name, before, after)
    return True


def _named(most: Mapping[str, Any]) -> dict[str, Any]:
    """Bounds as the audit log names them."""
    return {f"bounds.{column}": value for column, value in most.items()}


def _check_empty(db: Session, name: str, rows: Rows) -> None:
    """Raises Conflict when sessions or projects still need it."""
    children = [row.name for row in rows.values() if row.parent == name and not row.archived_at]
    query = select(func.count()).where(SessionRow.project == name, SessionRow.status.in_(LIVE))
    live = db.scalar(query) or 0
    if live:
        sessions = "session" if live == 1 else "sessions"
        raise Conflict(
            f"Project {name} has {live} live {sessions}; stop them, or let them end, first."
        )
    if children:
        projects = "project" if len(children) == 1 else "projects"
        raise Conflict(
            f"Project {name} has {len(children)} {projects} below it ({', '.join(children[:5])});"
            " archive or move them first."
        )
