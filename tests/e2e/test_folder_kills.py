"""kill -9 in copies, trash, deletion and uploads: nothing is lost, nothing is left half."""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.lab import Lab, Person, until
from tests.e2e.test_restarts import kill

MIB = 1024 * 1024
FILES = 3000
PIECE = 8 * MIB
"""As the page sends them."""


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


def made(lab: Lab, person: Person, name: str, files: int = 0, large_mib: int = 0) -> str:
    """A folder with many small files and a large one, as a session would have left them."""
    answer = person.api.post("/folders", json={"name": name})
    assert answer.status_code == 201, answer.text
    path = storage(lab) / answer.json()["id"]
    for number in range(files):
        inner = path / f"d{number // 100}"
        inner.mkdir(exist_ok=True)
        (inner / f"f{number}").write_text(str(number))
    if large_mib:
        with (path / "large").open("wb") as file:
            for _ in range(large_mib):
                file.write(os.urandom(MIB))
    return str(answer.json()["id"])


def storage(lab: Lab) -> Path:
    return lab.data / "folders"


def names(lab: Lab) -> set[str]:
    """At the top of the storage."""
    return set(os.listdir(storage(lab)))


def content(folder: Path) -> dict[str, str]:
    """Every file of it, by its hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def seen(person: Person, folder: str) -> dict[str, Any]:
    """A folder as its owner sees it; {} when there is none."""
    answer = person.api.get(f"/folders/{folder}")
    return dict(answer.json()) if answer.status_code == 200 else {}


def job_of(person: Person, folder: str) -> dict[str, Any]:
    return dict(person.api.get(f"/folders/{folder}/jobs").json()["jobs"][0])


def test_a_copy_that_is_killed_is_whole_afterwards(lab: Lab) -> None:
    ann = lab.person("ann")
    source = made(lab, ann, "data", FILES, large_mib=300)
    begun = ann.api.post(f"/folders/{source}/clone", json={"name": "copy"})
    assert begun.status_code == 202, begun.text
    copy = str(begun.json()["folder"]["id"])
    half = storage(lab) / f".clone-{copy}"
    until(lambda: half.exists() and any(half.iterdir()), what="the copy has begun")
    kill(lab, "service")
    assert seen(ann, copy)["state"] in {"cloning", "ready"}
    until(lambda: job_of(ann, copy)["state"] != "running", limit_s=180, what="it has ended")
    assert job_of(ann, copy)["state"] == "done"
    assert content(storage(lab) / copy) == content(storage(lab) / source)
    until(lambda: not any(name.startswith(".") and copy in name for name in names(lab)))


def test_progress_moves_and_the_service_answers_while_ten_thousand_files_are_copied(
    lab: Lab,
) -> None:
    ann = lab.person("ann")
    source, other = made(lab, ann, "many", 10_000), made(lab, ann, "small", 10)
    begun = ann.api.post(f"/folders/{source}/clone", json={"name": "many-2"})
    copy = str(begun.json()["folder"]["id"])
    told: list[int] = []

    def ended() -> bool:
        listed = ann.api.get(f"/folders/{other}/files")
        assert len(listed.json()["entries"]) == 1
        job = job_of(ann, copy)
        told.append(job["files_done"])
        return bool(job["state"] != "running")

    until(ended, limit_s=180, what="the copy is done")
    assert job_of(ann, copy)["state"] == "done"
    assert told == sorted(told)
    assert len(set(told)) >= 2
    assert told[-1] == 10_000
    shutil.rmtree(storage(lab) / source)


def test_a_folder_whose_trash_is_killed_is_whole_in_or_out_of_it(lab: Lab) -> None:
    ann = lab.person("ann")
    folder = made(lab, ann, "old", 200)
    before = content(storage(lab) / folder)

    def trash() -> None:
        with suppress(httpx.HTTPError):
            ann.api.post(f"/folders/{folder}/trash")

    asking = threading.Thread(target=trash)
    asking.start()
    kill(lab, "service")
    asking.join()
    assert seen(ann, folder)["state"] in {"ready", "trash"}
    assert content(storage(lab) / folder) == before
    if seen(ann, folder)["state"] == "ready":
        assert ann.api.post(f"/folders/{folder}/trash").status_code == 200
    assert ann.api.post(f"/folders/{folder}/restore").status_code == 200
    assert content(storage(lab) / folder) == before


def test_a_deletion_that_is_killed_goes_on(lab: Lab) -> None:
    ann = lab.person("ann")
    folder, kept = made(lab, ann, "gone", FILES), made(lab, ann, "kept", 10)
    assert ann.api.post(f"/folders/{folder}/trash").status_code == 200
    purge = ann.api.request("DELETE", f"/folders/{folder}", json={"name": "gone"})
    assert purge.status_code == 202, purge.text
    kill(lab, "service")
    until(lambda: seen(ann, folder) == {}, limit_s=120, what="the folder is gone")
    until(lambda: not any(folder in name for name in names(lab)), what="and its files")
    assert len(content(storage(lab) / kept)) == 10


def test_an_upload_that_is_killed_goes_on_where_it_was(lab: Lab) -> None:
    ann = lab.person("ann")
    folder = made(lab, ann, "inbox")
    file = os.urandom(6 * PIECE)
    begun = ann.api.post(f"/folders/{folder}/uploads", json={"path": "big", "size": len(file)})
    upload = str(begun.json()["id"])
    for number in range(3):
        append(ann, upload, file, number * PIECE)
    sending = threading.Thread(target=append_if_it_can, args=(ann, upload, file, 3 * PIECE))
    sending.start()
    kill(lab, "service")
    sending.join()

    offset = int(ann.api.head(f"/uploads/{upload}").headers["Upload-Offset"])
    assert 3 * PIECE <= offset <= 4 * PIECE
    assert os.listdir(storage(lab) / folder) == []
    assert seen_names(ann, folder) == []
    while offset < len(file):
        offset = append(ann, upload, file, offset)
    assert (storage(lab) / folder / "big").read_bytes() == file
    assert seen_names(ann, folder) == ["big"]
    assert f".upload-{upload}" not in names(lab)


def seen_names(person: Person, folder: str) -> list[str]:
    """Of the files in a folder, over the API."""
    entries = person.api.get(f"/folders/{folder}/files").json()["entries"]
    return [entry["name"] for entry in entries]


def append(person: Person, upload: str, file: bytes, offset: int) -> int:
    """One piece; where the next one begins."""
    headers = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
    piece = file[offset : offset + PIECE]
    answer = person.api.patch(f"/uploads/{upload}", content=piece, headers=headers)
    assert answer.status_code == 204, answer.text
    return int(answer.headers["Upload-Offset"])


def append_if_it_can(person: Person, upload: str, file: bytes, offset: int) -> None:
    with suppress(httpx.HTTPError, AssertionError):
        append(person, upload, file, offset)
