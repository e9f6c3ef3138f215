"""``/api/v1/presets``: what can be asked for."""

from __future__ import annotations

from hub_ext.nodes.presets import list_presets
from hub_ext.web.base import ApiHandler


class PresetsHandler(ApiHandler):
    """Named bundles of resources."""

    def get(self) -> None:
        """In the order to show them."""
        unit = self.site.policy.unit
        with self.site.database.transaction() as db:
            presets = list_presets(db)
        self.reply(
            {
                "presets": [
                    {
                        "name": preset.name,
                        "title": preset.title,
                        "description": preset.description,
                        "fgpu": unit.fgpu(preset.gpu_milli),
                        "cpu_milli": preset.cpu_milli,
                        "memory_mib": preset.memory_mib,
                    }
                    for preset in presets
                ]
            }
        )
