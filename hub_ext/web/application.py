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
    nodes_api,
    pages,
    projects_api,
    sessions_api,
    spawner_api,
)
from hub_ext.web.base import Parts, UnknownPathHandler
from hub_ext.web.health import HealthHandler, MetricsHandler
from hub_ext.web.openapi import OpenApiHandler

PREFIX = "/services/apportion/"
_ID = r"([0-9a-f]{32})"
_PROJECT = r"([A-Za-z0-9._-]+)"


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
        ("images", catalogue_api.ImagesHandler),
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
        ("folders", catalogue_api.FoldersHandler),
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
            (prefix + f"sessions/{_ID}", pages.SessionPage),
            (prefix + "metrics", MetricsHandler),
            (prefix + "oauth_callback", HubOAuthCallbackHandler),
        ],
        parts=parts,
        cookie_secret=secrets.token_bytes(32),
        static_path=str(Path(__file__).parent / "static"),
        static_url_prefix=prefix + "static/",
        default_handler_class=pages.NotFoundPage,
    )
