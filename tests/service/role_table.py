"""Who may do what by URL, form and API: the table that ``test_roles_on_pages.py`` tries.

``yes``: whose request is served, or refused only for what it says; ``refused``: who is told
that he may not (403); everybody else is told that there is no such thing (404). Letters:
a ann, whose things it is about; b bob, of the same course; z zoe, of another course;
t tess, who teaches ann's course; d dan, who teaches the other; r root, an admin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ALL = "abztdr"


@dataclass(frozen=True, slots=True)
class Try:
    """One request; ``path`` with the names of ``role_lab.IDS`` in braces."""

    method: str
    path: str
    yes: str = ALL
    refused: str = ""
    body: Any = None
    unknown: str = ""
    """Who names a project that is none for him (400)."""


def page(path: str, /, yes: str = ALL, refused: str = "") -> Try:
    """A page or a live part."""
    return Try("GET", path, yes, refused)


def form(path: str, yes: str = ALL, refused: str = "", /, **fields: Any) -> Try:
    """A form as it is sent without script."""
    return Try("POST", path, yes, refused, fields)


def admin_page(path: str) -> Try:
    """That there are such pages is no secret."""
    return page(path, "r", "abztd")


def admin_form(path: str, **fields: Any) -> Try:
    """A change on them."""
    return form(path, "r", "abztd", **fields)


_S, _W = "sessions/{session}", "sessions/{waiting}"
_F, _C = "folders/{folder}", "folders/{course_folder}"
_P, _R = "projects/optics5", "image-requests/{request}"

_COURSE_FOLDER = {"name": "new", "usage": "general", "project": "optics5"}

PAGES: list[Try] = [
    page(""),
    page("sessions/table"),
    page("?project=optics5", "tr"),
    page("sessions/stop?id={session}"),  # it shows what the reader may see: nothing, if so
    form("sessions/stop", id="{session}"),
    page("sessions/stopped?id={session}"),
    page(_S, "atr"),
    page(f"{_S}/log", "ar", "t"),
    page(f"{_S}/use", "atr"),
    page(f"{_S}/port?number=8080", "a", "tr"),
    form(f"{_S}/stop", "atr"),
    form(f"{_W}/stop", "atr"),
    form(f"{_S}/extend", "atr", **{"from": "7200", "more": "1"}),
    form(f"{_S}/keep", "atr"),
    form(f"{_W}/change", "atr", preemptible="1"),
    page("announcements/shown"),
    form("announcements/{told_all}/dismiss"),
    form("language", language="en"),
    page("launch"),
    page("launch?from={session}", "a"),
    form("launch", image="apportion/base:test", project="default", cpu="1", memory_gib="1"),
    form("launch/again", "a", **{"from": "{session}"}),
    Try("POST", "launch/forecast", body={}),
    admin_page("dashboard"),
    admin_page("dashboard/now"),
    admin_page("dashboard/over-time"),
    admin_page("admin"),
    admin_page("admin/attention"),
    admin_page("admin/nodes"),
    admin_page("admin/nodes-table"),
    admin_page("admin/nodes/gpu-1"),
    admin_form("admin/nodes/gpu-1/drain"),
    admin_form("admin/nodes/gpu-1/resume"),
    admin_form("admin/nodes/gpu-1/group", resource_group="extra"),
    admin_form("admin/nodes/gpu-1/enforcer", enforcer="timeslice"),
    admin_form("admin/nodes/gpu-1/labels/add", key="k", value="v"),
    admin_form("admin/nodes/gpu-1/labels/remove", key="k"),
    admin_page("admin/groups"),
    admin_page("admin/groups-table"),
    admin_form("admin/groups-new", name="new", title="New"),
    admin_page("admin/groups/extra"),
    admin_form("admin/groups/extra/change", title="Other", version="1"),
    admin_form("admin/groups/extra/delete"),
    admin_page("admin/presets"),
    admin_page("admin/presets-table"),
    admin_form("admin/presets-new", name="new", title="N", fgpu="0", cpu="1", memory_gib="1"),
    admin_page("admin/presets/cpu"),
    admin_form("admin/presets/cpu/change", title="N", fgpu="0", cpu="1", memory_gib="1"),
    admin_form("admin/presets/cpu/move", position="1"),
    admin_form("admin/presets/cpu/delete"),
    admin_page("admin/limits"),
    admin_form("admin/limits/storage", kind="user", owner="ann", gib="5"),
    admin_form("admin/limits/storage-default", kind="user", owner="ann"),
    admin_page("admin/announcements"),
    admin_page("admin/announcements/list"),
    admin_form("admin/announcements/new", text="Hello", level="info"),
    admin_form("admin/announcements/preview", text="Hello", level="info"),
    admin_form("admin/announcements/{told_all}/take-back"),
    admin_page("admin/audit"),
    admin_page("admin/audit.csv"),
    page("folders"),
    page("folders?all=1"),
    page("folders/list"),
    form("folders/new", name="new", usage="general"),
    Try("POST", "folders/new", "tr", "ab", _COURSE_FOLDER, unknown="zd"),
    page(_F, "a", "r"),
    page(_C, "abtr"),
    page(f"{_F}/settings", "ar"),
    page(f"{_C}/settings", "abtr"),
    form(f"{_F}/change", "a", "r", name="other", usage="data"),
    form(f"{_C}/change", "tr", "ab", name="other", usage="data"),
    form(f"{_F}/clone", "a", "r", name="copy"),
    form(f"{_F}/trash", "ar"),
    form(f"{_C}/trash", "tr", "ab"),
    form("folders/{trashed}/restore", "ar", name="back"),
    form("folders/{trashed}/purge", "ar", name="trashed"),
    form(f"{_F}/transfer", "r", "a", kind="user", owner="bob", name="given"),
    form(f"{_F}/invite", "a", "r", users="bob", mode="ro"),
    form(f"{_C}/invite", "tr", "ab", users="zoe", mode="ro"),
    form(f"{_F}/shares/{{share}}/mode", "a", "r", mode="rw"),
    form(f"{_F}/shares/{{share}}/stop", "a", "r"),
    form(f"{_F}/stop-sessions", "a", "r"),
    form(f"{_F}/jobs/{{job}}/cancel", "a"),
    form(f"{_F}/uploads/{{upload}}/cancel", "ar"),
    form(f"{_F}/files/new-directory", "a", "r", name="new"),
    form(f"{_C}/files/new-directory", "tr", "ab", name="new"),
    form(f"{_F}/files/rename?path=a.txt", "a", "r", name="b.txt"),
    form(f"{_F}/files/delete?path=a.txt", "a", "r"),
    page("invitations"),
    form("invitations/{invitation}/accept", "z"),
    form("invitations/{invitation}/reject", "z"),
    form("invitations/{invitation}/leave", "z"),
    page("images"),
    page("images/list"),
    form("images/give", "ar", reference="{image}", visibility="user"),
    form("images/delete", "ar", reference="{image}", confirm="mine:1"),
    form(f"{_R}/approve", "r"),
    form(f"{_R}/decline", "r", reason="No."),
    form(f"{_R}/cancel", "ar"),
    form(f"{_R}/push", "r"),
    page(f"{_S}/image", "atr"),
    form(f"{_S}/image-request", "a", "tr", name="kept"),
    page("projects"),
    page("new-project", "r", "abztd"),
    form("new-project", "r", "abztd", name="new"),
    page(_P, "abtr"),
    page("projects/poetry2", "zdr"),
    page(f"{_P}/members", "tr", "ab"),
    page(f"{_P}/members.csv", "tr", "ab"),
    form(f"{_P}/members/add", "tr", "ab", user="new", role="member"),
    form(f"{_P}/members/add", "r", "abt", user="new", role="instructor"),
    page(f"{_P}/members/import", "tr", "ab"),
    form(f"{_P}/members/import", "tr", "ab", csv="new,member"),
    page(f"{_P}/member?user=ann", "tr", "ab"),
    form(f"{_P}/member?user=ann", "tr", "ab"),
    form(f"{_P}/member/role?user=ann", "r", "abt", role="instructor"),
    form(f"{_P}/member/remove?user=ann", "tr", "ab"),
    form(f"{_P}/member/remove?user=tess", "r", "abt"),
    page(f"{_P}/settings", "tr", "ab"),
    form(f"{_P}/settings", "tr", "ab", title="T"),
    page(f"{_P}/messages", "tr", "ab"),
    form(f"{_P}/messages/new", "tr", "ab", text="Hello", level="info"),
    form(f"{_P}/messages/{{told_course}}/end", "tr", "ab"),
    page(f"{_P}/stop", "tr", "ab"),
    form(f"{_P}/stop/all", "tr", "ab", when="now"),
    form(f"{_P}/stop/call-off", "tr", "ab"),
    page(f"{_P}/report", "tr", "ab"),
    page(f"{_P}/report.csv", "tr", "ab"),
    page(f"{_P}/audit", "tr", "ab"),
    form(f"{_P}/archive", "r", "abt", name="optics5"),
    form(f"{_P}/restore", "r", "abt"),
]


def read(path: str, /, yes: str = ALL, refused: str = "") -> Try:
    """GET of the API."""
    return Try("GET", path, yes, refused)


def post(path: str, yes: str = ALL, refused: str = "", /, **body: Any) -> Try:
    """POST of JSON."""
    return Try("POST", path, yes, refused, body)


def patch(path: str, yes: str = ALL, refused: str = "", /, **body: Any) -> Try:
    """PATCH of JSON."""
    return Try("PATCH", path, yes, refused, body)


def put(path: str, yes: str = ALL, refused: str = "", /, **body: Any) -> Try:
    """PUT of JSON."""
    return Try("PUT", path, yes, refused, body)


def delete(path: str, yes: str = ALL, refused: str = "", /, **body: Any) -> Try:
    """DELETE, some with JSON."""
    return Try("DELETE", path, yes, refused, body or None)


_A = "announcements/{told_all}"
_RG, _M = "resource-groups/extra", f"{_P}/members"
_LAUNCH = {"image": "apportion/base:test", "cpu": 1, "memory_mib": 1024}

API: list[Try] = [
    read("sessions"),
    read("sessions?user=ann"),
    read("sessions?project=optics5"),
    post("sessions", project="default", **_LAUNCH),
    Try("POST", "sessions", "abtr", body={"project": "optics5", **_LAUNCH}, unknown="zd"),
    read(_S, "atr"),
    patch(_S, "atr", lifetime_s=3600),
    delete(_S, "atr"),
    read(f"{_S}/history", "atr"),
    read(f"{_S}/logs", "ar", "t"),
    read(f"{_S}/usage", "atr"),
    post(f"{_S}/image-request", "a", "tr", name="kept"),
    post("dry-run", project="default", **_LAUNCH),
    read("images"),
    read("images?all=1"),
    read("images/{image}", "ar"),
    patch("images/{image}", "ar", visibility="user"),
    delete("images/{image}", "ar", confirm="mine:1"),
    read("image-requests"),
    read(_R, "ar"),
    delete(_R, "ar"),
    post(f"{_R}/approve", "r", "abztd"),
    post(f"{_R}/decline", "r", "abztd", reason="No."),
    post(f"{_R}/push", "r", "abztd"),
    read("presets"),
    post("presets", "r", "abztd", name="new", title="N", fgpu=0, cpu=1, memory_mib=1024),
    patch("presets/cpu", "r", "abztd", title="N"),
    delete("presets/cpu", "r", "abztd"),
    read("announcements"),
    post("announcements", "r", "abztd", text="Hello"),
    delete(_A, "r", "abztd"),
    read("nodes", "r", "abztd"),
    read("nodes/gpu-1/events", "r", "abztd"),
    read("enforcers", "r", "abztd"),
    patch("nodes/gpu-1", "r", "abztd", drained=True),
    read("resource-groups", "r", "abztd"),
    post("resource-groups", "r", "abztd", name="new"),
    patch(_RG, "r", "abztd", title="T"),
    delete(_RG, "r", "abztd"),
    read("projects"),
    post("projects", "r", "abztd", name="new"),
    read(_P, "abtr"),
    patch(_P, "tr", "ab", title="T"),
    patch(_P, "r", "abt", priority=2),
    delete(_P, "r", "abt"),
    post(f"{_P}/restore", "r", "abt"),
    read(_M, "abtr"),
    post(_M, "tr", "ab", user="new"),
    post(_M, "r", "abt", user="new", role="instructor"),
    post(f"{_M}/import", "tr", "ab", csv="new,member"),
    patch(f"{_M}/ann", "tr", "ab", limits={"max_sessions": 1}),
    patch(f"{_M}/ann", "r", "abt", role="instructor"),
    delete(f"{_M}/ann", "tr", "ab"),
    delete(f"{_M}/tess", "r", "abt"),
    read(f"{_P}/announcements", "abtr"),
    post(f"{_P}/announcements", "tr", "ab", text="Hello"),
    delete(f"{_P}/announcements/{{told_course}}", "tr", "ab"),
    post(f"{_P}/stop-sessions", "tr", "ab"),
    delete(f"{_P}/stop-sessions", "tr", "ab"),
    read(f"{_P}/report", "tr", "ab"),
    read("usage"),
    read("usage?project=optics5", "abtr"),
    read("audit", "tdr", "abz"),
    read("audit?project=optics5", "tdr", "abz"),
    read("folders"),
    read("folders?all=1"),
    post("folders", name="new"),
    Try("POST", "folders", "tr", "ab", {"name": "new", "project": "optics5"}, unknown="zd"),
    read(_F, "ar"),
    read(_C, "abtr"),
    patch(_F, "a", "r", usage="data"),
    patch(_C, "tr", "ab", usage="data"),
    delete("folders/{trashed}", "ar", name="trashed"),
    post(f"{_F}/trash", "ar"),
    post("folders/{trashed}/restore", "ar", name="back"),
    post(f"{_F}/transfer", "r", "a", kind="user", owner="bob", name="given"),
    post(f"{_F}/clone", "a", "r", name="copy"),
    read(f"{_F}/jobs", "ar"),
    delete(f"{_F}/jobs/{{job}}", "a"),
    read(f"{_F}/shares", "a", "r"),
    post(f"{_F}/shares", "a", "r", users=["bob"], mode="ro"),
    patch(f"{_F}/shares/{{share}}", "a", "r", mode="rw"),
    delete(f"{_F}/shares/{{share}}", "a", "r"),
    delete(f"{_F}/revoked-sessions", "a", "r"),
    read(f"{_F}/files", "a", "r"),
    post(f"{_F}/files", "a", "r", path="new"),
    patch(f"{_F}/files", "a", "r", path="a.txt", to="b.txt"),
    delete(f"{_F}/files?path=a.txt", "a", "r"),
    read(f"{_F}/content?path=a.txt", "a", "r"),
    read(f"{_C}/content?path=a.txt", "abtr"),
    read(f"{_F}/uploads", "ar"),
    post(f"{_F}/uploads", "a", "r", path="u", size=3),
    read("uploads/{upload}", "a"),
    patch("uploads/{upload}", "a"),
    delete("uploads/{upload}", "ar"),
    post("uploads/{upload}/finish", "a"),
    read("invitations"),
    post("invitations/{invitation}/accept", "z"),
    post("invitations/{invitation}/reject", "z"),
    post("invitations/{invitation}/leave", "z"),
    read("storage-quotas", "r", "abztd"),
    read("storage-quotas/user/ann", "ar"),
    put("storage-quotas/user/ann", "r", "abztd", bytes=10**9),
    delete("storage-quotas/user/ann", "r", "abztd"),
    read("health"),
    read("openapi.json"),
]

OPEN = {"health", "openapi.json"}
"""What also somebody who has not logged in may read."""

STREAMS = {
    "sessions/([0-9a-f]{32})/events": ("sessions/{session}/events", "atr"),
    "events": ("events", ALL),
    "live": ("live?topics=sessions:optics5", "tr"),
}
"""Event streams: they do not end by themselves, and are tried by who may not."""

PRIVATE = {
    "session": "atr",
    "waiting": "atr",
    "folder": "azr",
    "course_folder": "abtr",
    "trashed": "ar",
    "share": "ar",
    "upload": "ar",
    "job": "ar",
    "request": "ar",
    "image": "ar",
}
"""Whose answers may have the id in them, when the question had not; zoe is invited."""
