"""Pages of the presets: their order, a new one, changing and deleting one."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from hub_ext.errors import BadValue
from hub_ext.nodes import presets
from hub_ext.nodes.preset_lists import projects_by_preset
from hub_ext.web.api.presets import PresetApiHandler, PresetHandler, PresetsHandler
from hub_ext.web.pages.admin import ADMIN, AdminForm, AdminPage
from hub_ext.web.translation import gettext as _
from hub_ext.web.translation import ngettext

PRESETS = f"{ADMIN}/presets"


def preset_url(name: str) -> str:
    """The page of one preset."""
    return f"{PRESETS}/{quote(name, safe='')}"


class PresetsPage(AdminPage, PresetApiHandler):
    """All presets in their order, and a form for another one."""

    part = "admin/presets"

    def get(self) -> None:
        """As the launch form has them."""
        with self.site.database.transaction() as db:
            projects = projects_by_preset(db)
            shown = [
                preset | {"projects": projects.get(preset["name"], [])}
                for preset in self.described_all(db, presets.list_presets(db))
            ]
        self.show_presets(presets=shown, unit=self.site.policy.unit)

    def show_presets(self, **context: Any) -> None:
        """As the whole page."""
        self.show_part("admin_presets.html", **context)


class PresetsTable(PresetsPage):
    """The live part."""

    def show_presets(self, **context: Any) -> None:
        """As a part of the page."""
        self.show("admin_presets_table.html", **context)


class PresetPage(AdminPage, PresetApiHandler):
    """One preset."""

    part = "admin/presets"

    def get(self, name: str) -> None:
        """Raises NotFound."""
        with self.site.database.transaction() as db:
            preset = self.described(db, presets.existing_preset(db, name))
            projects = projects_by_preset(db).get(name, [])
        unit = self.site.policy.unit
        self.show_part("admin_preset.html", preset=preset, projects=projects, unit=unit)


class PresetForm(AdminForm):
    """A change of the presets."""

    home = PRESETS

    def next(self, value: dict[str, Any]) -> str:
        """To the list."""
        return PRESETS

    def resources(self) -> dict[str, Any]:
        """Title, text and numbers, as the API takes them. Raises BadValue."""
        cores = self._number("cpu", _("CPU cores"))
        gib = self._number("memory_gib", _("Memory"))
        return {
            "title": self.get_body_argument("title"),
            "description": self.get_body_argument("description", ""),
            "fgpu": self.get_body_argument("fgpu") or "0",
            "cpu_milli": round(cores * 1000),
            "memory_mib": round(gib * 1024),
        }

    def _number(self, name: str, label: str) -> float:
        """Up to a million: what is more cannot be meant. Raises BadValue."""
        text = self.get_body_argument(name)
        try:
            number = float(text)
        except ValueError:
            number = -1.0
        if not 0 < number <= 1e6:
            words = {"field": label, "value": text[:40]}
            raise BadValue(
                _("%(field)s: '%(value)s' is not a number above zero.") % words, field=name
            )
        return number


class NewPresetForm(PresetForm, PresetsHandler):
    """Another one."""

    def values(self) -> dict[str, Any]:
        """At the end of the list."""
        return {"name": self.get_body_argument("name"), **self.resources()}

    def done(self, value: dict[str, Any]) -> list[str]:
        """Where it is to be seen."""
        words = {"preset": value["title"]}
        return [_("The preset %(preset)s is made; the launch form shows it.") % words]


class ChangePresetForm(PresetForm, PresetHandler):
    """What is in it."""

    def post(self, name: str) -> None:
        """As PATCH of the API."""
        self.patch(name)

    def values(self) -> dict[str, Any]:
        """With what it was read from."""
        return {**self.resources(), "version": self.get_body_argument("version")}

    def done(self, value: dict[str, Any]) -> list[str]:
        """What does not change by it."""
        words = {"preset": value["title"]}
        saved = _("The preset %(preset)s is saved.") % words
        return [saved, _("Sessions that were launched from it keep what they have.")]


class MovePresetForm(PresetForm, PresetHandler):
    """Up or down: to a place that the form names, so that twice is once."""

    def post(self, name: str) -> None:
        """As PATCH of the API."""
        self.patch(name)

    def values(self) -> dict[str, Any]:
        """The place. Raises BadValue."""
        text = self.get_body_argument("position")
        if not text.isascii() or not text.isdigit() or len(text) > 4:
            raise BadValue(_("A place in the list is a number."), field="position")
        return {"position": int(text)}

    def warnings(self, value: dict[str, Any]) -> list[str]:
        """Not those of its size: that is not what was changed."""
        return []


class DeletePresetForm(PresetForm, PresetHandler):
    """Gone."""

    def post(self, name: str) -> None:
        """As DELETE of the API."""
        self.delete(name)

    def warnings(self, value: dict[str, Any]) -> list[str]:
        """Nothing more of what is gone."""
        return []

    def done(self, value: dict[str, Any]) -> list[str]:
        """Which, and whom it concerns."""
        gone = _("The preset %(preset)s is deleted.") % {"preset": value["title"]}
        projects = value["projects"]
        if not projects:
            return [gone]
        words = {"projects": ", ".join(projects[:5]), "number": len(projects)}
        text = ngettext(
            "One project allows it no more: %(projects)s.",
            "%(number)s projects allow it no more: %(projects)s.",
            len(projects),
        )
        return [gone, text % words]
