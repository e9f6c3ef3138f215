"""Pages and forms of projects, below the service's prefix."""

from __future__ import annotations

from tornado import web

from hub_ext.web.pages import (
    project_desk,
    project_forms,
    project_members,
    project_overview,
    project_settings,
    projects,
)

_ONE = r"projects/([A-Za-z0-9._-]+)"

ROUTES: list[tuple[str, type[web.RequestHandler]]] = [
    ("projects", projects.ProjectsPage),
    ("new-project", project_settings.NewProjectPage),  # a project may be called "new"
    (_ONE, project_overview.OverviewPage),
    (f"{_ONE}/members", project_members.MembersPage),
    (f"{_ONE}/members.csv", project_members.MembersCsv),
    (f"{_ONE}/members/add", project_forms.AddMemberForm),
    (f"{_ONE}/members/import", project_members.ImportPage),
    (f"{_ONE}/member", project_members.MemberPage),
    (f"{_ONE}/member/role", project_forms.RoleForm),
    (f"{_ONE}/member/remove", project_forms.RemoveMemberForm),
    (f"{_ONE}/settings", project_settings.SettingsPage),
    (f"{_ONE}/messages", project_desk.MessagesPage),
    (f"{_ONE}/messages/new", project_forms.MessageForm),
    (rf"{_ONE}/messages/(\d{{1,15}})/end", project_forms.TakeBackForm),
    (f"{_ONE}/stop", project_desk.StopPage),
    (f"{_ONE}/stop/all", project_forms.StopForm),
    (f"{_ONE}/stop/call-off", project_forms.CallOffForm),
    (f"{_ONE}/report", project_desk.ReportPage),
    (f"{_ONE}/report.csv", project_desk.ReportCsv),
    (f"{_ONE}/audit", project_desk.AuditPage),
    (f"{_ONE}/archive", project_forms.ArchiveForm),
    (f"{_ONE}/restore", project_forms.RestoreForm),
]
