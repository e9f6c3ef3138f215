"""Pages of projects as HTTP: who sees what, and what the short forms do."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest

from hub_ext.nodes import inventory
from hub_ext.projects.membership import Role
from hub_ext.projects.permissions import By
from hub_ext.site import Site

from .booked_rows import book
from .project_lab import ProjectLab, shown
from .project_rows import add_session
from .rest_client import serving

ROOT = By("root", Role.ADMIN)
PAGES = ["", "/members", "/settings", "/messages", "/stop", "/report", "/audit"]
MORE = ["/members.csv", "/members/import", "/report.csv", "/member?user=ann"]
FORMS = [
    "/members/add",
    "/member/role?user=ann",
    "/member/remove?user=ann",
    "/messages/new",
    "/messages/1/end",
    "/stop/all",
    "/stop/call-off",
    "/archive",
    "/restore",
    "/settings",
    "/members/import",
    "/member?user=ann",
]
EVERY_FIELD = {
    "user": "new",
    "role": "member",
    "text": "x",
    "level": "info",
    "for": "day",
    "when": "now",
    "name": "ml101",
    "csv": "new",
    "base": "{}",
}


@pytest.fixture
async def lab(site: Site, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ProjectLab]:
    await inventory.refresh(site)
    site.projects.create("dept", {}, by=ROOT)
    site.projects.create(
        "ml101",
        {"parent": "dept", "title": "Machine learning", "quota_gpu_milli": 1000},
        by=ROOT,
    )
    for user, role in (("tess", Role.INSTRUCTOR), ("ann", Role.MEMBER), ("bob", Role.MEMBER)):
        site.projects.roster.add("ml101", user, role, {}, by=ROOT)
    async with serving(site, monkeypatch) as client:
        yield ProjectLab(site, client)


async def test_instructors_and_admins_open_every_page(lab: ProjectLab) -> None:
    for path in [f"projects/ml101{part}" for part in (*PAGES, *MORE)]:
        for who in ("tess", "root"):
            await lab.text(path, who)
    assert "New project" in await lab.text("projects", "root")
    await lab.text("new-project", "root")
