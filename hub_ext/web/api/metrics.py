"""``/services/apportion/metrics``: for Prometheus."""

from __future__ import annotations

import hmac

from tornado import web

from hub_ext.metrics.exposition import Metrics
from hub_ext.web.base import ApiHandler


class MetricsHandler(ApiHandler):
    """For admins, and for the token of a scraper."""

    async def prepare(self) -> None:
        """The service's own token or an admin's."""
        _, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if hmac.compare_digest(token.strip().encode(), self.hub_auth.api_token.encode()):
            return
        await super().prepare()
        if not self.caller.admin:
            raise web.HTTPError(403, "Metrics are for admins.")

    async def get(self) -> None:
        """All of them, as text or in OpenMetrics' format."""
        metrics: Metrics = self.settings["metrics"]
        body, content_type = await metrics.expose(self.request.headers.get("Accept", ""))
        self.set_header("Content-Type", content_type)
        self.set_header("Cache-Control", "no-store")
        self.finish(body)
