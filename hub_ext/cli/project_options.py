"""The options that set a project and the limits of its members, made from one table each.

The name of an option's value is its place in the API's body: ``quota__fgpu`` is quota.fgpu.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import click

from hub_ext.cli.parameters import Duration, Moment, Number, Size, Unless, Window

Function = Callable[..., Any]

_RESOURCES: tuple[tuple[str, str, click.ParamType, str], ...] = (
    ("fgpu", "fgpu", Number(), "fGPU"),
    ("cpu", "cpu", Number(), "cores"),
    ("memory", "memory_mib", Size(), "memory, e.g. 64G"),
)
_BOUNDS = {
    "quota": "What it is sure of",
    "limit": "What it never gets more of",
}


def _amounts() -> list[Function]:
    """--quota-fgpu to --weight-memory."""
    options = []
    for kind, meaning in _BOUNDS.items():
        for short, key, type_, unit in _RESOURCES:
            options.append(
                click.option(
                    f"--{kind}-{short}",
                    f"{kind}__{key}",
                    type=Unless(type_, "unlimited"),
                    help=f"{meaning}: {unit}; or 'unlimited'.",
                )
            )
    for short, key, _, _ in _RESOURCES:
        options.append(
            click.option(
                f"--weight-{short}",
                f"weight__{key}",
                type=Unless(Number(), "quota"),
                help="Its part of what is left over; 'quota': as much as its quota.",
            )
        )
    return options


def _listed(name: str, field: str, what: str) -> Function:
    return click.option(
        f"--{name}",
        field,
        multiple=True,
        type=Unless(click.STRING, "any"),
        metavar="NAME",
        help=f"{what} that may be used; may be repeated; 'any': all.",
    )


def _settings() -> list[Function]:
    """All but amounts and the limits of members."""
    return [
        click.option("--title", help="What people read."),
        click.option("--description", help="For its members."),
        click.option(
            "--parent", type=Unless(click.STRING, "none"), help="Project above it; 'none': the top."
        ),
        click.option("--priority", type=int, help="Among projects; the higher first."),
        click.option(
            "--open-to-all/--not-open-to-all", default=None, help="Whether everybody is a member."
        ),
        click.option(
            "--hours",
            multiple=True,
            type=Unless(Window(), "always"),
            metavar="HOURS",
            help="Open hours such as 'mon-fri 08:00-18:00'; may be repeated; 'always'.",
        ),
        click.option(
            "--stops-at-close/--goes-on-at-close",
            "stops_at_close",
            default=None,
            help="Whether sessions are stopped when its hours end.",
        ),
        click.option(
            "--quota-hours",
            multiple=True,
            type=Unless(Window(amounts=True), "always"),
            metavar="HOURS",
            help="Quota at these hours, 'mon-fri 08:00-18:00 fgpu=4 cpu=8 memory=64G'; may be"
            " repeated; 'always': the same at all hours.",
        ),
        click.option("--valid-from", type=Unless(Moment(), "none"), help="First day of its term."),
        click.option("--valid-until", type=Unless(Moment(), "none"), help="End of its term."),
        _listed("image", "images", "Images"),
        _listed("preset", "presets", "Presets"),
        _listed("resource-group", "resource_groups", "Resource groups"),
        click.option(
            "--kind",
            "kinds",
            multiple=True,
            type=Unless(click.Choice(["interactive", "batch"]), "any"),
            metavar="KIND",
            help="interactive or batch sessions; may be repeated; 'any': both.",
        ),
        click.option(
            "--materials",
            "materials_folder_id",
            type=Unless(click.STRING, "none"),
            metavar="FOLDER_ID",
            help="Folder of the project that all its sessions mount, read-only; 'none'.",
        ),
        click.option(
            "--budget",
            "budget_fgpu_h",
            type=Unless(Number(), "unlimited"),
            help="fGPU-hours in its term.",
        ),
        click.option(
            "--reclaim-min-runtime",
            "reclaim_min_runtime_s",
            type=Unless(Duration(), "none"),
            help="Its sessions run so long before other projects may take them back.",
        ),
        click.option(
            "--preempt-min-runtime",
            "preempt_min_runtime_s",
            type=Unless(Duration(), "none"),
            help="They run so long before more important ones of its own may take them back.",
        ),
    ]


_LIMITS: tuple[tuple[str, str, click.ParamType, str], ...] = (
    ("max-sessions", "max_sessions", click.INT, "Running at once, at most."),
    ("max-fgpu", "max_fgpu", Number(), "fGPU of one session, at most."),
    ("max-pending", "max_pending", click.INT, "Waiting at once, at most."),
    ("max-lifetime", "max_lifetime_s", Duration(), "Longest life of a session, e.g. 8h."),
    ("idle", "idle_s", Duration(), "An idle session is stopped after so long."),
)


def limit_options(above: str) -> Callable[[Function], Function]:
    """What a member may have. above: where it is in the body, "limits" or "member_limits"."""
    options = [
        click.option(
            f"--{name}",
            f"{above}__{key}",
            type=Unless(type_, "unlimited"),
            help=f"{meaning} Or 'unlimited'.",
        )
        for name, key, type_, meaning in _LIMITS
    ]
    options.append(
        click.option(
            "--max-priority",
            f"{above}__max_priority",
            type=int,
            help="Highest priority that a member gives to a session.",
        )
    )
    return _all(options)


def project_options(function: Function) -> Function:
    """All that can be set of a project."""
    return _all([*_amounts(), *_settings()])(limit_options("member_limits")(function))


def _all(options: Sequence[Function]) -> Callable[[Function], Function]:
    def add(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return add
