"""What the queue service tells a spawner: a session, and once it is scheduled, its grant.

The models are the spawner's edge: an answer that does not fit is refused here and nowhere else.
"""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

#: Docker's own rule for container names.
_CONTAINER_NAME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$")

GRANTED_STATUSES = frozenset({"SCHEDULED", "PREPARING", "STARTING", "RUNNING"})
ENDED_STATUSES = frozenset({"TERMINATED", "CANCELLED", "EXPIRED", "ERROR"})
#: Codes of reasons that say for whom a slice was taken back.
EVICTION_CODES = frozenset({"reclaim", "preempt"})


def _absolute(path: str) -> str:
    if not path.startswith("/") or posixpath.normpath(path) != path.rstrip("/"):
        raise ValueError(f"not an absolute, normal path: {path!r}")
    return path


AbsolutePath = Annotated[str, AfterValidator(_absolute)]


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Mount(_Answer):
    """A folder of the node (or of its shared storage) that the session sees at ``target``."""

    source: AbsolutePath
    target: AbsolutePath
    read_only: bool = False


class Grant(_Answer):
    """Everything needed to start one session's container; the only source of its settings."""

    session_id: str
    #: which run of the session this is; a reclaimed session gets a new one with its next grant
    run_id: int | None = None
    node: str
    engine_url: str = ""
    image: str = ""
    container_name: str
    network: str = ""
    #: uid:gid inside the container: ``work`` of the images, or the site's own ordinary user
    user: str = "1000:1000"
    env: dict[str, str] = Field(default_factory=dict)
    mounts: list[Mount] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    #: thousandths of a core
    cpu_milli: int = Field(ge=1)
    memory_mib: int = Field(ge=1)
    shm_mib: int = Field(default=64, ge=1)
    pids_limit: int = Field(default=2048, ge=1)
    #: of the node's shared memory: "host" for clients of an MPS daemon
    ipc_mode: Literal["private", "host"] = "private"
    device_uuids: list[str] = Field(default_factory=list)
    #: the devices exist only in the site's settings: hand none to the engine
    simulated: bool = False
    working_dir: str = "/home/work"
    sudo: bool = False

    @field_validator("container_name")
    @classmethod
    def _is_container_name(cls, name: str) -> str:
        if not _CONTAINER_NAME.match(name):
            raise ValueError(f"not a container name: {name!r}")
        return name

    @field_validator("user")
    @classmethod
    def _is_not_root(cls, user: str) -> str:
        if not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user):
            raise ValueError(f"sessions run as an ordinary uid:gid, not {user!r}")
        return user


class Reason(_Answer):
    """Why a session waits or ended: a code, one sentence with numbers, and a next step."""

    code: str = ""
    message: str = ""
    help: str | None = None


class SessionView(_Answer):
    """The part of a session that a spawner and its pending page need."""

    id: str
    status: str
    version: int = 0
    #: the run that the present grant began; None while it waits
    run_id: int | None = None
    reason: Reason | None = None
    #: place in the queue, counted from 1
    position: int | None = None
    #: seconds
    estimate_s: float | None = None
    node: str | None = None
    grant: Grant | None = None

    @property
    def granted(self) -> bool:
        """Booked on a node: the server may be started."""
        return self.grant is not None and self.status in GRANTED_STATUSES

    @property
    def over(self) -> bool:
        """It has ended or is being ended. PREEMPTED is neither: it goes back to the queue."""
        return self.status in ENDED_STATUSES or self.status == "TERMINATING"

    @property
    def setback(self) -> str:
        """For whom it has just lost its slice, in the first sentence of the reason; else ""."""
        reason = self.reason or Reason()
        evicted = self.status == "PREEMPTED" or reason.code in EVICTION_CODES
        if self.granted or not evicted or not reason.message:
            return ""
        return reason.message.split(". ")[0].rstrip(".") + "."


class Placement(_Answer):
    """What a restarted hub must know to find a session's server again."""

    session_id: str
    run_id: int | None = None
    node: str = ""
    engine_url: str = ""
    container_name: str = ""
    network: str = ""
