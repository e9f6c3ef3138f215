"""Young sessions are left alone for a while (KAI 0.17, plugins/minruntime)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from hub_ext.scheduling.accounts import Account
from hub_ext.scheduling.jobs import Job


def is_protected(
    victim: Job, claimant: Account, kind: Literal["reclaim", "preempt"], now: float
) -> bool:
    """Whether the victim has not yet run for its minimum. No start time: unprotected.

    Preempt: the nearest value from the victim's project upward. Reclaim: from the
    ancestor on the victim's side of the point where the two branches part, upward.
    """
    since = victim.session.running_since
    if since is None:
        return False
    path = victim.account.path
    if kind == "preempt":
        minimum = _nearest(a.project.preempt_min_runtime_s for a in path)
    else:
        shared = set(claimant.path)
        own = [a for a in path if a not in shared]
        above = [*own[-1:], *(a for a in path if a in shared)]
        minimum = _nearest(a.project.reclaim_min_runtime_s for a in above)
    return minimum is not None and now < since + minimum


def _nearest(values: Iterable[float | None]) -> float | None:
    return next((v for v in values if v is not None), None)
