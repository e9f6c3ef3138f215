"""All checks in their order. A new check is a function and a line in CHECKS."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hub_ext.doctor import bookings, deployment_state, engine, gpus, machine
from hub_ext.doctor.finding import Check, Deployment, Finding, fail

CHECKS: tuple[Check, ...] = (
    machine.python,
    machine.programs,
    machine.disk,
    machine.certificates,
    engine.engine,
    gpus.gpus,
    engine.session_network,
    engine.images,
    deployment_state.settings_file,
    deployment_state.hub_database,
    deployment_state.database,
    bookings.bookings,
    deployment_state.running,
    engine.stray_containers,
)


def examine(deployment: Deployment, checks: Sequence[Check] = CHECKS) -> Iterator[Finding]:
    """Run every check; one that breaks is itself a finding and does not end the rest."""
    for check in checks:
        try:
            yield from check(deployment)
        except Exception as error:
            name = getattr(check, "__name__", "check").replace("_", " ")
            yield fail(
                name,
                f"The check itself failed: {type(error).__name__}: {error}",
                "Please report this with the output of './apportion doctor --json'.",
            )
