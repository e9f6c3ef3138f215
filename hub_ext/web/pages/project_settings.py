"""What is set of a project: a form with all of it, which loses nothing of what was typed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hub_ext.db.folder_models import FolderRow
from hub_ext.db.models import PresetRow, ProjectRow, ResourceGroupRow
from hub_ext.errors import ApportionError, BadValue, Conflict, Forbidden
from hub_ext.folders.access import Access, Person
from hub_ext.images.families import families
from hub_ext.images.visibility import visible_images
from hub_ext.projects import body
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import Action, By, may
from hub_ext.web.pages import project_fields as fields
from hub_ext.web.pages.project_fields import Fields
from hub_ext.web.pages.projects import ProjectPage, project_url
from hub_ext.web.translation import gettext as _

_EMPTY_ROWS = 2


class SettingsPage(ProjectPage):
    """The form and what it sends. Without script it is shown again with every refusal."""

    def get(self, name: str) -> None:
        """As it is now."""
        row, by = self.opened(name, Action.DESCRIBE)
        now = self.fields_now(row, by)
        self.show_form(row, by, now, base=now)

    def post(self, name: str) -> None:
        """Save what was typed over; ``more=1``: only show more rows of hours."""
        row, by = self.opened(name, Action.DESCRIBE)
        names = _names(by)
        mine = self.typed(names)
        try:
            base = fields.read_base(self.get_body_argument("base", ""), names)
        except ApportionError as refusal:
            self.refuse(row, by, mine, self.fields_now(row, by), refusal)
            return
        if self.get_body_argument("more", ""):
            self.show_form(row, by, mine, base=base, rows=_EMPTY_ROWS + 3)
            return
        try:
            self._save(row, by, mine, base)
        except Conflict as stale:
            if stale.field == "version":
                self._meanwhile(name, by, mine, base)
            else:
                self.refuse(row, by, mine, base, stale)
        except ApportionError as refusal:
            self.refuse(row, by, mine, base, refusal)

    def _save(self, row: ProjectRow, by: By, mine: Fields, base: Fields) -> None:
        given = fields.as_body(mine, base, self.site.policy.timezone)
        if not given:
            self.say([_("Nothing was changed.")])
            self.redirect(project_url(row.name, "settings"), status=303)
            return
        version = self.get_body_argument("version", "")
        change = body.read_body(body.ProjectChange, given | {"version": _version(version)})
        values = body.columns(change, self.site.policy.unit)
        changed = self.site.projects.change(row.name, values, by=by, version=change.version)
        self.say([_("Saved."), *changed.warnings])
        self.redirect(project_url(row.name, "settings"), status=303)

    def _meanwhile(self, name: str, by: By, mine: Fields, base: Fields) -> None:
        """Somebody was faster: what he set, with what was typed here on top, to look at."""
        row = self.site.projects.get(name)
        now = self.fields_now(row, by)
        if not fields.changed_in(mine, now):  # the very same form, sent twice
            self.say([_("Saved.")])
            self.redirect(project_url(name, "settings"), status=303)
            return
        self.set_status(409)
        theirs = fields.changed_in(now, base)
        both = set(theirs) & set(fields.changed_in(mine, base))
        self.show_form(
            row,
            by,
            fields.merged(mine, base, now),
            base=now,
            meanwhile=[
                {
                    "field": each,
                    "now": _said(now[each]),
                    "mine": _said(mine[each]),
                    "both": each in both,
                }
                for each in theirs
            ],
        )

    def refuse(
        self, row: ProjectRow, by: By, mine: Fields, base: Fields, refusal: ApportionError
    ) -> None:
        """The form again, with what is wrong."""
        self.set_status(refusal.status)
        self.show_form(row, by, mine, base=base, error=refusal)

    def typed(self, names: Sequence[str]) -> Fields:
        """What the form has sent."""
        return fields.typed(
            names,
            lambda field: self.get_body_argument(field, ""),
            self.get_body_arguments,
        )

    def fields_now(self, row: ProjectRow, by: By) -> Fields:
        """As the form of the caller's role shows it."""
        every = fields.fields_of(self.described(row, by.role), self.site.policy.timezone)
        return {name: every[name] for name in _names(by)}

    def show_form(
        self, row: ProjectRow, by: By, shown: Fields, *, base: Fields, **more: Any
    ) -> None:
        """On the settings page."""
        context: dict[str, Any] = {"error": None, "meanwhile": [], "rows": _EMPTY_ROWS} | more
        described = self.described(row, by.role)
        self.show_project(
            "project_settings.html",
            row,
            by,
            described,
            tab="settings",
            fields=shown,
            opened_with=json.dumps(base),
            version=row.version,
            bounds=fields.limit_fields(described["bounds"]["member_limits"]),
            **self.choices(row, by, shown),
            **context,
        )

    def choices(self, row: ProjectRow | None, by: By, shown: Fields) -> dict[str, Any]:
        """What can be ticked and chosen, of which instructors see what the admin allows."""
        most = dict.fromkeys(fields.LISTS)
        if row is not None and not may(by.role, Action.GOVERN):
            most |= {key: row.bounds.get(key) for key in ("images", "presets")}
        with self.site.database.transaction() as db:
            known = self._known(db)
            parents = _parents(db, row) if may(by.role, Action.GOVERN) else []
            folders = [] if row is None else self._folders(db, row.name)
        return {
            "choices": {
                key: _offered(known[key], most[key], shown.get(key)) for key in fields.LISTS
            },
            "parents": parents,
            "folders": folders,
        }

    def _known(self, db: Session) -> dict[str, dict[str, str]]:
        """Names and what they are called."""
        caller = self.caller
        visible = visible_images(db, self.site, caller.name, caller.groups, caller.admin)
        presets = db.scalars(select(PresetRow).order_by(PresetRow.rank, PresetRow.name))
        groups = db.scalars(select(ResourceGroupRow).order_by(ResourceGroupRow.name))
        images = [image for family in families(visible.values()) for image in family.images]
        return {
            "images": {
                image.reference: f"{image.title} {image.version}".strip() for image in images
            },
            "presets": {preset.name: preset.title for preset in presets},
            "resource_groups": {group.name: group.title or group.name for group in groups},
            "kinds": {"interactive": _("interactive"), "batch": _("batch")},
        }

    def _folders(self, db: Session, project: str) -> list[dict[str, str]]:
        """The project's own, that its instructors may read."""
        caller = self.caller
        access = Access(db, self.site.policy, Person(caller.name, caller.groups, caller.admin))
        query = select(FolderRow).where(
            FolderRow.kind == "project",
            FolderRow.owner == project,
            FolderRow.trashed_at.is_(None),
        )
        found = db.scalars(query.order_by(FolderRow.name))
        return [
            {"id": each.id, "name": each.name, "members_mode": each.members_mode}
            for each in found
            if access.mode(each) is not None
        ]


