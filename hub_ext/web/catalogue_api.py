"""``/api/v1/images``, ``presets``, ``folders``: what can be asked for."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from hub_ext.db.folder_models import FolderRow
from hub_ext.nodes import inventory
from hub_ext.nodes.presets import list_presets
from hub_ext.sessions.launch import bad_value
from hub_ext.web.base import ApiHandler


class NewFolder(BaseModel):
    """Body of ``POST /folders``."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    usage: Literal["general", "model", "data"] = "general"


class ImagesHandler(ApiHandler):
    """The image catalogue."""

    async def get(self) -> None:
        """Images of the nodes."""
        await inventory.refresh_images(self.site)
        images = [
            {
                "reference": image.reference,
                "family": image.family,
                "title": image.title,
                "version": image.version,
                "description": image.description,
                "framework": image.framework,
                "apps": [asdict(app) for app in image.apps],
                "min_cpu_milli": image.min_cpu_milli,
                "min_memory_mib": image.min_memory_mib,
                "min_fgpu": float(image.min_fgpu),
                "size_bytes": image.size_bytes,
            }
            for image in self.site.images.values()
        ]
        self.reply({"images": images})


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


class FoldersHandler(ApiHandler):
    """The caller's own folders."""

    def get(self) -> None:
        """By name."""
        with self.site.database.transaction() as db:
            folders = self.site.folders.names(db, self.caller.name)
        self.reply({"folders": [_folder_json(folder) for folder in folders]})

    def post(self) -> None:
        """A new folder; 409 when it exists."""
        try:
            new = NewFolder.model_validate(self.body())
        except ValidationError as error:
            raise bad_value(error) from None
        with self.site.database.transaction() as db:
            folder = self.site.folders.create(db, self.caller.name, new.name)
            folder.usage = new.usage
        self.reply(_folder_json(folder), 201)


def _folder_json(folder: FolderRow) -> dict[str, object]:
    return {
        "id": folder.id,
        "name": folder.name,
        "usage": folder.usage,
        "created_at": folder.created_at,
    }
