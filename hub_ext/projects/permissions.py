"""Who may do what to a project: the one place that decides.

| action     | means                                                 | admin | instructor | member |
|------------|-------------------------------------------------------|-------|------------|--------|
| see        | the project, its use, the names of its instructors    | yes   | yes        | yes    |
| launch     | sessions in it                                        | yes   | yes        | yes    |
| roster     | all members and their limits                          | yes   | yes        | no     |
| enrol      | add, change, remove members; import a list            | yes   | yes        | no     |
| describe   | title, description                                    | yes   | yes        | no     |
| narrow     | images and presets, from those the admin allows       | yes   | yes        | no     |
| restrict   | limits of members, up to those the admin has set      | yes   | yes        | no     |
| equip      | the folder of materials that all its sessions mount   | yes   | yes        | no     |
| announce   | messages to its members                               | yes   | yes        | no     |
| end        | all its sessions, those of projects below it too      | yes   | yes        | no     |
| report     | who has used how much of it                           | yes   | yes        | no     |
| logs       | read what the sessions of others print                | yes   | no         | no     |
| audit      | read its audit log                                    | yes   | yes        | no     |
| prioritise | sessions beyond the members' highest priority         | yes   | yes        | no     |
| appoint    | name and dismiss instructors                          | yes   | no         | no     |
| govern     | create, archive, restore; quota, limit, weight, ...   | yes   | no         | no     |

"From those the admin allows" and "up to" are checked in ``bounds.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from hub_ext.errors import Forbidden
from hub_ext.projects.membership import Role


class Action(StrEnum):
    """What somebody wants to do; see the table above."""

    SEE = "see"
    LAUNCH = "launch"
    ROSTER = "roster"
    ENROL = "enrol"
    DESCRIBE = "describe"
    NARROW = "narrow"
    RESTRICT = "restrict"
    EQUIP = "equip"
    ANNOUNCE = "announce"
    END = "end"
    REPORT = "report"
    LOGS = "logs"
    AUDIT = "audit"
    PRIORITISE = "prioritise"
    APPOINT = "appoint"
    GOVERN = "govern"


@dataclass(frozen=True, slots=True)
class By:
    """Who makes a change, and as what in the project concerned."""

    user: str
    role: Role | None


_MEMBER = frozenset({Action.SEE, Action.LAUNCH})
_INSTRUCTOR = frozenset(Action) - {Action.LOGS, Action.APPOINT, Action.GOVERN}
_MAY = {
    Role.ADMIN: frozenset(Action),
    Role.INSTRUCTOR: _INSTRUCTOR,
    Role.MEMBER: _MEMBER,
}


def may(role: Role | None, action: Action) -> bool:
    """Whether this role in a project allows the action there. None: no part in it."""
    return role is not None and action in _MAY[role]


_NEEDS = {
    "title": Action.DESCRIBE,
    "description": Action.DESCRIBE,
    "images": Action.NARROW,
    "presets": Action.NARROW,
    "member_limits": Action.RESTRICT,
    "materials_folder_id": Action.EQUIP,
}


def needed(column: str) -> Action:
    """What one must be allowed to change this column of a project."""
    return _NEEDS.get(column, Action.GOVERN)


def require(role: Role | None, action: Action, message: str, field: str | None = None) -> None:
    """Raises Forbidden with the message when the role does not allow the action."""
    if not may(role, action):
        raise Forbidden(message, field=field)
