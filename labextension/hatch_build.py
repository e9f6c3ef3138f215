"""Puts the prebuilt JupyterLab extension into the wheel when npm has built it, and only then.

The images need no Node.js: without the built files the wheel has the server part alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PrebuiltExtension(BuildHookInterface):
    """Adds apportion_lab/labextension as share/jupyter/labextensions/apportion-lab."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        built = Path(self.root, "apportion_lab", "labextension")
        if self.target_name == "wheel" and (built / "package.json").is_file():
            place = "share/jupyter/labextensions/apportion-lab"
            build_data["shared_data"][str(built)] = place
            described = str(Path(self.root, "install.json"))
            build_data["shared_data"][described] = f"{place}/install.json"
