"""What is refused at once, and with which words."""

from __future__ import annotations

import pytest

from hub_ext.errors import ApportionError, BadValue, Conflict, OverLimit
from hub_ext.nodes import inventory
from hub_ext.sessions.launch import read_launch_request
from hub_ext.sessions.submission import Submissions, Submitter
from hub_ext.sessions.views import forecast_json
from hub_ext.site import Site


@pytest.fixture
async def desk(site: Site) -> Submissions:
    await inventory.refresh(site)
    return Submissions(site)


async def test_a_request_without_a_word_gets_the_first_preset(desk: Submissions) -> None:
    row = desk.submit(Submitter("ann"), read_launch_request({}), server_name="")[0]
    assert (row.preset, row.gpu_milli, row.cpu_milli) == ("cpu", 0, 1000)


async def test_numbers_win_over_the_preset(desk: Submissions) -> None:
    request = read_launch_request({"preset": "gpu", "fgpu": "0.3", "memory_mib": 3000})
    row = desk.submit(Submitter("ann"), request)[0]
    assert (row.gpu_milli, row.cpu_milli, row.memory_mib) == (300, 2000, 3000)


async def test_count_makes_numbered_sessions_each_on_its_own(desk: Submissions) -> None:
    request = read_launch_request({"name": "Lab work", "count": 3})
    rows = desk.submit(Submitter("ann"), request)
    assert [row.name for row in rows] == ["Lab work-1", "Lab work-2", "Lab work-3"]
    assert [row.server_name for row in rows] == ["lab-work-1", "lab-work-2", "lab-work-3"]


async def test_long_and_foreign_names_do_not_collide(desk: Submissions) -> None:
    long = {"name": "Training on the diabetes data set week 1", "count": 3}
    rows = desk.submit(Submitter("ann"), read_launch_request(long))
    for name in ("数据", "图像"):
        rows += desk.submit(Submitter("ann"), read_launch_request({"name": name}))
    servers = [row.server_name for row in rows]
    assert len(set(servers)) == 5
    assert all(len(server) <= 30 for server in servers)


async def test_of_a_batch_with_one_name_in_use_nothing_is_stored(
    desk: Submissions, site: Site
) -> None:
    desk.submit(Submitter("ann"), read_launch_request({"name": "lab-2"}))
    with pytest.raises(Conflict, match="already have a session 'lab-2'"):
        desk.submit(Submitter("ann"), read_launch_request({"name": "lab", "count": 3}))
    assert len(site.store.find(user="ann")) == 1


async def test_a_restart_of_a_batch_member_asks_for_one(desk: Submissions) -> None:
    request = read_launch_request({"name": "lab", "count": 2, "new_folders": ["data"]})
    options = desk.submit(Submitter("ann"), request)[0].options
    assert "count" not in options
    assert options["folders"] == [{"name": "data"}]


