"""What a user may ask for: the launch request, checked at the edge.

The same model reads ``POST /sessions``, the hub's ``user_options`` and the dry run.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Annotated, Any, Literal

from jupyterhub.slugs import is_valid_display_name
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    WithJsonSchema,
    model_validator,
)

from hub_ext.errors import BadValue

MAX_COUNT = 50
MAX_PRIORITY = 100
"""Priorities of sessions are from -100 to 100."""
_SLUG_LENGTH = 30
"""Longest server name of the hub."""

_PRINTABLE = r"^[^\x00-\x1f\x7f]*$"
_OWNER = r"^(user|project):[^\x00-\x1f\x7f]+$"
_Short = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=_PRINTABLE),
]


def _session_name(name: str) -> str:
    """Spaces folded, composed; what the hub would refuse as a display name is refused here."""
    name = unicodedata.normalize("NFC", " ".join(name.split()))
    if not 1 <= len(name) <= 64 or not is_valid_display_name(name):
        raise ValueError("use 1 to 64 letters, digits, spaces and common signs")
    return name


_SessionName = Annotated[str, Field(max_length=300), AfterValidator(_session_name)]


def _unix_seconds(moment: Any) -> Any:
    """A time as ISO 8601 has it; anything else goes on as it is."""
    if isinstance(moment, bool):
        raise ValueError("write Unix seconds, or a time such as 2027-01-31T08:00+09:00")
    if not isinstance(moment, str):
        return moment
    try:
        read = datetime.fromisoformat(moment.strip())
    except ValueError:
        raise ValueError("this is no time; write it as 2027-01-31T08:00+09:00") from None
    if read.tzinfo is None:
        raise ValueError("say in which time zone, as in 2027-01-31T08:00+09:00 or ...T08:00Z")
    try:
        return read.timestamp()
    except OverflowError:
        raise ValueError("this is no time of ours") from None


_LATEST = 253_402_300_799
"""The end of the year 9999."""
_Moment = Annotated[
    float,
    BeforeValidator(_unix_seconds),
    Field(ge=0, le=_LATEST, allow_inf_nan=False),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "maximum": _LATEST},
                {"type": "string", "format": "date-time"},
            ]
        }
    ),
]


class FolderMount(BaseModel):
    """A folder to mount, by ``name`` or by ``id``.

    of: whose, as in project:ml101 or user:bob, where several have that name. subpath: only
    that directory of it. target: default /home/work/NAME or /home/work/NAME/SUBPATH.
    mode: default is rw where one may write, else ro.
    """

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, Field(max_length=64, pattern=_PRINTABLE)] | None = None
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    of: (
        Annotated[str, Field(max_length=300, pattern=r"^(user|project):[^\x00-\x1f\x7f]+$")] | None
    ) = None
    subpath: Annotated[str, Field(max_length=4096)] | None = None
    target: Annotated[str, Field(max_length=256, pattern=_PRINTABLE)] | None = None
    mode: Literal["rw", "ro"] | None = None

    @model_validator(mode="after")
    def _one_folder(self) -> FolderMount:
        if (self.name is None) == (self.id is None):
            raise ValueError("name a folder by 'name' or by 'id', by one of the two")
        if self.id is not None and self.of is not None:
            raise ValueError("'of' goes with 'name' only")
        return self


class LaunchRequest(BaseModel):
    """A request for one session, or for ``count`` of them.

    fgpu: in fGPU; cpu: cores; memory_mib: MiB; lifetime_s: seconds until it is stopped.
    Numbers that are given win over those of the preset.
    preemptible: it may be reclaimed, after a warning; requeue: it then waits again at its
    old place. priority: the higher goes first among the sessions of its project.
    not_before: it waits at least until then; Unix seconds, or ISO 8601 with a time zone.
    """

    model_config = ConfigDict(extra="forbid")

    name: _SessionName | None = None
    project: _Short | None = None
    image: (
        Annotated[str, StringConstraints(strip_whitespace=True, max_length=256, pattern=_PRINTABLE)]
        | None
    ) = None
    preset: _Short | None = None
    fgpu: float | Annotated[str, Field(max_length=32)] | None = None
    cpu: Annotated[float, Field(gt=0, le=1024, allow_inf_nan=False)] | None = None
    memory_mib: Annotated[int, Field(ge=128, le=16 * 1024 * 1024)] | None = None
    folders: Annotated[list[FolderMount], Field(max_length=50)] = []
    new_folders: Annotated[
        list[Annotated[str, Field(max_length=64, pattern=_PRINTABLE)]], Field(max_length=10)
    ] = []
    count: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 1
    lifetime_s: Annotated[int, Field(ge=60, le=366 * 24 * 3600)] | None = None
    preemptible: bool = False
    requeue: bool = True
    priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY)] = 0
    not_before: _Moment | None = None


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


def slug(name: str, number: int | None = None) -> str:
    """A hub server name (1-30 of a-z 0-9 -, first a letter) that resembles ``name``.

    ``number`` is appended, and never lost to the limit of length.
    """
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not text or not text[0].isalpha():
        text = f"s-{text}".rstrip("-")
    suffix = "" if number is None else f"-{number}"
    return text[: _SLUG_LENGTH - len(suffix)].rstrip("-") + suffix


def numbered(name: str, number: int) -> str:
    """``name-3``, kept within the length of a session name."""
    suffix = f"-{number}"
    return name[: 64 - len(suffix)] + suffix
