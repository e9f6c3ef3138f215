"""What the REST API takes for folders, invitations and storage quotas."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from hub_ext.projects.body import User

_Name = Annotated[str, Field(max_length=300)]
"""Of a folder; hub_ext.folders.names judges it."""
_Path = Annotated[str, Field(max_length=8192)]
"""Inside a folder; hub_ext.folders.safe_path judges it."""
_Usage = Literal["general", "model", "data"]
_ModeName = Literal["ro", "rw", "rwd"]
LARGEST_FILE = 2**44
"""Bytes of one upload (16 TiB)."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class NewFolder(_Strict):
    """Body of ``POST /folders``. ``project``: make it that project's; else it is the caller's."""

    name: _Name
    usage: _Usage = "general"
    project: _Name | None = None
    members_mode: Literal["", "ro", "rw", "rwd"] = "ro"


class FolderChange(_Strict):
    """What is missing stays. ``members_mode`` "": members have no part in it."""

    name: _Name | None = None
    usage: _Usage | None = None
    members_mode: Literal["", "ro", "rw", "rwd"] | None = None


class Transfer(_Strict):
    """To a user or a project; ``name``: how it is called there."""

    kind: Literal["user", "project"]
    owner: User
    name: _Name | None = None


class Clone(_Strict):
    """``project``: into that project's folders; else into the caller's."""

    name: _Name
    project: _Name | None = None


class Restore(_Strict):
    """``name``: how it is called from now on; else as before, or with a number."""

    name: _Name | None = None


class Purge(_Strict):
    """The folder's name, typed again."""

    name: _Name


class NewShares(_Strict):
    """Whom to invite."""

    users: Annotated[list[User], Field(min_length=1, max_length=100)]
    mode: _ModeName = "ro"


class ShareChange(_Strict):
    """The mode from now on."""

    mode: _ModeName


class NewDirectory(_Strict):
    """A directory to make; ``parents``: what is missing on the way, too."""

    path: _Path
    parents: bool = False


class Move(_Strict):
    """Rename or move inside the folder, never over something."""

    path: _Path
    to: _Path


class NewUpload(_Strict):
    """A file that is going to be sent; ``size`` in bytes."""

    path: _Path
    size: Annotated[int, Field(ge=0, le=LARGEST_FILE)]
    overwrite: bool = False


class QuotaChange(_Strict):
    """GiB that all folders of the owner may take; null: no limit."""

    gib: Annotated[float, Field(ge=0, le=2**22, allow_inf_nan=False)] | None
