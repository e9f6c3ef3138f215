"""The site's options that limit users, as a table to read. They are set in the configuration."""

from __future__ import annotations

from dataclasses import dataclass

from hub_ext.site import Policy
from hub_ext.web.formats import number, size
from hub_ext.web.translation import gettext as _


@dataclass(frozen=True, slots=True)
class Option:
    """One of them: the trait that sets it, what it is now, what it means."""

    name: str
    value: str
    meaning: str


def options(policy: Policy) -> list[Option]:
    """Those that somebody who looks for a limit would look for."""
    unlimited = _("no limit")
    each = (
        ("fgpu_per_gpu", number(policy.unit.per_gpu), _("fGPU in one physical GPU")),
        (
            "fgpu_quantum",
            number(policy.unit.quantum_milli / 1000),
            _("smallest step of a request, in fGPU"),
        ),
        ("cpu_overcommit", number(policy.cpu_overcommit), _("how many times cores may be booked")),
        (
            "reserved_memory_mib",
            size(policy.reserved_memory_mib * 2**20),
            _("memory of each node that is kept for the system"),
        ),
        (
            "max_pending_per_user",
            number(policy.max_pending_per_user),
            _("sessions of one user that may wait"),
        ),
        (
            "pending_timeout_s",
            _seconds(policy.pending_timeout_s, _("for ever")),
            _("how long a session may wait"),
        ),
        (
            "reclaim_warning_s",
            _seconds(policy.reclaim_warning_s, _("none")),
            _("from the warning that a session is taken back to its stop"),
        ),
        (
            "ending_warning_s",
            _seconds(policy.ending_warning_s, _("none")),
            _("the same for lifetime, hours, term and idle time"),
        ),
        ("pids_limit", number(policy.pids_limit), _("processes and threads of one session")),
        (
            "user_storage_quota_gib",
            _bytes(policy.user_storage_bytes, unlimited),
            _("all folders of one user together"),
        ),
        (
            "project_storage_quota_gib",
            _bytes(policy.project_storage_bytes, unlimited),
            _("all folders of one project together"),
        ),
        (
            "trash_days",
            number(policy.trash_days) if policy.trash_days else _("for ever"),
            _("days that a folder stays in the trash"),
        ),
        (
            "max_saved_images",
            number(policy.max_saved_images),
            _("images made from sessions that one user may have"),
        ),
        (
            "approve_own_images",
            _("yes") if policy.approve_own_images else _("no"),
            _("users make such images without asking an admin"),
        ),
    )
    return [Option(f"c.ApportionService.{name}", value, text) for name, value, text in each]


def _seconds(value: float, zero: str) -> str:
    return _("%(number)s s") % {"number": number(value)} if value else zero


def _bytes(value: int | None, unlimited: str) -> str:
    return unlimited if value is None else size(value)
