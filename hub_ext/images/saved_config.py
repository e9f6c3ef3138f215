"""Configuration of an image made from a session: its parent's, and our labels. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hub_ext.images.catalogue import (
    HIDDEN_LABEL,
    IMAGE_LABEL,
    PREFIX,
    SAVED_LABEL,
    parse_image,
)
from hub_ext.images.recipes import SOURCE_LABEL

REQUEST_LABEL = PREFIX + "request"
"""Id of the request that an image was made for."""
MADE_FROM_LABEL = PREFIX + "made-from"
HISTORY_LINE = "saved from a session"

_INHERITED = (
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
)
"""What an image says of its containers (OCI image specification, config.md)."""


@dataclass(frozen=True, slots=True)
class NewImage:
    """What the requester says of his image; ``site_key``: see ``site_key``."""

    reference: str
    request_id: str
    title: str
    version: str
    description: str
    site_key: str
    parent_reference: str


def site_key(deployment_id: str) -> str:
    """Names this deployment on its images, without being its id: sessions know that one."""
    return hashlib.sha256(f"images of {deployment_id}".encode()).hexdigest()[:10]


def labels_of(new: NewImage, inherited: Mapping[str, str]) -> dict[str, str]:
    """The parent's labels (its family, apps, minima), and what is new."""
    parent = parse_image(new.parent_reference, inherited)
    left_out = {SOURCE_LABEL, HIDDEN_LABEL}
    labels = {name: value for name, value in inherited.items() if name not in left_out}
    return labels | {
        IMAGE_LABEL: "1",
        PREFIX + "family": parent.family,
        PREFIX + "title": new.title,
        PREFIX + "version": new.version,
        PREFIX + "description": new.description,
        MADE_FROM_LABEL: new.parent_reference,
        SAVED_LABEL: new.site_key,
        REQUEST_LABEL: new.request_id,
    }


def saved_config(
    new: NewImage,
    parent: Mapping[str, Any],
    committed: Mapping[str, Any],
    layers: list[str],
    now: float,
) -> bytes:
    """JSON of the image's configuration, free of everything that the container knew.

    parent: the parent's ``Config``. committed: the configuration that the engine made of the
    container; of it only the platform and the parent's part of the history are used.
    layers: digests of the tar files, the parent's first.
    """
    created = datetime.fromtimestamp(now, UTC).isoformat().replace("+00:00", "Z")
    inherited = {key: parent[key] for key in _INHERITED if parent.get(key) is not None}
    labels = labels_of(new, parent.get("Labels") or {})
    history = [*(committed.get("history") or [])][:-1]
    step: dict[str, Any] = {"created": created, "created_by": HISTORY_LINE}
    if len(layers) == sum(not entry.get("empty_layer") for entry in history):
        step["empty_layer"] = True
    platform = {
        key: committed[key]
        for key in ("architecture", "os", "os.version", "variant")
        if committed.get(key)
    }
    return json.dumps(
        {
            **platform,
            "created": created,
            "config": {**inherited, "Labels": labels},
            "rootfs": {"type": "layers", "diff_ids": layers},
            "history": [*history, step],
        }
    ).encode()
