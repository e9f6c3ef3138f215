"""``/api/v1/usage``: what projects held over time."""

from __future__ import annotations

import math
import time
from typing import Any

from sqlalchemy.orm import Session

from hub_ext.errors import BadValue
from hub_ext.metering.queries import computed_gpu_hours
from hub_ext.projects.periods import NAMED
from hub_ext.projects.permissions import Action, may
from hub_ext.projects.tree import Rows, below, read_projects
from hub_ext.projects.use_over_time import CPU, GPU, MEMORY, Use, gpu_hours_by_user
from hub_ext.web.api.projects import ProjectApiHandler

_UNITS = {GPU: "fGPU", CPU: "cores", MEMORY: "GiB"}
_MOST_STEPS = 1000
_SHORTEST_STEP_S = 60


class UsageHandler(ProjectApiHandler):
    """For admins all projects, for others those that they are in."""

    def get(self) -> None:
        """``period``: hour, day, week, month or year; ``step``: s; ``resource``: gpu, cpu, memory.

        ``below=0``: each project without those below it. ``project``: only this one; who may
        see its members also gets the GPU-hours of each user in it and below.
        """
        name, resource = self._one_of("period", "day", NAMED), self._one_of("resource", GPU, _UNITS)
        wanted = self.get_query_argument("project", "")
        by = self.by(wanted) if wanted else None
        visible = {wanted} if wanted else self._visible()
        now, tz = time.time(), self.site.policy.timezone
        with self.site.database.transaction() as db:
            rows = read_projects(db)
            step_s = self._step_s(name)
            use = self.site.use.latest(db, name, now, tz, resource=resource, step_s=step_s)
            shown = use if self._one_of("below", "1", {"0", "1"}) == "0" else use.with_below(rows)
            users = None
            if by is not None and may(by.role, Action.ROSTER):
                family = [wanted, *below(rows, wanted)]
                period = use.period
                users = gpu_hours_by_user(db, period.begin, period.end, now, family)
            names = sorted(visible & rows.keys())
            computed = self._computed(db, rows, names, use, resource)
        answer = self._described(shown, name, resource, names)
        for each in answer["projects"]:
            each["computed_hours"] = computed.get(each["name"])
        self.reply(answer | ({} if users is None else {"users": self._users(users)}))

    def _visible(self) -> set[str]:
        """Those that the caller may see; to an admin the archived ones too."""
        with self.site.database.transaction() as db:
            every = read_projects(db)
        if self.caller.admin:
            return set(every)
        return {name for name, role in self.roles().items() if may(role, Action.SEE)}

    def _computed(
        self, db: Session, rows: Rows, names: list[str], use: Use, resource: str
    ) -> dict[str, float]:
        """fGPU-hours in which GPUs really computed, of projects with those below them; as far as
        it was measured."""
        if resource != GPU:
            return {}
        found = computed_gpu_hours(db, list(rows), use.period.begin, use.period.end)
        alone = self._one_of("below", "1", {"0", "1"}) == "0"
        families = {each: [each] if alone else [each, *below(rows, each)] for each in names}
        per_gpu = self.site.policy.unit.per_gpu
        return {
            each: round(sum(found.get(one, 0.0) for one in family) * per_gpu, 4)
            for each, family in families.items()
            if any(one in found for one in family)
        }

    def _described(self, use: Use, name: str, resource: str, names: list[str]) -> dict[str, Any]:
        factor = self.site.policy.unit.per_gpu if resource == GPU else 1
        held = [each for each in names if each in use.held or len(names) == 1]
        return {
            "period": name,
            "resource": resource,
            "unit": _UNITS[resource],
            "begin": use.period.begin,
            "end": use.period.end,
            "step_s": use.period.step_s,
            "times": use.period.times,
            "projects": [
                {
                    "name": each,
                    "mean": [
                        None if value is None else round(value * factor, 4)
                        for value in use.mean(each)
                    ],
                    "hours": round(use.total(each) * factor, 4),
                }
                for each in held
            ],
        }

    def _users(self, hours: dict[tuple[str, str], float]) -> list[dict[str, Any]]:
        """Whoever used most first."""
        found: dict[str, float] = {}
        for (_, user), gpu_h in hours.items():
            found[user] = found.get(user, 0.0) + gpu_h * self.site.policy.unit.per_gpu
        order = sorted(found.items(), key=lambda each: (-each[1], each[0]))
        return [{"user": user, "fgpu_h": round(used, 4)} for user, used in order]

    def _step_s(self, name: str) -> int | None:
        """None: the usual one. Raises BadValue."""
        if not self.get_query_argument("step", ""):
            return None
        steps, usual_s = NAMED[name]
        shortest = max(_SHORTEST_STEP_S, math.ceil(steps * usual_s / _MOST_STEPS))
        return self.whole_number("step", usual_s, shortest, steps * usual_s)

    def _one_of(self, name: str, default: str, known: Any) -> str:
        """A query parameter that is one of a few words. Raises BadValue."""
        value = self.get_query_argument(name, default)
        if value not in known:
            raise BadValue(f"'{name}' is one of {', '.join(sorted(known))}.", field=name)
        return value
