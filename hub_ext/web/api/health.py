"""Whether the service is well, for people's scripts and for Prometheus."""

from __future__ import annotations

import hmac

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from sqlalchemy import func, select
from tornado import web

from hub_ext import __version__
from hub_ext.db.models import DeviceRow, SessionRow, SliceRow
from hub_ext.sessions.status import LIVE
from hub_ext.web.base import ApiHandler


class HealthHandler(ApiHandler):
    """For ``apportion up`` and load balancers; open to all, tells nothing else."""

    async def prepare(self) -> None:
        """No login."""

    def get(self) -> None:
        """200 while the database answers."""
        revision = self.site.database.revision()
        self.reply({"status": "ok", "version": __version__, "database": revision})


class MetricsHandler(ApiHandler):
    """Prometheus metrics: for admins, and for the token of a scraper."""

    async def prepare(self) -> None:
        """The service's own token or an admin's."""
        _, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if hmac.compare_digest(token.strip().encode(), self.hub_auth.api_token.encode()):
            return
        await super().prepare()
        if not self.caller.admin:
            raise web.HTTPError(403, "Metrics are for admins.")

    def get(self) -> None:
        """Sessions by status, devices, milli-GPU booked and there."""
        registry = CollectorRegistry()
        sessions = Gauge("apportion_sessions", "Live sessions.", ["status"], registry=registry)
        there = Gauge("apportion_gpu_capacity_ratio", "Physical GPUs.", registry=registry)
        booked = Gauge("apportion_gpu_booked_ratio", "Physical GPUs booked.", registry=registry)
        with self.site.database.transaction() as db:
            query = select(SessionRow.status, func.count()).where(SessionRow.status.in_(LIVE))
            counts = {
                str(status): count
                for status, count in db.execute(query.group_by(SessionRow.status))
            }
            there.set(db.scalar(select(func.count()).select_from(DeviceRow)) or 0)
            booked.set((db.scalar(select(func.sum(SliceRow.milli))) or 0) / 1000)
        for status in LIVE:
            sessions.labels(status.lower()).set(counts.get(status, 0))
        self.set_header("Content-Type", CONTENT_TYPE_LATEST)
        self.finish(generate_latest(registry))
