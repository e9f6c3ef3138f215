"""What stands in the launch form's fields: the last request, an earlier one, or what was typed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hub_ext.web.launch.fields import OWN_NUMBERS, Fields, folder_wishes

_TYPED = (
    "project",
    "image",
    "image_by_name",
    "preset",
    "fgpu",
    "cpu",
    "memory_gib",
    "name",
    "count",
    "new_folder",
    "lifetime_h",
    "priority",
    "not_before",
    "not_before_zone",
)


@dataclass(frozen=True, slots=True)
class Filled:
    """Texts of the fields as the form has them; "" is empty, and the form's default.

    folders: as in a launch request. typed: somebody has written all of it just now.
    """

    project: str = ""
    image: str = ""
    image_by_name: str = ""
    preset: str = ""
    fgpu: str = "0"
    cpu: str = "1"
    memory_gib: str = "2"
    name: str = ""
    count: str = "1"
    new_folder: str = ""
    lifetime_h: str = ""
    priority: str = "0"
    not_before: str = ""
    not_before_zone: str = ""
    preemptible: bool = False
    requeue: bool = True
    folders: list[dict[str, Any]] = field(default_factory=list)
    typed: bool = False

    @property
    def more(self) -> bool:
        """Whether something stands in the part that is folded."""
        return bool(self.lifetime_h or self.not_before or self.priority not in {"", "0"})


def filled_from_options(options: dict[str, Any], **also: Any) -> Filled:
    """From the options of a session; ``also``: fields that they do not tell."""
    numbers: dict[str, Any] = {
        name: f"{options[name]:.12g}" if isinstance(options[name], float) else str(options[name])
        for name in ("fgpu", "cpu")
        if options.get(name) is not None
    }
    if options.get("memory_mib") is not None:
        numbers["memory_gib"] = f"{options['memory_mib'] / 1024:.12g}"
    lifetime_s = options.get("lifetime_s")
    return Filled(
        preset=options.get("preset") or (OWN_NUMBERS if numbers else ""),
        priority=str(options.get("priority") or 0),
        lifetime_h=f"{lifetime_s / 3600:.12g}" if lifetime_s else "",
        preemptible=bool(options.get("preemptible")),
        requeue=options.get("requeue") is not False,
        folders=options.get("folders") or [],
        **numbers,
        **also,
    )


def filled_as_typed(fields: Fields) -> Filled:
    """As somebody has sent it, right or wrong."""
    texts: dict[str, Any] = {name: fields[name][-1][:10_000] for name in _TYPED if fields.get(name)}
    flags: dict[str, Any] = {
        name: (fields.get(name) or ["0"])[-1] in {"1", "on", "true"}
        for name in ("preemptible", "requeue")
    }
    return Filled(**texts, **flags, folders=folder_wishes(fields), typed=True)
