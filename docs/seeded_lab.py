"""A lab to take pictures of: people with names, courses with titles, a week's work.

What the benchmarks seed, smaller, and with the names of a real place.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from benchmarks.seeded_site import INSTRUCTOR, STUDENT, Size, fill
from hub_ext.db.connection import Database

LAB = Size(
    nodes=3,
    devices=4,
    running=30,
    pending=4,
    ended=900,
    projects=7,
    members=12,
    users=26,
    folders=24,
    images=16,
    audit=150,
    days=100,
)
LEARNS, TEACHES, ADMIN = "maria", "tess", "root"
COURSE = "ml101"
_PROJECTS = {
    "faculty-1": ("engineering", "School of Engineering"),
    "department-01": ("computing", "Department of Computing"),
    "course-0001": (COURSE, "Machine Learning"),
    "course-0002": ("cv202", "Computer Vision"),
    "course-0003": ("nlp303", "Language Models"),
    "course-0004": ("thesis", "Thesis projects"),
}
_PEOPLE = [
    "jonas.weber",
    "aiko.tanaka",
    "chen.li",
    "priya.nair",
    "omar.haddad",
    "lena.fischer",
    "mateo.silva",
    "sofia.rossi",
    "yuki.sato",
    "ivan.petrov",
    "nina.berg",
    "amir.karimi",
    "clara.dubois",
    "hugo.martin",
    "mei.wong",
    "david.cohen",
    "sara.lind",
    "tom.baker",
    "anna.nowak",
    "noor.ali",
    "elif.kaya",
    "jan.novak",
    "rosa.garcia",
    "kofi.mensah",
    "lars.olsen",
    "ines.costa",
]
_NAMED = {
    "projects": ("name", "parent"),
    "project_members": ("project", "user", "added_by"),
    "sessions": ("project", "user", "reason_message"),
    "session_history": ("by",),
    "runs": ("project", "user"),
    "folders": ("owner", "created_by", "trashed_by"),
    "folder_shares": ("user", "invited_by"),
    "storage_quotas": ("owner",),
    "images": ("owner", "projects"),
    "image_requests": ("user", "project"),
    "audit": ("project", "subject", "by"),
}
"""Columns that name people and projects, some within a longer text."""
_FILES = {
    "lecture-04/attention.ipynb": 48_000,
    "lecture-04/slides.pdf": 2_400_000,
    "lecture-05/diffusion.ipynb": 61_000,
    "train.csv": 8_300_000,
    "README.md": 1_900,
    "model.safetensors": 12_000_000,
}


def seed(path: Path) -> None:
    """Make the database at ``path``."""
    database = Database(f"sqlite:///{path}")
    database.upgrade()
    seeding = fill(database, LAB, seed=7)
    database.engine.dispose()
    names = {STUDENT: LEARNS, INSTRUCTOR: TEACHES}
    names |= {old: new for old, (new, _) in _PROJECTS.items()}
    names |= dict(zip(seeding.users, _PEOPLE, strict=True))
    with sqlite3.connect(path) as connection:
        for table, columns in _NAMED.items():
            for column in columns:
                for old, new in names.items():
                    connection.execute(
                        f'UPDATE {table} SET "{column}" = replace("{column}", ?, ?)'
                        f' WHERE "{column}" LIKE ?',
                        (old, new, f"%{old}%"),
                    )
        for name, title in _PROJECTS.values():
            connection.execute("UPDATE projects SET title = ? WHERE name = ?", (title, name))
        connection.execute("UPDATE devices SET problem = ''")
        connection.execute(
            "UPDATE projects SET quota_gpu_milli = 12000 WHERE name IN ('engineering', 'computing')"
        )
        for status, count in (("RUNNING", 2), ("PENDING", 1)):
            connection.execute(
                "UPDATE sessions SET user = ? WHERE id IN (SELECT id FROM sessions"
                " WHERE status = ? ORDER BY project <> ?, gpu_milli = 0 LIMIT ?)",
                (LEARNS, status, COURSE, count),
            )
    connection.close()


def fill_folder(data: Path, folder_id: str) -> None:
    """Files as a course has them."""
    for name, size in _FILES.items():
        file = data / "folders" / folder_id / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\0" * size)
