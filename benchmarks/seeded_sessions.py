"""The sessions of a seeded site: those that run with their slices, that wait, that ended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection

from benchmarks.seeded_site import (
    DAY,
    INSTRUCTOR,
    STUDENT,
    Seeding,
    add,
    device_uuid,
    node_name,
)
from hub_ext.db.models import HistoryRow, RunRow, SessionRow, SliceRow
from hub_ext.folders.session_mounts import Mount
from hub_ext.sessions.status import Status

_NAMES = [
    "exercise",
    "project",
    "training",
    "thesis",
    "notebook",
    "demo",
    "homework",
    "tuning",
    "eval",
    "data-prep",
]
_IMAGES = (
    ("apportion/datascience:2026.1", "Data science"),
    ("apportion/pytorch:2026.1", "PyTorch"),
    ("apportion/tensorflow:2026.1", "TensorFlow"),
)
"""As ``seeded_things.catalogue`` has them."""
_REASONS = (
    (
        "no_room",
        "Needs 2.0 fGPU on one node; the largest free part of a node is 1.5 fGPU (gpu-{n:02}).",
        "It starts as soon as other sessions end.",
    ),
    ("limit", "Project {project} uses 8.0 of its limit of 8.0 fGPU.", "Ask your instructor."),
    ("member_limit", "You have 5 sessions in {project}; 5 at once are allowed.", "Stop one."),
)
_LIVES = (
    (Status.PENDING, "", "Submitted."),
    (Status.SCHEDULED, "granted", "Starts on node {node}."),
    (Status.RUNNING, "", "The server answers."),
)


def write_sessions(connection: Connection, seeding: Seeding) -> None:
    """All of them, in the order in which they were submitted."""
    rows = [*_ended(seeding), *_running(seeding), *_pending(seeding)]
    for order, row in enumerate(rows, 1):
        row["order"] = order
        row["server_name"] = f"{row['name']}-{order}"[-30:]
    slices = [part for row in rows for part in row.pop("parts")]
    ran = [row for row in rows if row["running_at"] is not None]
    for number, row in enumerate(ran, 1):
        row["run_id"] = number
    add(connection, SessionRow, iter(rows))
    add(connection, RunRow, (_run(row) for row in ran))
    add(connection, SliceRow, ({"id": n, **part} for n, part in enumerate(slices, 1)))
    steps = (step for row in rows for step in _history(row))
    add(connection, HistoryRow, ({"id": n, **step} for n, step in enumerate(steps, 1)))


def _ended(seeding: Seeding) -> Iterator[dict[str, Any]]:
    """Over the whole time, more of them lately; a few never ran."""
    chance, size = seeding.chance, seeding.size
    times = sorted(chance.random() ** 0.7 for _ in range(size.ended))
    for part in times:
        submitted = seeding.now - size.days * DAY * (1 - part) - 3600
        waited = min(chance.expovariate(1 / 600), 8 * 3600.0)
        lasted = min(chance.expovariate(1 / 5400), 2 * DAY)
        ended = min(submitted + waited + lasted, seeding.now - 60)
        row = _session(seeding, submitted, _owner(seeding, 200))
        row |= {"ended_at": ended, "changed_at": ended}
        if chance.random() < 0.06:
            row |= {"status": Status.CANCELLED, "reason_message": "Cancelled."}
        else:
            begun = min(submitted + waited, ended)
            row |= {
                "status": Status.ERROR if chance.random() < 0.02 else Status.TERMINATED,
                "scheduled_at": begun,
                "running_at": min(begun + 5, ended),
                "node": node_name(chance.randrange(size.nodes)),
                "reason_message": "Stopped.",
            }
        yield row


def _running(seeding: Seeding) -> Iterator[dict[str, Any]]:
    """Nodes are filled one by one: most devices shared by many, some whole, a tenth without GPU."""
    chance, size = seeding.chance, seeding.size
    left = size.running
    without = left // 10
    per_device = -(-(left - without) // (size.nodes * size.devices))
    for node in range(size.nodes):
        for device in range(size.devices):
            parts = _partition(seeding, min(per_device + node % 2, 20))
            for milli in parts:
                if left <= without:
                    break
                left -= 1
                yield _started(seeding, node, {device: milli})
    while left > 0:
        left -= 1
        yield _started(seeding, chance.randrange(size.nodes), {})


def _partition(seeding: Seeding, count: int) -> list[int]:
    """A device in ``count`` parts of at least 50 milli-GPU, nearly full."""
    parts = [50] * count
    for _ in range((1000 - 50 * count) // 50 - seeding.chance.randrange(2)):
        parts[seeding.chance.randrange(count)] += 50
    return parts


def _started(seeding: Seeding, node: int, parts: dict[int, int]) -> dict[str, Any]:
    chance, name = seeding.chance, node_name(node)
    submitted = seeding.now - min(chance.expovariate(1 / 14_400), 5 * DAY) - 60
    begun = submitted + min(chance.expovariate(1 / 60), seeding.now - submitted - 10)
    row = _session(seeding, submitted, _owner(seeding, 1000))
    row |= {
        "status": Status.RUNNING,
        "scheduled_at": begun,
        "running_at": begun + 5,
        "changed_at": begun + 5,
        "node": name,
        "container_id": seeding.id(),
        "gpu_milli": sum(parts.values()),
        "gpu_memory_mib": 80 * sum(parts.values()) if node % 2 else 40 * sum(parts.values()),
        "lifetime_s": chance.choice([None, 14_400, 86_400]),
        "preemptible": chance.random() < 0.2,
    }
    row["parts"] = [
        {
            "session_id": row["id"],
            "node": name,
            "device": device,
            "uuid": device_uuid(name, device),
            "milli": milli,
            "simulated": False,
        }
        for device, milli in parts.items()
    ]
    return row


def _pending(seeding: Seeding) -> Iterator[dict[str, Any]]:
    chance, count = seeding.chance, seeding.size.pending
    for position in range(1, count + 1):
        row = _session(
            seeding, seeding.now - 3600 * (1 - position / count) - 1, _owner(seeding, 500)
        )
        code, message, help_ = _REASONS[position % len(_REASONS)]
        project = row["project"]
        row |= {
            "position": position,
            "expected_at": seeding.now + 60 * position if chance.random() < 0.8 else None,
            "reason_code": code,
            "reason_message": message.format(n=1 + position % seeding.size.nodes, project=project),
            "reason_help": help_,
        }
        yield row


def _owner(seeding: Seeding, of: int) -> str:
    """The student and the instructor have one of ``of``; the others the rest."""
    found = seeding.chance.randrange(of)
    return (STUDENT, INSTRUCTOR)[found] if found < 2 else seeding.user()


def _session(seeding: Seeding, submitted: float, user: str) -> dict[str, Any]:
    """One that waits."""
    chance = seeding.chance
    image, title = chance.choice(_IMAGES)
    name = f"{chance.choice(_NAMES)}-{chance.randrange(100)}"
    gpu = chance.choice([0, 100, 250, 500, 1000, 1000, 2000])
    mounts = [
        Mount(folder, name, "user", user, f"/home/work/{name}", "rw").as_json()
        for folder, name in seeding.folders_of.get(user, {}).items()
    ][:3]
    return {
        "id": seeding.id(),
        "user": user,
        "name": name,
        "project": seeding.project_of(user),
        "kind": "interactive",
        "status": Status.PENDING,
        "reason_code": "",
        "reason_message": "",
        "reason_help": "",
        "position": None,
        "expected_at": None,
        "image": image,
        "image_title": title,
        "preset": "gpu" if gpu == 1000 else None,
        "gpu_milli": gpu,
        "gpu_memory_mib": 0,
        "cpu_milli": 2000,
        "memory_mib": 4096,
        "priority": 0,
        "preemptible": False,
        "lifetime_s": None,
        "options": {"name": name, "image": image, "fgpu": gpu / 1000, "cpu": 2.0},
        "mounts": mounts if chance.random() < 0.5 else [],
        "submitted_at": submitted,
        "scheduled_at": None,
        "running_at": None,
        "ended_at": None,
        "changed_at": submitted,
        "node": None,
        "container_id": None,
        "run_id": None,
        "parts": [],
    }


def _run(row: dict[str, Any]) -> dict[str, Any]:
    same = ("user", "project", "gpu_milli", "cpu_milli", "memory_mib", "ended_at")
    return {
        "id": row["run_id"],
        "session_id": row["id"],
        "started_at": row["scheduled_at"],
        **{column: row[column] for column in same},
    }


def _history(row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """As ``SessionStore`` writes it, without the steps between a grant and a running server."""
    times = {
        Status.PENDING: row["submitted_at"],
        Status.SCHEDULED: row["scheduled_at"],
        Status.RUNNING: row["running_at"],
    }
    steps = [
        (times[status], status, code, message)
        for status, code, message in _LIVES
        if times[status] is not None
    ]
    if row["ended_at"] is not None:
        steps.append((row["ended_at"], row["status"], "", row["reason_message"]))
    before = ""
    for at, status, code, message in steps:
        yield {
            "session_id": row["id"],
            "at": at,
            "from_status": before,
            "to_status": status,
            "code": code,
            "message": message.format(node=row["node"]),
            "by": "scheduler" if status is Status.SCHEDULED else row["user"],
        }
        before = status
