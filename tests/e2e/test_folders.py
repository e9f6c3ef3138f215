"""The home folder and named folders of a user, in real sessions."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.e2e.conftest import BASE
from tests.e2e.image_mirror import make_wheel
from tests.e2e.lab import Lab, Person, until

PIP = "/opt/apportion/bin/pip install --disable-pip-version-check"
SMALL = {"cpu": 0.5, "memory_mib": 512, "image": BASE}


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab]) -> Lab:
    return make_lab("--simulate-gpus", "1x8GiB")


def run(person: Person, **request: Any) -> str:
    (session,) = person.submit(**SMALL, **request)
    return str(person.running(session["id"])["id"])


def test_a_folder_made_in_the_form_is_mounted_and_kept(
    lab: Lab, window: Callable[[Person], Page]
) -> None:
    student = lab.person("student")
    page = window(student)
    page.goto(f"{lab.url}/hub/spawn")
    page.wait_for_selector("#launch-form")
    page.fill("[name=new_folder]", "data")
    page.click("form#spawn_form [type=submit]")
    page.wait_for_url("**/user/student/**", timeout=60_000)
    (session,) = student.live()
    student.running(session["id"])
    lab.run_in(session["id"], "sh", "-c", "echo kept > data/note; echo home > here")
    student.stop_all()

    again = run(student, name="again", folders=[{"name": "data", "mode": "ro"}])
    assert lab.run_in(again, "sh", "-c", "cat data/note here") == "kept\nhome"
    refused = lab.run_in(again, "sh", "-c", "touch data/x 2>&1 || true")
    assert "Read-only file system" in refused
    student.stop_all()


def test_an_alias_says_where_a_folder_is_mounted(lab: Lab) -> None:
    student = lab.person("alias")
    assert student.api.post("/folders", json={"name": "set-1"}).status_code == 201
    session = run(student, name="alias", folders=[{"name": "set-1", "target": "input/train"}])
    lab.run_in(session, "sh", "-c", "touch input/train/x")
    seen = student.session(session)["folders"]
    assert {"name": "set-1", "target": "/home/work/input/train", "mode": "rw"} in seen
    student.stop_all()


def test_a_dot_folder_keeps_what_pip_installs_for_the_user(lab: Lab) -> None:
    student = lab.person("pip")
    assert student.api.post("/folders", json={"name": ".local"}).status_code == 201
    first = run(student, name="first")
    script = "mkdir -p .local/bin && printf '#!/bin/sh\necho mine\n' > .local/bin/mine"
    lab.run_in(first, "sh", "-c", script + " && chmod +x .local/bin/mine")
    student.stop_all()
    second = run(student, name="second")
    assert lab.run_in(second, "sh", "-c", ".local/bin/mine") == "mine"
    student.stop_all()


def test_what_pip_installs_for_the_user_is_there_in_another_image_version(
    lab: Lab, tmp_path: Path
) -> None:
    student = lab.person("versions")
    wheel = make_wheel(tmp_path)
    first = run(student, name="base")
    text = base64.b64encode(wheel.read_bytes()).decode()
    lab.run_in(first, "sh", "-c", f"echo {text} | base64 -d > {wheel.name}")
    lab.run_in(first, "sh", "-c", f"{PIP} --user --no-index {wheel.name}")
    student.stop_all()
    for image in ("apportion/data-science:sklearn-1.8", "apportion/data-science:sklearn-1.9"):
        (session,) = student.submit(**{**SMALL, "image": image, "memory_mib": 1024})
        student.running(session["id"])
        script = "import private_thing; print(private_thing.ANSWER)"
        assert lab.run_in(session["id"], "/opt/apportion/bin/python", "-c", script) == "42"
        student.stop_all()


def test_a_project_folder_in_three_sessions_of_two_projects(lab: Lab) -> None:
    """Its instructor writes, its student reads, an invited stranger only while he is invited."""
    admin, tom, ann, eve = lab.admin, *(lab.person(name) for name in ("tom", "amy", "eve"))
    assert admin.api.post("/projects", json={"name": "ml101"}).status_code == 201
    for person, role in ((tom, "instructor"), (ann, "member")):
        member = {"user": person.name, "role": role}
        assert admin.api.post("/projects/ml101/members", json=member).status_code == 201
    made = tom.api.post("/folders", json={"name": "material", "project": "ml101"})
    assert made.status_code == 201, made.text
    folder = made.json()["id"]
    mounted = {"folders": [{"name": "material"}]}

    teaching = run(tom, name="teaching", project="ml101", **mounted)
    learning = run(ann, name="learning", project="ml101", **mounted)
    lab.run_in(teaching, "sh", "-c", "echo lesson > material/one")
    assert lab.run_in(learning, "cat", "material/one") == "lesson"
    refused = lab.run_in(learning, "sh", "-c", "echo mine > material/one 2>&1 || true")
    assert "Read-only file system" in refused

    unknown = eve.api.post("/sessions", json={**SMALL, **mounted})
    assert (unknown.status_code, unknown.json()["error"]["field"]) == (400, "folders")
    assert tom.api.post(f"/folders/{folder}/shares", json={"users": ["eve"]}).status_code == 201
    (invitation,) = eve.api.get("/invitations").json()["invitations"]
    still_unknown = eve.api.post("/sessions", json={**SMALL, **mounted})
    assert still_unknown.json() == unknown.json()
    accepted = eve.api.post(f"/invitations/{invitation['id']}/accept")
    assert accepted.status_code == 200, accepted.text
    visiting = run(eve, name="visiting", **mounted)
    assert lab.run_in(visiting, "cat", "material/one") == "lesson"

    assert eve.api.post(f"/invitations/{invitation['id']}/leave").status_code == 200
    eve.stop_all()
    assert eve.api.post("/sessions", json={**SMALL, **mounted}).json() == unknown.json()
    assert folder not in [each["id"] for each in eve.api.get("/folders").json()["folders"]]
    for person in (tom, ann):
        person.stop_all()


def test_folders_of_others_are_unknown(lab: Lab) -> None:
    ann, bob = lab.person("ann"), lab.person("bob")
    assert ann.api.post("/folders", json={"name": "secret"}).status_code == 201
    assert bob.api.get("/folders").json()["folders"] == []
    theirs = bob.api.post("/sessions", json={**SMALL, "folders": [{"name": "secret"}]})
    missing = bob.api.post("/sessions", json={**SMALL, "folders": [{"name": "nothing"}]})
    assert theirs.status_code == missing.status_code == 400
    assert (
        theirs.json()["error"]["message"].replace("secret", "nothing")
        == (missing.json()["error"]["message"])
    )


def test_two_sessions_of_one_user_share_the_home(lab: Lab) -> None:
    student = lab.person("twice")
    first, second = run(student, name="one"), run(student, name="two")
    lab.run_in(first, "sh", "-c", "echo hello > shared")
    until(lambda: lab.run_in(second, "sh", "-c", "cat shared 2>/dev/null || true") == "hello")
    student.stop_all()


@pytest.mark.parametrize(
    "name",
    [
        "",
        "..",
        "../x",
        "a/b",
        "/etc",
        "a\x00b",
        "a\nb",
        "x" * 65,
        "\uff45tc",
        "{0}",
        "a b",
        "~",
        ".",
    ],
)
def test_a_hostile_folder_name_is_refused_clearly(lab: Lab, name: str) -> None:
    answer = lab.person("hostile").api.post("/folders", json={"name": name})
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == "name"
