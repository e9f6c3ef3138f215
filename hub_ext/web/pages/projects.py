"""Pages of projects: the list, for admins the tree, and what every page of one project has."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from hub_ext.db.models import ProjectRow
from hub_ext.projects.holdings import holdings
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import Action, By, may, require
from hub_ext.projects.shares import closed_sentence, last_day, quota_now
from hub_ext.projects.tree import Rows, depth_first, lineage, read_lineage, read_projects
from hub_ext.projects.views import project_json
from hub_ext.scheduling.model import UNLIMITED, Resources
from hub_ext.web.api.projects import ProjectApiHandler
from hub_ext.web.pages.page import Page
from hub_ext.web.templating import ROOT, templates
from hub_ext.web.translation import gettext as _

PROJECTS = f"{ROOT}projects"
PER_PAGE = 100


def project_url(name: str, part: str = "") -> str:
    """A page of one project."""
    return f"{PROJECTS}/{quote(name)}{f'/{part}' if part else ''}"


templates.globals["project_url"] = project_url


class ProjectPage(Page, ProjectApiHandler):
    """A page about projects."""

    section = "projects"

    def opened(self, name: str, action: Action = Action.SEE) -> tuple[ProjectRow, By]:
        """A project, for who may do this there. Raises NotFound, Forbidden."""
        by = self.by(name)
        row = self.site.projects.get(name)
        require(by.role, action, _("This page is for the instructors of the project."))
        return row, by

    def show_project(
        self,
        template: str,
        row: ProjectRow,
        by: By,
        described: dict[str, Any] | None = None,
        **context: Any,
    ) -> None:
        """A page of one project, with what all of them have on top.

        described: the project as JSON, if it is there already.
        """
        with self.site.database.transaction() as db:
            rows = read_lineage(db, row.name)
        self.show(
            template,
            project=described or self.described(row, by.role),
            may={action.value: may(by.role, action) for action in Action},
            above=[each.name for each in reversed(lineage(rows, row.name)[1:])],
            shut=self.shut(rows, row.name),
            said=self.said(),
            **context,
        )

    def shut(self, rows: Rows, name: str) -> str:
        """Why nothing starts in it now; "": it is open."""
        now, tz = time.time(), self.site.policy.timezone
        sentences = (closed_sentence(row, now, tz) for row in lineage(rows, name))
        return next((sentence for sentence in sentences if sentence), "")

    @property
    def is_part(self) -> bool:
        """Whether only the live part of the page is asked for."""
        return self.get_query_argument("part", "") == "1"


class ProjectsPage(ProjectPage):
    """The caller's projects; an admin's are all, as a tree."""

    def get(self) -> None:
        """In pages; ``find`` in name or title, ``archived=1`` the archived ones (admin)."""
        archived = self.caller.admin and self.get_query_argument("archived", "") == "1"
        find = self.get_query_argument("find", "").strip()
        with self.site.database.transaction() as db:
            rows = read_projects(db)
            held = holdings(db, rows)
        roles = self._roles(rows, archived)
        chosen = [row for row in _tree(rows, roles) if _matches(row, find)]
        first = self.whole_number("from", 0, 0, 10**6)
        page = chosen[first : first + PER_PAGE]
        self.show(
            "projects_list.html" if self.is_part else "projects.html",
            cards=[self._card(row, roles[row.name], rows, held) for row in page],
            total=len(chosen),
            first=first,
            last=first + len(page),
            query=_query(archived, find, first),
            earlier=_query(archived, find, first - PER_PAGE) if first else None,
            later=_query(archived, find, first + PER_PAGE)
            if first + PER_PAGE < len(chosen)
            else None,
            archived=archived,
            find=find,
            admin=self.caller.admin,
            said=[] if self.is_part else self.said(),
        )

    def _roles(self, rows: Rows, archived: bool) -> Mapping[str, Role]:
        if archived:
            there = (row for row in rows.values() if row.archived_at is not None)
            return {row.name: Role.ADMIN for row in there}
        return self.roles()

    def _card(
        self, row: ProjectRow, role: Role, rows: Rows, held: Mapping[str, Any]
    ) -> dict[str, Any]:
        """A project as a line of the list."""
        policy, now = self.site.policy, time.time()
        card = project_json(
            row,
            policy.unit,
            role=role,
            held=held[row.name],
            fair_share=self.site.fair_share.get(row.name),
        )
        quota = quota_now(row, now, policy.timezone)
        return card | {
            "depth": len(lineage(rows, row.name)) - 1,
            "shut": self.shut(rows, row.name),
            "quota_now": amounts(quota, policy.unit.per_gpu),
            "last_day": None if row.valid_until is None else last_day(row, policy.timezone),
        }


def amounts(resources: Resources, per_gpu: int) -> dict[str, float | None]:
    """fGPU, cores, GiB; None: unlimited."""
    units = {"fgpu": 1000 / per_gpu, "cpu": 1000, "memory_gib": 1024}
    values = (resources.gpu_milli, resources.cpu_milli, resources.memory_mib)
    return {
        name: None if value == UNLIMITED else value / unit
        for (name, unit), value in zip(units.items(), values, strict=True)
    }


def _tree(rows: Rows, names: Collection[str]) -> list[ProjectRow]:
    """Those of the names, each after its parent."""
    return depth_first({name: row for name, row in rows.items() if name in names})


def _matches(row: ProjectRow, find: str) -> bool:
    return find.casefold() in f"{row.name}\n{row.title}".casefold()


def _query(archived: bool, find: str, first: int) -> str:
    """What leads to this page of the list."""
    wanted = {"archived": "1" if archived else "", "find": find, "from": max(0, first) or ""}
    query = urlencode({key: value for key, value in wanted.items() if value})
    return f"?{query}" if query else ""
