"""The launch form: which projects it offers, and what each lets its user ask for."""

from __future__ import annotations

import re

from sqlalchemy import update

from hub_ext.db.connection import Database
from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.nodes import inventory
from hub_ext.site import Site
from hub_ext.web.launch.form import render_launch_form


def add_project(database: Database, name: str, order: int, **values: object) -> None:
    """A project with ann in it."""
    settings = {"member_limits": {}, **values}
    with database.transaction() as db:
        db.add(ProjectRow(name=name, created_at=0.0, created_order=order, **settings))
        db.flush()
        member = MemberRow(
            project=name, user="ann", role="member", limits={}, added_at=0.0, added_by="admin"
        )
        db.add(member)


def options(html: str) -> dict[str, str]:
    """The projects on offer: name to the option's attributes and text."""
    select = re.search(r'<select[^>]*id="launch-project".*?</select>', html, re.DOTALL)
    found = re.findall(r'<option value="([^"]*)"(.*?)</option>', select[0] if select else "", re.S)
    return {name: " ".join(rest.split()) for name, rest in found}


def field(html: str, name: str) -> str:
    """The tag of an input."""
    found = re.search(rf'<input[^>]*id="launch-{name}"[^>]*>', html)
    assert found is not None, name
    return found[0]


def test_who_has_one_project_is_not_asked_for_it(site: Site) -> None:
    html = render_launch_form(site, "bob", "")

    assert options(html) == {}
    assert 'name="project"' not in html


async def test_who_has_more_chooses_and_sees_quota_and_use(site: Site, database: Database) -> None:
    await inventory.refresh(site)
    add_project(database, "ml101", 11, title="Machine <Learning>", quota_gpu_milli=1500)
    add_project(database, "bio", 12)
    found = options(render_launch_form(site, "ann", ""))

    assert list(found) == ["default", "ml101", "bio"]
    assert "Machine &lt;Learning&gt; (ml101): 0 of 1.5 fGPU in use" in found["ml101"]
    assert "bio: 0 fGPU in use" in found["bio"]
    assert "selected" in found["ml101"]


def test_where_there_is_no_gpu_nothing_is_said_of_them(site: Site, database: Database) -> None:
    add_project(database, "ml101", 11)

    assert "fGPU" not in options(render_launch_form(site, "ann", ""))["ml101"]


def test_groups_of_the_hub_open_projects_too(site: Site, database: Database) -> None:
    add_project(database, "ml101", 11)

    assert options(render_launch_form(site, "cleo", "")) == {}
    assert "ml101" in options(render_launch_form(site, "cleo", "", {"course-ml101"}))
    assert "ml101" in options(render_launch_form(site, "root", "", admin=True))


def test_the_limits_of_the_member_are_those_of_the_fields(site: Site, database: Database) -> None:
    limits = {"max_priority": 10, "max_lifetime_s": 9000}
    add_project(database, "ml101", 11, member_limits=limits)
    found = options(render_launch_form(site, "ann", ""))
    assert 'data-max-priority="10"' in found["ml101"]
    assert 'data-max-lifetime-h="2.5"' in found["ml101"]
    assert 'data-max-lifetime-h=""' in found["default"]

    instructor = options(render_launch_form(site, "ann", "", {"course-ml101-instructors"}))
    assert 'data-max-priority="100"' in instructor["ml101"]


def test_without_a_choice_the_limits_are_on_the_fields(site: Site, database: Database) -> None:
    with database.transaction() as db:
        db.execute(update(ProjectRow).values(member_limits={"max_lifetime_s": 7200}))
    html = render_launch_form(site, "ann", "")

    assert 'max="2"' in field(html, "lifetime_h")
    assert 'max="0"' in field(html, "priority")


def test_who_is_in_no_project_is_told_whom_to_ask(site: Site, database: Database) -> None:
    with database.transaction() as db:
        db.execute(update(ProjectRow).values(open_to_all=False))

    assert "Ask an instructor" in render_launch_form(site, "ann", "")


def test_being_reclaimed_is_explained_with_the_warning_of_the_site(site: Site) -> None:
    html = render_launch_form(site, "ann", "")

    assert "you are warned 60 s before" in " ".join(html.split())
    assert "checked" not in field(html, "preemptible")
    assert "checked" in field(html, "requeue")
