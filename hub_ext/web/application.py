"""Which handler answers what."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado import web

from hub_ext.web import (
    audit_api,
    catalogue_api,
    files_api,
    folder_forms,
    folder_pages,
    folders_api,
    image_pages,
    images_api,
    nodes_api,
    pages,
    projects_api,
    session_page,
    sessions_api,
    shares_api,
    spawner_api,
    uploads_api,
)
from hub_ext.web.base import Parts, UnknownPathHandler
from hub_ext.web.health import HealthHandler, MetricsHandler
from hub_ext.web.openapi import OpenApiHandler

PREFIX = "/services/apportion/"
_ID = r"([0-9a-f]{32})"
_PROJECT = r"([A-Za-z0-9._-]+)"
_FOLDER = f"folders/{_ID}/"
_FOLDER_PAGES = [
    ("folders", folder_pages.FoldersPage),
    ("folders/list", folder_pages.FolderList),
    ("folders/new", folder_forms.NewFolderForm),
    (f"folders/{_ID}", folder_pages.FilesPage),
    (_FOLDER + "settings", folder_pages.SettingsPage),
    (_FOLDER + "change", folder_forms.ChangeFolderForm),
    (_FOLDER + "clone", folder_forms.CloneForm),
    (_FOLDER + "trash", folder_forms.TrashForm),
    (_FOLDER + "restore", folder_forms.RestoreForm),
    (_FOLDER + "purge", folder_forms.PurgeForm),
    (_FOLDER + "transfer", folder_forms.TransferForm),
    (_FOLDER + "invite", folder_forms.InviteForm),
    (_FOLDER + f"shares/{_ID}/mode", folder_forms.ShareModeForm),
    (_FOLDER + f"shares/{_ID}/stop", folder_forms.StopShareForm),
    (_FOLDER + "stop-sessions", folder_forms.StopSessionsForm),
    (_FOLDER + f"jobs/{_ID}/cancel", folder_forms.CancelJobForm),
    (_FOLDER + "files/new-directory", folder_forms.NewDirectoryForm),
    (_FOLDER + "files/rename", folder_forms.RenameFileForm),
    (_FOLDER + "files/delete", folder_forms.DeleteFileForm),
    ("invitations", folder_pages.InvitationsPage),
    (f"invitations/{_ID}/(accept|reject|leave)", folder_forms.AnswerForm),
]
_REQUEST = f"image-requests/{_ID}/"
_IMAGE_PAGES = [
    ("images", image_pages.ImagesPage),
    ("images/list", image_pages.ImagesList),
    ("images/give", image_pages.GiveForm),
    ("images/delete", image_pages.DeleteImageForm),
    (_REQUEST + "approve", image_pages.ApproveForm),
    (_REQUEST + "decline", image_pages.DeclineForm),
    (_REQUEST + "cancel", image_pages.CancelRequestForm),
    (f"sessions/{_ID}/image", session_page.SessionImage),
    (f"sessions/{_ID}/image-request", image_pages.AskForm),
]


def make_application(parts: Parts) -> web.Application:
    """The tornado application below the service's prefix."""
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", PREFIX)
    api = prefix + "api/v1/"
    routes = [
        ("sessions", sessions_api.SessionsHandler),
        (f"sessions/{_ID}", sessions_api.SessionHandler),
        (f"sessions/{_ID}/history", sessions_api.HistoryHandler),
        (f"sessions/{_ID}/events", sessions_api.SessionEventsHandler),
        ("events", sessions_api.AllEventsHandler),
        ("dry-run", sessions_api.DryRunHandler),
        (f"sessions/{_ID}/image-request", images_api.SessionImageRequestHandler),
        ("images", images_api.ImagesHandler),
        ("images/(.+)", images_api.ImageHandler),
        ("image-requests", images_api.ImageRequestsHandler),
        (f"image-requests/{_ID}", images_api.ImageRequestHandler),
        (f"image-requests/{_ID}/approve", images_api.ApproveHandler),
        (f"image-requests/{_ID}/decline", images_api.DeclineHandler),
        (f"image-requests/{_ID}/push", images_api.PushHandler),
        ("presets", catalogue_api.PresetsHandler),
        ("nodes", nodes_api.NodesHandler),
        ("nodes/([^/]+)", nodes_api.NodeHandler),
        ("resource-groups", nodes_api.ResourceGroupsHandler),
        ("resource-groups/([a-z0-9-]+)", nodes_api.ResourceGroupHandler),
        ("projects", projects_api.ProjectsHandler),
        (f"projects/{_PROJECT}", projects_api.ProjectHandler),
        (f"projects/{_PROJECT}/restore", projects_api.RestoreHandler),
        (f"projects/{_PROJECT}/members", projects_api.MembersHandler),
        (f"projects/{_PROJECT}/members/import", projects_api.ImportHandler),
        (f"projects/{_PROJECT}/members/([^/]+)", projects_api.MemberHandler),
        ("audit", audit_api.AuditHandler),
        ("folders", folders_api.FoldersHandler),
        (f"folders/{_ID}", folders_api.FolderHandler),
        (f"folders/{_ID}/trash", folders_api.TrashHandler),
        (f"folders/{_ID}/restore", folders_api.RestoreFolderHandler),
        (f"folders/{_ID}/transfer", folders_api.TransferHandler),
        (f"folders/{_ID}/clone", folders_api.CloneHandler),
        (f"folders/{_ID}/jobs", folders_api.JobsHandler),
        (f"folders/{_ID}/jobs/{_ID}", folders_api.JobHandler),
        (f"folders/{_ID}/shares", shares_api.SharesHandler),
        (f"folders/{_ID}/shares/{_ID}", shares_api.ShareHandler),
        (f"folders/{_ID}/revoked-sessions", shares_api.HoldersHandler),
        (f"folders/{_ID}/files", files_api.FilesHandler),
        (f"folders/{_ID}/content", files_api.ContentHandler),
        (f"folders/{_ID}/uploads", uploads_api.UploadsHandler),
        (f"uploads/{_ID}", uploads_api.UploadHandler),
        (f"uploads/{_ID}/finish", uploads_api.FinishHandler),
        ("invitations", shares_api.InvitationsHandler),
        (f"invitations/{_ID}/(accept|reject|leave)", shares_api.AnswerHandler),
        ("storage-quotas", folders_api.QuotasHandler),
        ("storage-quotas/(user|project)/([^/]+)", folders_api.QuotaHandler),
        ("health", HealthHandler),
        ("openapi.json", OpenApiHandler),
        ("spawner/requests", spawner_api.RequestsHandler),
        (f"spawner/sessions/{_ID}/wait", spawner_api.WaitHandler),
        (f"spawner/sessions/{_ID}/status", spawner_api.StatusHandler),
        (f"spawner/sessions/{_ID}/ended", spawner_api.EndedHandler),
        ("spawner/ended", spawner_api.EndedHandler),
        ("spawner/lookup", spawner_api.LookupHandler),
        ("spawner/dry-run", spawner_api.SpawnerDryRunHandler),
        ("spawner/launch-form", spawner_api.LaunchFormHandler),
        (".*", UnknownPathHandler),
    ]
    return web.Application(
        [
            *((api + path, handler) for path, handler in routes),
            (prefix + "?", pages.SessionsPage),
            (prefix + "sessions/table", pages.SessionsTable),
            (prefix + f"sessions/{_ID}", session_page.SessionPage),
            *((prefix + path, handler) for path, handler in (*_FOLDER_PAGES, *_IMAGE_PAGES)),
            (prefix + "metrics", MetricsHandler),
            (prefix + "oauth_callback", HubOAuthCallbackHandler),
        ],
        parts=parts,
        cookie_secret=secrets.token_bytes(32),
        static_path=str(Path(__file__).parent / "static"),
        static_url_prefix=prefix + "static/",
        default_handler_class=pages.NotFoundPage,
    )
