"""Limits of each member of a project; a member's own go before the project's."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from hub_ext.db.models import MemberRow, ProjectRow
from hub_ext.sessions.launch import MAX_PRIORITY

SHORTEST_S = 60
"""Shortest lifetime that can be set, in seconds."""
SHORTEST_IDLE_S = 600
"""Shortest idle time: the hub hears of activity every minute or two."""
LARGEST = 2**31 - 1
"""The largest number that the tables hold."""

_Count = Annotated[int, Field(ge=0, le=LARGEST, strict=True)]
_Seconds = Annotated[int, Field(ge=SHORTEST_S, le=LARGEST, strict=True)]
_Idle = Annotated[int, Field(ge=SHORTEST_IDLE_S, le=LARGEST, strict=True)]


class MemberLimits(BaseModel):
    """What one member may have in a project. None: no limit of this kind.

    max_sessions: running at once; max_gpu_milli: of one session, in milli-GPU; max_pending:
    waiting at once; max_lifetime_s, idle_s: seconds until a session is stopped, at most;
    max_priority: highest priority that a member may give to a session.
    """

    model_config = ConfigDict(extra="forbid")

    max_sessions: _Count | None = None
    max_gpu_milli: _Count | None = None
    max_pending: _Count | None = None
    max_lifetime_s: _Seconds | None = None
    idle_s: _Idle | None = None
    max_priority: Annotated[int, Field(ge=-MAX_PRIORITY, le=MAX_PRIORITY, strict=True)] = 0


def limits_of(project: ProjectRow, member: MemberRow | None) -> MemberLimits:
    """The limits that bind this member; ``member`` None: nobody has listed him."""
    own = {} if member is None else member.limits
    return MemberLimits.model_validate({**project.member_limits, **own})
