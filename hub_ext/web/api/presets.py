"""``/api/v1/presets``: what can be asked for; admins change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from hub_ext.db.models import PresetRow
from hub_ext.nodes import presets
from hub_ext.nodes.presets import NewPreset, PresetChange
from hub_ext.web.api.administration import AdminApiHandler


class PresetApiHandler(AdminApiHandler):
    """Presets as JSON."""

    for_admins = "Only an admin changes presets."

    def described(self, db: Session, row: PresetRow) -> dict[str, Any]:
        """One preset; an admin also learns the version and what is wrong with it."""
        return self.described_all(db, [row])[0]

    def described_all(self, db: Session, rows: Sequence[PresetRow]) -> list[dict[str, Any]]:
        """The same of several."""
        largest = presets.largest_node(db) if self.caller.admin else None
        return [self._described(row, largest) for row in rows]

    def _described(self, row: PresetRow, largest: Mapping[str, int] | None) -> dict[str, Any]:
        unit = self.site.policy.unit
        shown = {
            "name": row.name,
            "title": row.title,
            "description": row.description,
            "fgpu": unit.fgpu(row.gpu_milli),
            "cpu_milli": row.cpu_milli,
            "memory_mib": row.memory_mib,
        }
        if not self.caller.admin:
            return shown
        problem = presets.too_large(row, largest, unit)
        warnings = [problem] if problem else []
        return {**shown, "version": presets.version(row), "warnings": warnings}


class PresetsHandler(PresetApiHandler):
    """Named bundles of resources."""

    def get(self) -> None:
        """In the order to show them."""
        with self.site.database.transaction() as db:
            shown = self.described_all(db, presets.list_presets(db))
        self.reply({"presets": shown})

    def post(self) -> None:
        """A new one (admin); 409 when it exists."""
        new = self.read(NewPreset)
        with self.site.database.transaction() as db:
            row = presets.add_preset(db, new, self.site.policy.unit, self.caller.name)
            answer = self.described(db, row)
        self.reply(answer, 201)


class PresetHandler(PresetApiHandler):
    """One of them."""

    def patch(self, name: str) -> None:
        """Change it, or its place in the list (admin)."""
        change = self.read(PresetChange)
        with self.site.database.transaction() as db:
            row = presets.change_preset(db, name, change, self.site.policy.unit, self.caller.name)
            answer = self.described(db, row)
        self.reply(answer)

    def delete(self, name: str) -> None:
        """Remove it (admin), also from the lists of projects: ``projects`` of the answer."""
        self.require_admin()
        with self.site.database.transaction() as db:
            row, projects = presets.delete_preset(db, name, self.caller.name)
            answer = self.described(db, row)
        self.reply({**answer, "projects": projects})
