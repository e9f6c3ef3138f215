"""Which of the admin's pages and forms answers what, below the service's prefix."""

from __future__ import annotations

from tornado import web

from hub_ext.web.pages import (
    admin,
    admin_announcements,
    admin_audit,
    admin_groups,
    admin_limits,
    admin_nodes,
    admin_presets,
)

_NAME = "([^/]+)"
_NODE = f"admin/nodes/{_NAME}"
_GROUP = f"admin/groups/{_NAME}"
_PRESET = f"admin/presets/{_NAME}"

ROUTES: list[tuple[str, type[web.RequestHandler]]] = [
    ("admin", admin.AdminHome),
    ("admin/attention", admin.AdminAttention),
    ("admin/nodes", admin_nodes.NodesPage),
    ("admin/nodes-table", admin_nodes.NodesTable),
    (_NODE, admin_nodes.NodePage),
    (f"{_NODE}/drain", admin_nodes.DrainForm),
    (f"{_NODE}/resume", admin_nodes.ResumeForm),
    (f"{_NODE}/group", admin_nodes.GroupOfNodeForm),
    (f"{_NODE}/enforcer", admin_nodes.EnforcerOfNodeForm),
    (f"{_NODE}/labels/add", admin_nodes.AddLabelForm),
    (f"{_NODE}/labels/remove", admin_nodes.RemoveLabelForm),
    ("admin/groups", admin_groups.GroupsPage),
    ("admin/groups-table", admin_groups.GroupsTable),
    ("admin/groups-new", admin_groups.NewGroupForm),
    (_GROUP, admin_groups.GroupPage),
    (f"{_GROUP}/change", admin_groups.ChangeGroupForm),
    (f"{_GROUP}/delete", admin_groups.DeleteGroupForm),
    ("admin/presets", admin_presets.PresetsPage),
    ("admin/presets-table", admin_presets.PresetsTable),
    ("admin/presets-new", admin_presets.NewPresetForm),
    (_PRESET, admin_presets.PresetPage),
    (f"{_PRESET}/change", admin_presets.ChangePresetForm),
    (f"{_PRESET}/move", admin_presets.MovePresetForm),
    (f"{_PRESET}/delete", admin_presets.DeletePresetForm),
    ("admin/limits", admin_limits.LimitsPage),
    ("admin/limits/storage", admin_limits.QuotaForm),
    ("admin/limits/storage-default", admin_limits.DropQuotaForm),
    ("admin/announcements", admin_announcements.AnnouncementsPage),
    ("admin/announcements/list", admin_announcements.AnnouncementsList),
    ("admin/announcements/new", admin_announcements.AnnounceForm),
    ("admin/announcements/preview", admin_announcements.PreviewForm),
    (r"admin/announcements/(\d{1,15})/take-back", admin_announcements.TakeBackForm),
    ("admin/audit", admin_audit.AuditPage),
    (r"admin/audit\.csv", admin_audit.AuditCsv),
]
