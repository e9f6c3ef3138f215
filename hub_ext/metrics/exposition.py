"""All metrics in the format that the scraper asks for."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from hub_ext import __version__
from hub_ext.metrics.instruments import Instruments
from hub_ext.metrics.reading import read
from hub_ext.metrics.requests import RequestLog
from hub_ext.metrics.state import families
from hub_ext.metrics.story import Story
from hub_ext.sessions.activity import Activity
from hub_ext.site import Site
from hub_ext.web.live import LiveTopics


class Metrics:
    """One for the service. Its counters begin with it."""

    def __init__(self, site: Site, activity: Activity, live: LiveTopics) -> None:
        self._site, self._activity, self._live = site, activity, live
        self._instruments = Instruments()
        self.request_log = RequestLog(self._instruments)
        with site.database.transaction() as db:
            self._story = Story(db)
        site.passes.listen(self._instruments.of_pass)

    async def expose(self, accept: str) -> tuple[bytes, str]:
        """Everything as of now, with its content type; ``accept``: the header of the scraper."""
        site, activity = self._site, self._activity
        activity.watch()
        busy = await site.readings.busy(site.nodes.values())
        with site.database.transaction() as db:
            self._story.tell(db, self._instruments)
            reading = read(
                db,
                site.policy,
                version=__version__,
                active_at=activity.of,
                activity_known=activity.known,
                busy=busy,
                stream_clients=self._live.clients,
                meter=site.meter,
            )
        self._instruments.expect(reading.quotas)
        registry = CollectorRegistry()
        registry.register(_Ready([*families(reading), *self._instruments.registry.collect()]))
        encode, content_type = choose_encoder(accept)
        return encode(registry), content_type


class _Ready(Collector):
    """Families that have been collected already."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = found

    def collect(self) -> Iterable[Metric]:
        """As they are."""
        return self._found
