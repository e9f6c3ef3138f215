"""Which handler of the REST API answers what, below ``api/v1/``."""

from __future__ import annotations

from tornado import web

from hub_ext.web.api import (
    announcements,
    audit,
    files,
    folders,
    images,
    nodes,
    presets,
    projects,
    sessions,
    shares,
    spawner,
    uploads,
)
from hub_ext.web.api.health import HealthHandler
from hub_ext.web.api.live import LiveHandler
from hub_ext.web.api.openapi import OpenApiHandler
from hub_ext.web.base import UnknownPathHandler

_ID = r"([0-9a-f]{32})"
_PROJECT = r"([A-Za-z0-9._-]+)"

ROUTES: list[tuple[str, type[web.RequestHandler]]] = [
    ("sessions", sessions.SessionsHandler),
    (f"sessions/{_ID}", sessions.SessionHandler),
    (f"sessions/{_ID}/history", sessions.HistoryHandler),
    (f"sessions/{_ID}/events", sessions.SessionEventsHandler),
    ("events", sessions.AllEventsHandler),
    ("live", LiveHandler),
    ("dry-run", sessions.DryRunHandler),
    (f"sessions/{_ID}/image-request", images.SessionImageRequestHandler),
    ("images", images.ImagesHandler),
    ("images/(.+)", images.ImageHandler),
    ("image-requests", images.ImageRequestsHandler),
    (f"image-requests/{_ID}", images.ImageRequestHandler),
    (f"image-requests/{_ID}/approve", images.ApproveHandler),
    (f"image-requests/{_ID}/decline", images.DeclineHandler),
    (f"image-requests/{_ID}/push", images.PushHandler),
    ("presets", presets.PresetsHandler),
    ("presets/([^/]+)", presets.PresetHandler),
    ("announcements", announcements.AnnouncementsHandler),
    (r"announcements/(\d{1,15})", announcements.AnnouncementHandler),
    ("nodes", nodes.NodesHandler),
    ("nodes/([^/]+)", nodes.NodeHandler),
    ("resource-groups", nodes.ResourceGroupsHandler),
    ("resource-groups/([a-z0-9-]+)", nodes.ResourceGroupHandler),
    ("projects", projects.ProjectsHandler),
    (f"projects/{_PROJECT}", projects.ProjectHandler),
    (f"projects/{_PROJECT}/restore", projects.RestoreHandler),
    (f"projects/{_PROJECT}/members", projects.MembersHandler),
    (f"projects/{_PROJECT}/members/import", projects.ImportHandler),
    (f"projects/{_PROJECT}/members/([^/]+)", projects.MemberHandler),
    ("audit", audit.AuditHandler),
    ("folders", folders.FoldersHandler),
    (f"folders/{_ID}", folders.FolderHandler),
    (f"folders/{_ID}/trash", folders.TrashHandler),
    (f"folders/{_ID}/restore", folders.RestoreFolderHandler),
    (f"folders/{_ID}/transfer", folders.TransferHandler),
    (f"folders/{_ID}/clone", folders.CloneHandler),
    (f"folders/{_ID}/jobs", folders.JobsHandler),
    (f"folders/{_ID}/jobs/{_ID}", folders.JobHandler),
    (f"folders/{_ID}/shares", shares.SharesHandler),
    (f"folders/{_ID}/shares/{_ID}", shares.ShareHandler),
    (f"folders/{_ID}/revoked-sessions", shares.HoldersHandler),
    (f"folders/{_ID}/files", files.FilesHandler),
    (f"folders/{_ID}/content", files.ContentHandler),
    (f"folders/{_ID}/uploads", uploads.UploadsHandler),
    (f"uploads/{_ID}", uploads.UploadHandler),
    (f"uploads/{_ID}/finish", uploads.FinishHandler),
    ("invitations", shares.InvitationsHandler),
    (f"invitations/{_ID}/(accept|reject|leave)", shares.AnswerHandler),
    ("storage-quotas", folders.QuotasHandler),
    ("storage-quotas/(user|project)/([^/]+)", folders.QuotaHandler),
    ("health", HealthHandler),
    ("openapi.json", OpenApiHandler),
    ("spawner/requests", spawner.RequestsHandler),
    (f"spawner/sessions/{_ID}/wait", spawner.WaitHandler),
    (f"spawner/sessions/{_ID}/status", spawner.StatusHandler),
    (f"spawner/sessions/{_ID}/ended", spawner.EndedHandler),
    ("spawner/ended", spawner.EndedHandler),
    ("spawner/lookup", spawner.LookupHandler),
    ("spawner/dry-run", spawner.SpawnerDryRunHandler),
    ("spawner/launch-form", spawner.LaunchFormHandler),
    (".*", UnknownPathHandler),
]
