"""What a check says, and what checks are told about the deployment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from hub_ext.settings import DeploymentSettings, SettingsError


class Level(StrEnum):
    """OK; WARN: works, but look at it; FAIL: something will not work."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. way_out: what to do about it; "" when all is well."""

    check: str
    level: Level
    message: str
    way_out: str = ""


@dataclass(frozen=True, slots=True)
class Deployment:
    """A data directory as found. settings: None before the first start or when damaged.

    started_with: the options of the last ``up``; empty before the first one.
    """

    data: Path
    settings: DeploymentSettings | None
    started_with: dict[str, Any]
    db_url: str


Check = Callable[[Deployment], Iterable[Finding]]


def read_deployment(data: Path, db_url: str = "") -> Deployment:
    """Read without changing anything; damage is for the checks to report."""
    try:
        settings = DeploymentSettings.load(data)
    except SettingsError:
        settings = None
    try:
        started_with = json.loads((data / "up.json").read_text("utf-8"))
    except (OSError, ValueError):
        started_with = {}
    if not isinstance(started_with, dict):
        started_with = {}
    return Deployment(
        data, settings, started_with, db_url or f"sqlite:///{data / 'apportion.sqlite'}"
    )


def ok(check: str, message: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, message)


def warn(check: str, message: str, way_out: str = "") -> Finding:
    """Works, but look at it."""
    return Finding(check, Level.WARN, message, way_out)


def fail(check: str, message: str, way_out: str) -> Finding:
    """Something will not work until this is put right."""
    return Finding(check, Level.FAIL, message, way_out)
