"""The part of a session's page with what it uses: plots."""

from __future__ import annotations

from typing import Any

from hub_ext.metering.report import MINUTES, NAMES, use_json
from hub_ext.web.pages.page import Page
from hub_ext.web.translation import gettext as _

_GIB = 1024


def use_plots(use: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Name, title and data (see templates/plots.html) of what was measured; [] of nothing."""
    held, times = use["slice"], use["times"]
    described = [
        ("gpu-memory", _("GPU memory"), "GiB", "gpu_memory_mib", _GIB, held["gpu_memory_mib"]),
        ("gpu", _("GPU"), "%", "gpu", 0.01, 1),
        ("cpu", _("CPU"), _("cores"), "cpu_milli", 1000, held["cpu_milli"]),
        ("memory", _("Memory"), "GiB", "memory_mib", _GIB, held["memory_mib"]),
    ]
    plots = []
    for name, title, unit, key, divisor, limit in described:
        values = [None if value is None else round(value / divisor, 3) for value in use[key]]
        if any(value is not None for value in values):
            slice_line = [round(limit / divisor, 3)] * len(times)
            series = [
                {"label": _("Used"), "values": values},
                {"label": _("Held"), "values": slice_line, "line": "dashed"},
            ]
            data = {"times": times, "unit": unit, "kind": "line", "series": series}
            plots.append((name, title, data))
    return plots


class SessionUsePart(Page):
    """Renewed while the last minutes are looked at."""

    def get(self, session_id: str) -> None:
        """``period``: as in the API."""
        row = self.visible_session(session_id)
        period = self.get_query_argument("period", MINUTES)
        use = use_json(self.site, row, period)
        self.show(
            "session_use.html",
            session_id=row.id,
            live=row.ended_at is None,
            period=period,
            periods=NAMES,
            plots=use_plots(use),
        )
