"""A large site in a database: people, projects, nodes, sessions of a year, folders, images.

Plausible values, the same for the same seed, written by bulk inserts. Only what the pages
show is there: no container runs and no file is in a folder.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, insert, select, text

from hub_ext.db.connection import Database
from hub_ext.db.models import (
    AuditRow,
    Base,
    DeviceRow,
    MemberRow,
    NodeRow,
    ProjectRow,
)
from hub_ext.fgpu import FgpuUnit
from hub_ext.nodes.presets import seed_presets

STUDENT, INSTRUCTOR, HEAD, ADMIN = "student", "instructor", "head", "root"
"""Whom the pages are measured as: ``head`` instructs a faculty, and so all courses below it."""
COURSE, FACULTY = "course-0001", "faculty-1"
UNIT = FgpuUnit(1, 50)
DAY = 86400.0

_FIRST_NAMES = [
    "maria",
    "jonas",
    "aiko",
    "chen",
    "priya",
    "omar",
    "lena",
    "mateo",
    "sofia",
    "yuki",
    "ivan",
    "nina",
    "amir",
    "clara",
    "hugo",
    "mei",
    "david",
    "sara",
    "tom",
    "anna",
    "noor",
    "elif",
    "jan",
    "rosa",
    "kofi",
    "lars",
]
_CHUNK = 5000


@dataclass(frozen=True, slots=True)
class Size:
    """How large a site is."""

    nodes: int = 50
    devices: int = 8
    running: int = 4000
    pending: int = 1000
    ended: int = 100_000
    projects: int = 500
    members: int = 40
    users: int = 3000
    folders: int = 2000
    images: int = 200
    audit: int = 100_000
    days: float = 365.0


SMALL = Size(
    nodes=5,
    running=100,
    pending=30,
    ended=300,
    projects=20,
    members=10,
    users=100,
    folders=60,
    images=20,
    audit=300,
)


@dataclass(slots=True)
class Seeding:
    """What is known while a site is being written; ``now``: Unix s that it is seeded for."""

    size: Size
    now: float
    chance: random.Random
    users: list[str] = field(default_factory=list)
    courses: list[str] = field(default_factory=list)
    projects_of: dict[str, list[str]] = field(default_factory=dict)
    folders_of: dict[str, dict[str, str]] = field(default_factory=dict)
    """Of each user his own folders: names by id."""

    def id(self) -> str:
        """As ``uuid4().hex``, but from the seed."""
        return uuid.UUID(int=self.chance.getrandbits(128), version=4).hex

    def project_of(self, user: str) -> str:
        """One that he may launch in."""
        return self.chance.choice(self.projects_of.get(user) or ["default"])

    def user(self) -> str:
        """Somebody."""
        return self.chance.choice(self.users)


def fill(database: Database, size: Size = Size(), *, seed: int = 1, now: float = 0.0) -> Seeding:
    """Write a site into a migrated database that has none yet; ``now`` 0: the clock's."""
    # here, for they read names from above
    from benchmarks.seeded_sessions import write_sessions
    from benchmarks.seeded_things import write_folders, write_images

    seeding = Seeding(size, now or time.time(), random.Random(seed))
    with database.transaction() as db:
        seed_presets(db, UNIT)
    with database.engine.begin() as connection:
        _write_people(connection, seeding)
        _write_nodes(connection, seeding)
        write_folders(connection, seeding)
        write_sessions(connection, seeding)
        write_images(connection, seeding)
        add(connection, AuditRow, _audit(seeding))
        _set_counters(connection)
    if database.engine.dialect.name == "postgresql":
        with database.engine.connect().execution_options(
            isolation_level="AUTOCOMMIT"
        ) as connection:
            connection.execute(text("ANALYZE"))
    return seeding


def add(connection: Connection, model: type[Base], rows: Iterator[dict[str, Any]]) -> None:
    """Insert rows, some thousands at a time."""
    while chunk := list(islice(rows, _CHUNK)):
        connection.execute(insert(model), chunk)


def _set_counters(connection: Connection) -> None:
    """PostgreSQL goes on counting after the numbers that were given."""
    if connection.dialect.name != "postgresql":
        return
    for table in ("runs", "session_history", "slices", "audit"):
        connection.execute(
            text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
        )


def _write_people(connection: Connection, seeding: Seeding) -> None:
    """A tree of faculties, departments and courses, with their members."""
    names = seeding.chance.choices(_FIRST_NAMES, k=seeding.size.users)
    seeding.users = [f"{name}{number:04}" for number, name in enumerate(names, 1)]
    taken = connection.scalar(select(func.max(ProjectRow.created_order))) or 0
    rows = list(_projects(seeding, taken))
    add(connection, ProjectRow, iter(rows))
    seeding.courses = [row["name"] for row in rows if row["name"].startswith("course-")]
    add(connection, MemberRow, _members(seeding))


