"""The bounds within which an instructor may set limits, images and presets. Pure.

Only an admin widens: what an instructor has lowered or narrowed, an admin can give back.
"""

from __future__ import annotations

from collections.abc import Iterable

from hub_ext.errors import Forbidden
from hub_ext.projects.limits import MemberLimits


def check_limits(new: MemberLimits, old: MemberLimits, bounds: MemberLimits, field: str) -> None:
    """No limit above that of ``bounds``, unless it was so before. Raises Forbidden."""
    for name in MemberLimits.model_fields:
        value, bound = getattr(new, name), getattr(bounds, name)
        if value == getattr(old, name) or bound is None or (value is not None and value <= bound):
            continue
        rest = "max_fgpu" if name == "max_gpu_milli" else name
        raise Forbidden(
            f"{rest} is above what an admin has set for the project; only an admin raises it.",
            field=f"{field}.{rest}",
        )


def check_narrowing(new: list[str] | None, allowed: Iterable[list[str] | None], field: str) -> None:
    """``new`` is part of every list of ``allowed`` (None: everything). Raises Forbidden."""
    for names in allowed:
        if names is None:
            continue
        beyond = None if new is None else next((name for name in new if name not in names), None)
        if new is None or beyond is not None:
            what = "everything" if beyond is None else beyond
            raise Forbidden(
                f"An instructor chooses from {', '.join(names[:10])}; only an admin allows {what}.",
                field=field,
            )
