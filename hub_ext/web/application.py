"""Which handler answers what."""

from __future__ import annotations

import hmac
import os
from pathlib import Path

from jupyterhub.services.auth import HubOAuthCallbackHandler
from tornado import web

from hub_ext.metrics.exposition import Metrics
from hub_ext.web.api.metrics import MetricsHandler
from hub_ext.web.api.routes import ROUTES as API_ROUTES
from hub_ext.web.base import Parts
from hub_ext.web.pages.page import NotFoundPage
from hub_ext.web.pages.routes import ROUTES as PAGE_ROUTES

PREFIX = "/services/apportion/"


def make_application(parts: Parts) -> web.Application:
    """The tornado application below the service's prefix."""
    metrics = Metrics(parts.site, parts.activity, parts.live)
    prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", PREFIX)
    return web.Application(
        [
            *((f"{prefix}api/v1/{path}", handler) for path, handler in API_ROUTES),
            *((prefix + path, handler) for path, handler in PAGE_ROUTES),
            (prefix + "metrics", MetricsHandler),
            (prefix + "oauth_callback", HubOAuthCallbackHandler),
        ],
        parts=parts,
        metrics=metrics,
        log_function=metrics.request_log,
        cookie_secret=_cookie_secret(parts),
        static_path=str(Path(__file__).parent / "static"),
        static_url_prefix=prefix + "static/",
        default_handler_class=NotFoundPage,
    )


def _cookie_secret(parts: Parts) -> bytes:
    """The same after a restart: who is logged in stays so, and open pages go on by themselves."""
    return hmac.digest(parts.spawner_token.encode(), b"cookies of the service's pages", "sha256")