def _projects(seeding: Seeding, taken: int) -> Iterator[dict[str, Any]]:
    count = seeding.size.projects - 1  # with the first, "default", that migrations make
    faculties = max(1, min(10, count // 10))
    departments = max(1, min(40, count // 5))
    for number in range(1, count + 1):
        if number <= faculties:
            name, parent, title = f"faculty-{number}", None, f"Faculty {number}"
        elif number <= faculties + departments:
            own = number - faculties
            name, title = f"department-{own:02}", f"Department {own}"
            parent = f"faculty-{1 + own % faculties}"
        else:
            own = number - faculties - departments
            name, title = f"course-{own:04}", f"Course {own}, spring term"
            parent = f"department-{1 + own % departments:02}"
        quota = seeding.size.nodes * seeding.size.devices * 1000
        yield {
            "name": name,
            "title": title,
            "description": "Lectures on Monday, exercises on Thursday. " * (number % 3),
            "parent": parent,
            "created_at": seeding.now - seeding.size.days * DAY,
            "created_order": taken + number,
            "quota_gpu_milli": max(1000, quota // count // 50 * 50)
            if parent
            else quota // faculties,
            "quota_cpu_milli": -1,
            "quota_memory_mib": -1,
            "limit_gpu_milli": -1,
            "limit_cpu_milli": -1,
            "limit_memory_mib": -1,
            "valid_until": seeding.now + 60 * DAY if number % 4 == 0 else None,
            "budget_gpu_h": 5000.0 if number % 5 == 0 else None,
            "hours": None,
            "quota_hours": None,
            "images": None,
            "presets": None,
            "resource_groups": None,
            "kinds": None,
            "member_limits": {"max_sessions": 5} if number % 2 else {},
            "bounds": {},
        }


def _members(seeding: Seeding) -> Iterator[dict[str, Any]]:
    """Each course has an instructor and ``members`` students; the student is in three."""

    def member(project: str, user: str, role: str = "member") -> dict[str, Any]:
        seeding.projects_of.setdefault(user, []).append(project)
        added = seeding.now - seeding.chance.random() * seeding.size.days * DAY
        return {
            "project": project,
            "user": user,
            "role": role,
            "limits": {},
            "added_at": added,
            "added_by": ADMIN,
        }

    yield member(FACULTY, HEAD, "instructor")
    yield member(COURSE, INSTRUCTOR, "instructor")
    for number, course in enumerate(seeding.courses):
        if number < 3:
            yield member(course, STUDENT)
        if course != COURSE:
            yield member(course, seeding.users[number % len(seeding.users)], "instructor")
        others = [user for user in seeding.users if user not in {STUDENT, INSTRUCTOR}]
        for user in seeding.chance.sample(others, seeding.size.members):
            if course not in seeding.projects_of.get(user, ()):
                yield member(course, user)


def _write_nodes(connection: Connection, seeding: Seeding) -> None:
    size = seeding.size
    nodes = [node_name(number) for number in range(size.nodes)]
    add(connection, NodeRow, (_node(seeding, number, name) for number, name in enumerate(nodes)))
    add(
        connection,
        DeviceRow,
        (
            {
                "node": node,
                "device": device,
                "uuid": device_uuid(node, device),
                "model": "NVIDIA H100 80GB HBM3" if number % 2 else "NVIDIA A100-SXM4-40GB",
                "memory_mib": 81_920 if number % 2 else 40_960,
                "simulated": False,
                "problem": "It has fallen off the bus." if (number, device) == (3, 2) else "",
            }
            for number, node in enumerate(nodes)
            for device in range(size.devices)
        ),
    )


def node_name(number: int) -> str:
    """Counted from 0."""
    return f"gpu-{number + 1:02}"


def device_uuid(node: str, device: int) -> str:
    """Of a device of a node."""
    return f"GPU-{uuid.uuid5(uuid.NAMESPACE_DNS, f'{node}-{device}')}"


def _node(seeding: Seeding, number: int, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "cpu_milli": 4 * 128_000,
        "memory_mib": 2 * 1024 * 1024,
        "resource_group": "default",
        "labels": {"rack": f"r{number // 10}"},
        "drained": number == 4,
        "problem": "",
        "seen_at": seeding.now,
    }


def _audit(seeding: Seeding) -> Iterator[dict[str, Any]]:
    """The oldest first, evenly over the time."""
    actions: Sequence[str] = (
        *("member.add",) * 6,
        *("folder.create",) * 3,
        *("project.change", "member.remove", "node.drain", "folder.share", "preset.change"),
    )
    count = seeding.size.audit
    for number in range(count):
        action, course = seeding.chance.choice(actions), seeding.chance.choice(seeding.courses)
        user = seeding.user()
        kind = action.partition(".")[0]
        subjects = {"member": user, "project": course, "node": "gpu-01", "preset": "gpu"}
        of_project = kind in {"member", "project"}
        yield {
            "id": number + 1,
            "at": seeding.now - seeding.size.days * DAY * (1 - number / count),
            "by": seeding.user() if kind != "node" else ADMIN,
            "action": action,
            "subject": subjects.get(kind, f"user:{user}/data"),
            "project": course if of_project else None,
            "before": None if action.endswith((".add", ".create")) else {"quota_gpu_milli": 4000},
            "after": {"role": "member"} if kind == "member" else {"quota_gpu_milli": 8000},
        }
