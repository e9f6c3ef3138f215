"""Whether the service is well, for people's scripts."""

from __future__ import annotations

from hub_ext import __version__
from hub_ext.web.base import ApiHandler


class HealthHandler(ApiHandler):
    """For ``apportion up`` and load balancers; open to all, tells nothing else."""

    async def prepare(self) -> None:
        """No login."""

    def get(self) -> None:
        """200 while the database answers."""
        revision = self.site.database.revision()
        self.reply({"status": "ok", "version": __version__, "database": revision})
