"""Local processes: for one person on one machine, and only there."""

from __future__ import annotations

from pathlib import Path

import pytest
from jupyterhub.spawner import SpawnException
from test_spawner_grant import grant_values

from spawner.grant import Grant
from spawner.process import home_of, link_folders, refuse_unsafe


def test_an_ordinary_user_on_loopback_may_start() -> None:
    refuse_unsafe(1000, ["127.0.0.1", "localhost", "::1", "[::1]", "127.1.2.3"])


def test_root_may_not() -> None:
    with pytest.raises(SpawnException, match="not started by root"):
        refuse_unsafe(0, ["127.0.0.1"])


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "192.0.2.1", "hub.example.org", "*"])
def test_nothing_but_loopback_is_served(address: str) -> None:
    with pytest.raises(SpawnException, match="this machine only"):
        refuse_unsafe(1000, ["127.0.0.1", address])


def granted(tmp_path: Path, **folders: str) -> Grant:
    mounts = [{"source": str(tmp_path / "home"), "target": "/home/work"}]
    for name, target in folders.items():
        (tmp_path / name).mkdir()
        mounts.append({"source": str(tmp_path / name), "target": target})
    return Grant.model_validate(grant_values(mounts=mounts))


def test_folders_appear_as_links_in_the_home(tmp_path: Path) -> None:
    grant = granted(tmp_path, data="/home/work/data", deep="/home/work/a/b")
    home = Path(home_of(grant))
    link_folders(home, grant)

    assert (home / "data").resolve() == tmp_path / "data"
    assert (home / "a" / "b").resolve() == tmp_path / "deep"


def test_a_link_of_an_earlier_session_follows_the_new_grant(tmp_path: Path) -> None:
    grant = granted(tmp_path, data="/home/work/data")
    home = Path(home_of(grant))
    home.mkdir()
    (home / "data").symlink_to("/nowhere")
    link_folders(home, grant)

    assert (home / "data").resolve() == tmp_path / "data"


def test_a_file_of_the_user_is_never_replaced(tmp_path: Path) -> None:
    grant = granted(tmp_path, data="/home/work/data")
    home = Path(home_of(grant))
    home.mkdir()
    (home / "data").write_text("mine")
    link_folders(home, grant)

    assert (home / "data").read_text() == "mine"


def test_a_grant_without_a_home_is_refused() -> None:
    with pytest.raises(SpawnException, match="no home folder"):
        home_of(Grant.model_validate(grant_values()))
