"""``apportion get``: one session in full, and its history."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from hub_ext.cli.tables import (
    ago,
    exact_span,
    memory,
    moment,
    number,
    say,
    show_facts,
    show_table,
    span,
    yes_no,
)


def show_session(session: dict[str, Any], url: str) -> None:
    """All that is known of it. url: address of the hub."""
    show_facts(_facts(session, url))


def _facts(session: dict[str, Any], url: str) -> Iterator[tuple[str, str]]:
    yield "Name", session["name"]
    yield "ID", session["id"]
    yield "Status", session["status"]
    yield from _why(session)
    yield "Project", session["project"]
    yield "User", session["user"]
    yield "Image", session["image"]
    yield "Preset", session["preset"] or ""
    yield "Resources", _resources(session)
    yield "Node", _place(session)
    for folder in session["folders"]:
        yield "Folder", f"{folder['name'] or 'home'} at {folder['target']} ({folder['mode']})"
    yield "Priority", str(session["priority"])
    yield "Preemptible", _preemptible(session)
    yield "Lifetime", _lifetime(session)
    yield "Submitted", _when(session["submitted_at"])
    yield "Running since", _when(session["running_at"])
    yield "Ended", _when(session["ended_at"])
    yield "URL", url + session["url"] if session["url"] else ""


def _why(session: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What becomes of it, and what it waits for."""
    notice, reason = session["notice"], session["reason"]
    if notice:
        yield "Notice", f"{notice['message']} ({span(notice['seconds_left'])} left)"
    if session["position"] is not None:
        yield "Place in line", str(session["position"])
    if session["estimate_s"] is not None and session["status"] == "PENDING":
        yield "Estimate", f"about {span(session['estimate_s'])}"
    if reason:
        yield "Reason", reason["message"]
        yield "What helps", reason["help"] or ""


def _resources(session: dict[str, Any]) -> str:
    gpu = f"{number(session['fgpu'])} fGPU"
    if session["gpu_memory_mib"]:
        gpu += f" ({memory(session['gpu_memory_mib'])} of GPU memory)"
    return (
        f"{gpu}, {number(session['cpu_milli'] / 1000)} cores, {memory(session['memory_mib'])}"
        " of memory"
    )


def _place(session: dict[str, Any]) -> str:
    """The node, and what part of which devices."""
    devices = ", ".join(
        f"{number(part['milli'] / 10)} % of {part['uuid']}"
        + (" (simulated)" if part["simulated"] else "")
        for part in session["slices"]
    )
    return f"{session['node'] or ''}{': ' if devices else ''}{devices}"


def _preemptible(session: dict[str, Any]) -> str:
    then = "waits again" if session["requeue"] else "ends"
    return f"yes; {then} after that" if session["preemptible"] else yes_no(False)


def _lifetime(session: dict[str, Any]) -> str:
    if session["lifetime_s"] is None:
        return "unlimited"
    if session["running_at"] is None or session["ended_at"] is not None:
        return exact_span(session["lifetime_s"])
    left = session["running_at"] + session["lifetime_s"] - time.time()
    shown = exact_span(left // 60 * 60) if left >= 60 else span(left)
    return f"{exact_span(session['lifetime_s'])}, {shown} left"


def _when(at: float | None) -> str:
    return "" if at is None else f"{moment(at)} ({ago(at)} ago)"


def show_history(steps: list[dict[str, Any]]) -> None:
    """Every step, the oldest first."""
    say("")
    show_table(
        ("TIME", "STATUS", "BY", "WHY"),
        [(moment(step["at"]), step["to"], step["by"], step["message"]) for step in steps],
    )
