"""The hub's answer to a session's own server: its state, and whether it is going to be stopped."""

from __future__ import annotations

import json
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from jupyterhub.utils import url_path_join
from tornado import web

from .own_server import spawner_of_token
from .service_client import ServiceError, SessionGone

#: What a session may know of itself; nothing of others can be in it.
FIELDS = (
    *("id", "name", "project", "status", "fgpu", "gpu_memory_mib"),
    *("notice", "preemptible", "requeue"),
)


class SessionHandler(BaseHandler):
    """``GET apportion/session/USER/SERVER`` with that server's own token, and no other way."""

    _accept_cookie_auth = False
    _accept_token_auth = False

    async def get(self, user_name: str, server_name: str = "") -> None:
        """404 when the service knows no such session, 503 while it is away."""
        spawner = spawner_of_token(self, user_name, server_name or "")
        try:
            session = await spawner.service.lookup(*spawner.server_key)
        except SessionGone as e:
            raise web.HTTPError(404) from e
        except ServiceError as e:
            raise web.HTTPError(503) from e
        answer = {field: session.get(field) for field in FIELDS}
        answer["page"] = _page(self, spawner.service_name, str(session["id"]))
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(answer))


def _page(handler: Any, service_name: str, session_id: str) -> str:
    """Where the user's browser finds the session's page."""
    service = handler.services.get(service_name)
    if service is not None:
        home = str(service.href)
    else:
        home = str(url_path_join(handler.base_url, "services", service_name))
    return f"{home.rstrip('/')}/sessions/{session_id}"
