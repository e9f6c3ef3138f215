"""What a user may ask for: the launch request, checked at the edge.

The same model reads ``POST /sessions``, the hub's ``user_options`` and the dry run.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from hub_ext.errors import BadValue

MAX_COUNT = 50
SERVER_NAME = re.compile(r"[a-z][a-z0-9-]{0,29}")

_Short = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
_SessionName = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f<>{}\\]+$"
    ),
]


class FolderMount(BaseModel):
    """A folder to mount; ``target`` defaults to /home/work/NAME."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    target: Annotated[str, Field(max_length=256)] | None = None
    mode: Literal["rw", "ro"] = "rw"


class LaunchRequest(BaseModel):
    """A request for one session, or for ``count`` of them.

    fgpu: in fGPU; cpu: cores; memory_mib: MiB; lifetime_s: seconds until it is stopped.
    Numbers that are given win over those of the preset.
    """

    model_config = ConfigDict(extra="forbid")

    name: _SessionName | None = None
    project: _Short | None = None
    image: Annotated[str, StringConstraints(strip_whitespace=True, max_length=256)] | None = None
    preset: _Short | None = None
    fgpu: float | str | None = None
    cpu: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] | None = None
    memory_mib: Annotated[int, Field(ge=128, le=16 * 1024 * 1024)] | None = None
    folders: Annotated[list[FolderMount], Field(max_length=50)] = []
    new_folders: Annotated[list[str], Field(max_length=10)] = []
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 1
    lifetime_s: Annotated[int, Field(ge=60, le=366 * 24 * 3600)] | None = None


def read_launch_request(values: Any) -> LaunchRequest:
    """Validate what came in. Raises BadValue naming the first field at fault."""
    if not isinstance(values, dict):
        raise BadValue("A launch request is a JSON object.")
    try:
        return LaunchRequest.model_validate(values)
    except ValidationError as error:
        raise bad_value(error) from None


def bad_value(error: ValidationError) -> BadValue:
    """The first complaint of pydantic as one sentence with its field."""
    first = error.errors(include_url=False)[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    if first["type"] == "extra_forbidden":
        return BadValue(f"There is no field '{field}'.", field=field)
    return BadValue(f"{field}: {first['msg']}.", field=field)


def slug(name: str) -> str:
    """A hub server name (1-30 of a-z 0-9 -, first a letter) that resembles ``name``."""
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not text or not text[0].isalpha():
        text = f"s-{text}".rstrip("-")
    return text[:30].rstrip("-")


def numbered(name: str, number: int) -> str:
    """``name-3``, kept within the length of a session name."""
    suffix = f"-{number}"
    return name[: 64 - len(suffix)] + suffix