class NewProjectPage(SettingsPage):
    """The same form for a project that is not there yet (admin)."""

    def get(self) -> None:  # type: ignore[override]
        """Empty; ``parent`` of the query may be chosen already."""
        by = self._admin()
        base = self._blank()
        parent = self.get_query_argument("parent", "")[:64]
        self._show_new(by, base | {"parent": parent, "name": ""})

    def post(self) -> None:  # type: ignore[override]
        """Create it."""
        by = self._admin()
        mine = self.typed([*_new_names(), "name"])
        if self.get_body_argument("more", ""):
            self._show_new(by, mine, rows=_EMPTY_ROWS + 3)
            return
        try:
            given = fields.as_body(mine, self._blank(), self.site.policy.timezone)
            new = body.read_body(body.NewProject, given | {"name": mine["name"]})
            values = body.columns(new, self.site.policy.unit)
            created = self.site.projects.create(new.name, values, by=by)
        except ApportionError as refusal:
            self.set_status(refusal.status)
            self._show_new(by, mine, error=refusal)
            return
        text = _("Project %(name)s is made. Add its instructors and members now.")
        self.say([text % {"name": new.name}, *created.warnings])
        self.redirect(project_url(new.name, "members"), status=303)

    def _admin(self) -> By:
        by = By(self.caller.name, Role.ADMIN if self.caller.admin else None)
        if not may(by.role, Action.GOVERN):
            raise Forbidden(_("Only an admin creates projects."))
        return by

    def _blank(self) -> Fields:
        every = fields.blank(self.site.policy.timezone)
        return {name: every[name] for name in _new_names()}

    def _show_new(self, by: By, shown: Fields, **more: Any) -> None:
        context: dict[str, Any] = {"error": None, "rows": _EMPTY_ROWS} | more
        self.show(
            "project_new.html",
            fields=shown,
            bounds={},
            may={action.value: True for action in Action},
            said=self.said(),
            **self.choices(None, by, shown),
            **context,
        )


def _names(by: By) -> tuple[str, ...]:
    """The fields of the form of this role."""
    return fields.ADMINS if may(by.role, Action.GOVERN) else fields.INSTRUCTORS


def _new_names() -> tuple[str, ...]:
    """A project that is not there has no folders yet."""
    return tuple(name for name in fields.ADMINS if name != "materials_folder_id")


def _version(text: str) -> int:
    """Raises BadValue."""
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise BadValue(_("The form is not whole; reload the page and try again."), field="base")
    return int(text)


def _offered(
    known: Mapping[str, str], most: Sequence[str] | None, chosen: Sequence[str] | None
) -> list[dict[str, Any]]:
    """What may be ticked, and what is ticked already though it is not there (any more)."""
    names = [name for name in known if most is None or name in most]
    names += [name for name in (*(most or ()), *(chosen or ())) if name not in names]
    ticked = set(names if chosen is None else chosen)
    return [
        {
            "name": name,
            "title": known.get(name, ""),
            "ticked": name in ticked,
            "missing": name not in known,
        }
        for name in dict.fromkeys(names)
    ]


def _parents(db: Session, row: ProjectRow | None) -> list[str]:
    """Projects below which it could be."""
    query = select(ProjectRow.name).where(ProjectRow.archived_at.is_(None))
    own = "" if row is None else row.name
    return [name for name in db.scalars(query.order_by(ProjectRow.name)) if name != own]


def _said(value: Any) -> str:
    """A field's value on one line."""
    if value is None:
        return _("everything")
    if isinstance(value, list):
        return ", ".join(_part(each) for each in value) or _("none")
    return str(value) or _("empty")


def _part(each: Any) -> str:
    if isinstance(each, dict):
        return f"{'/'.join(each['days'])} {each['from']}-{each['until']}"
    return str(each)
