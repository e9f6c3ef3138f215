"""The one interface of what keeps a session inside its slice of a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Serves = Literal["parts", "whole", "instance"]


@dataclass(frozen=True, slots=True)
class HeldSlice:
    """A part of one device that a session holds: milli-GPU, and MiB of the device's memory."""

    device: int
    uuid: str
    milli: int
    memory_mib: int


@dataclass(frozen=True, slots=True)
class FileMount:
    """A file or directory of the node that the container sees at ``target``."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True, slots=True)
class SliceSettings:
    """What a container gets beside its devices. ipc_host: the node's shared memory."""

    env: Mapping[str, str] = field(default_factory=dict)
    mounts: Sequence[FileMount] = ()
    ipc_host: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """Where things are on the node. session_dir: of this session alone; hami_library: given by
    the site, None when it gives none."""

    mps_dir: Path
    session_dir: Path
    hami_library: Path | None = None


class Enforcer(Protocol):
    """Turns slices into container settings. Has no state: daemons are looked after elsewhere.

    memory, compute: what it isolates, as the admin reads it. serves: what of a device it gives;
    parts_alone: a part only to a session that holds nothing else.
    """

    name: str
    title: str
    memory: str
    compute: str
    serves: Serves
    parts_alone: bool

    def settings(self, slices: Sequence[HeldSlice], place: Place) -> SliceSettings:
        """For the container of a session that holds these slices, at least one."""
        ...