@pytest.mark.parametrize(
    ("values", "field", "words"),
    [
        ({"fgpu": 0.35}, "fgpu", "use 0.3 or 0.4"),
        ({"fgpu": -1}, "fgpu", "zero or more"),
        ({"fgpu": "lots"}, "fgpu", "not a number"),
        ({"fgpu": "nan"}, "fgpu", "zero or more"),
        ({"fgpu": "1e-99999999"}, "fgpu", "decimals"),
        ({"fgpu": "9" * 33}, "fgpu", "more than any site"),
        ({"preset": "a\x00"}, "preset", "pattern"),
        ({"name": "a\u200bb"}, "name", "letters, digits"),
        ({"fgpu": 2.1}, "fgpu", "the largest node has 2 fGPU"),
        ({"cpu": 0}, "cpu", "greater than 0"),
        ({"cpu": 500}, "cpu", "the largest node has 256"),
        ({"memory_mib": 10**6}, "memory_mib", "the largest node has"),
        ({"image": "nope"}, "image", "no image 'nope'"),
        ({"preset": "nope"}, "preset", "no preset 'nope'"),
        ({"project": "nope"}, "project", "no project 'nope'"),
        ({"folders": [{"name": "nope"}]}, "folders", "no folder 'nope'"),
        ({"new_folders": ["../etc"]}, "new_folders", "cannot be a folder's name"),
        (
            {"new_folders": ["a"], "folders": [{"name": "a", "target": "/etc"}]},
            "folders",
            "is no place",
        ),
        ({"count": 0}, "count", "greater than or equal to 1"),
        ({"count": 51}, "count", "less than or equal to 50"),
        ({"name": "a\x00b"}, "name", "letters, digits"),
        ({"colour": "red"}, "colour", "There is no field 'colour'"),
    ],
)
async def test_a_bad_value_names_its_field_and_stores_nothing(
    desk: Submissions, site: Site, values: dict[str, object], field: str, words: str
) -> None:
    with pytest.raises(ApportionError, match=words) as caught:
        desk.submit(Submitter("ann"), read_launch_request(values))
    assert isinstance(caught.value, BadValue | OverLimit)
    assert caught.value.field == field
    assert site.store.find(user="ann") == []


@pytest.mark.parametrize(
    "values",
    [
        {"folders": [{"name": "nope"}]},
        {"new_folders": [".jupyter"]},
        {"new_folders": ["a"], "folders": [{"name": "a", "target": "../x"}]},
    ],
)
async def test_the_dry_run_refuses_what_a_submission_refuses(
    desk: Submissions, site: Site, values: dict[str, object]
) -> None:
    request = read_launch_request(values)
    with pytest.raises(BadValue) as forecast:
        desk.forecast(Submitter("ann"), request)
    with pytest.raises(BadValue) as submission:
        desk.submit(Submitter("ann"), request)
    assert forecast.value.message == submission.value.message


async def test_the_dry_run_of_a_batch_tells_what_becomes_of_all(desk: Submissions) -> None:
    answer = forecast_json(
        desk.forecast(Submitter("ann"), read_launch_request({"fgpu": 1, "count": 3}))
    )
    assert answer["sentence"].startswith(
        "2 of 3 start now; the last is about 1st in line, in about"
    )
    assert answer["estimate_s"] > 0


async def test_a_repeated_request_must_ask_for_the_same(desk: Submissions) -> None:
    same = {"fgpu": 0.5, "new_folders": ["data"]}
    row = desk.submit(Submitter("ann"), read_launch_request(same), server_name="")[0]
    desk.check_same(row, read_launch_request(same))
    with pytest.raises(Conflict, match="waits already"):
        desk.check_same(row, read_launch_request({"fgpu": 1}))


async def test_waiting_sessions_of_one_user_have_a_limit(desk: Submissions) -> None:
    for _ in range(2):
        desk.submit(Submitter("ann"), read_launch_request({"count": 50}))
    with pytest.raises(OverLimit, match="100 of your sessions wait already"):
        desk.submit(Submitter("ann"), read_launch_request({}))
    assert desk.submit(Submitter("bob"), read_launch_request({}))


async def test_dot_folders_are_mounted_by_themselves(desk: Submissions, site: Site) -> None:
    with site.database.transaction() as db:
        site.folders.create(db, "ann", ".local")
        site.folders.create(db, "ann", "data")
    row = desk.submit(Submitter("ann"), read_launch_request({}))[0]
    assert [mount["target"] for mount in row.mounts] == ["/home/work", "/home/work/.local"]


async def test_the_home_is_the_same_in_every_session(desk: Submissions) -> None:
    first, second = desk.submit(Submitter("ann"), read_launch_request({"count": 2}))
    other = desk.submit(Submitter("bob"), read_launch_request({}))[0]
    assert first.mounts[0]["id"] == second.mounts[0]["id"]
    assert other.mounts[0]["id"] != first.mounts[0]["id"]
