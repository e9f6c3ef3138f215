"""The published story of four teams on two nodes of eight GPUs, with real sessions.

NetApp's demonstration of Run:ai, sections 4.8 to 4.10 (docs of netapp-solutions,
osrunai_testing_details): over-quota use of idle GPUs, reclaim for the team that is due
them, everybody at quota, and spare GPUs divided by quota.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from hub_ext.doctor.bookings import bookings
from hub_ext.doctor.finding import Deployment, Level
from tests.e2e.conftest import BASE
from tests.e2e.lab import PROJECT, SERVICE, Lab, Person, until

QUOTAS = {"team-a": 4, "team-b": 2, "team-c": 2, "team-d": 8}
WARNING_S = 6

FIRST = [
    ("a-1-1-jupyter", 1, False),
    ("a-1-g", 1, True),
    ("a-2-gg", 2, True),
    ("b-1-g06", 0.6, False),
    ("b-2-g04", 0.4, False),
    ("b-3-g", 1, True),
    ("b-4-gg", 2, True),
    ("c-1-g05", 0.5, False),
    ("c-2-g03", 0.3, False),
    ("c-3-g02", 0.2, False),
    ("c-4-gg", 2, True),
    ("c-5-g", 1, True),
    ("d-1-gggg", 4, True),
]
"""Name, fGPU, may be reclaimed; the first letter is the team's."""


class Teams:
    """Four projects with one member each, and their sessions by name."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.people: dict[str, Person] = {}
        self.ids: dict[str, str] = {}
        for team, quota in QUOTAS.items():
            new = {"name": team, "quota": {"fgpu": quota}, "weight": {"fgpu": quota}}
            answer = lab.admin.api.post("/projects", json=new)
            assert answer.status_code == 201, answer.text
            person = self.people[team] = lab.person(f"{team}-member")
            members = lab.admin.api.post(f"/projects/{team}/members", json={"user": person.name})
            assert members.status_code == 201, members.text

    def owner(self, name: str) -> Person:
        """Whose session this is."""
        return self.people[f"team-{name[0]}"]

    def submit(self, name: str, fgpu: float, reclaimable: bool) -> None:
        """Into the team's project, with next to no CPU and memory."""
        (session,) = self.owner(name).submit(
            name=name,
            project=f"team-{name[0]}",
            image=BASE,
            fgpu=fgpu,
            cpu=0.2,
            memory_mib=512,
            preemptible=reclaimable,
        )
        self.ids[name] = session["id"]

    def session(self, name: str) -> dict[str, Any]:
        """As it is now."""
        return self.owner(name).session(self.ids[name])

    def history(self, name: str) -> list[dict[str, Any]]:
        """Its story."""
        answer = self.owner(name).api.get(f"/sessions/{self.ids[name]}/history")
        return list(answer.json()["history"])

    def in_use(self) -> dict[str, float]:
        """fGPU that each team holds."""
        projects = self.lab.admin.api.get("/projects").json()["projects"]
        return {p["name"]: p["use"]["fgpu"] for p in projects if p["name"] in QUOTAS}

    def all_run(self, names: list[str]) -> None:
        """Wait until they run, for as long as ten sessions take to start."""
        for name in names:
            self.owner(name).running(self.ids[name], limit_s=180)


@pytest.fixture(scope="module")
def lab(make_lab: Callable[..., Lab], tmp_path_factory: pytest.TempPathFactory) -> Lab:
    config = tmp_path_factory.mktemp("config") / "jupyterhub_config.py"
    text = (PROJECT / "jupyterhub_config.py").read_text()
    config.write_text(f"{text}\nc.ApportionService.reclaim_warning_s = {WARNING_S}\n")
    return make_lab("--simulate-gpus", "8x16GiB / 8x16GiB", config=config)


@pytest.fixture(scope="module")
def teams(lab: Lab) -> Iterator[Teams]:
    teams = Teams(lab)
    yield teams
    for person in teams.people.values():
        person.stop_all()
    lab.books_balance()


def stopped_for_others(steps: list[dict[str, Any]]) -> list[str]:
    """The part of a story that tells of being reclaimed."""
    told = {"reclaim", "requeued"}
    return [f"{step['from']}>{step['to']}" for step in steps if step["code"] in told]


def no_rule_is_broken(lab: Lab) -> None:
    """What ``apportion doctor`` says of the bookings."""
    database = f"sqlite:///{lab.data / 'apportion.sqlite'}"
    for finding in bookings(Deployment(lab.data, None, {}, database)):
        assert finding.level is Level.OK, finding


def test_4_8_idle_gpus_are_used_beyond_the_quotas(teams: Teams, lab: Lab) -> None:
    for name, fgpu, reclaimable in FIRST:
        teams.submit(name, fgpu, reclaimable)
        until(lambda name=name: teams.session(name)["status"] != "PENDING", what=f"{name} placed")
    teams.all_run([name for name, *_ in FIRST])
    assert teams.in_use() == {"team-a": 4, "team-b": 4, "team-c": 4, "team-d": 4}
    assert {teams.session(name)["node"] for name, *_ in FIRST} == {"local-1", "local-2"}
    no_rule_is_broken(lab)


def test_4_9_a_team_takes_back_its_share_after_a_warning(
    teams: Teams,
    lab: Lab,
    window: Callable[[Person], Page],
    shot: Callable[[Page, str], None],
) -> None:
    page = window(teams.people["team-b"])
    page.goto(lab.url + SERVICE + "/")
    expect(page.locator("#live-sessions tbody tr")).to_have_count(4)
    teams.submit("d-2-gg", 2, True)
    warning = page.locator("[data-notice=reclaim]")
    teams.submit("d-3-gg", 2, True)
    expect(warning).to_contain_text("Project team-d takes back", timeout=15_000)
    expect(warning).to_contain_text("Save your work")
    shot(page, "1-warned")
    teams.all_run(["d-2-gg", "d-3-gg"])
    for name in ("b-4-gg", "c-4-gg"):
        session = teams.session(name)
        assert session["status"] == "PENDING", session
        assert session["position"] is not None
        steps = teams.history(name)
        assert stopped_for_others(steps) == [
            "RUNNING>RUNNING",
            "RUNNING>PREEMPTED",
            "PREEMPTED>PENDING",
        ]
        warned, stopped, _back = [s for s in steps if s["code"] in {"reclaim", "requeued"}]
        assert stopped["at"] - warned["at"] >= WARNING_S - 1
    assert teams.in_use() == {"team-a": 4, "team-b": 2, "team-c": 2, "team-d": 8}
    expect(page.locator("tr[data-status=PENDING]")).to_have_count(1, timeout=10_000)
    shot(page, "2-back-in-the-queue")
    no_rule_is_broken(lab)


def change_priority(page: Page, priority: str) -> None:
    """By the form of a waiting session's page."""
    page.get_by_label("Priority").fill(priority)
    page.keyboard.press("Enter")


def test_4_10_at_quota_all_wait_and_then_spare_gpus_go_by_quota(
    teams: Teams,
    lab: Lab,
    window: Callable[[Person], Page],
    shot: Callable[[Page, str], None],
) -> None:
    more = ("a-3-gg", "a-4-gg", "b-5-gg", "c-6-gg")
    for name in more:
        teams.submit(name, 2, True)
    waiting = [*more, "b-4-gg", "c-4-gg"]
    until(
        lambda: all(teams.session(name)["reason"]["code"] != "new" for name in waiting),
        what="each is told why it waits",
    )
    for name in waiting:
        session = teams.session(name)
        assert session["status"] == "PENDING"
        assert session["reason"]["message"]
    assert teams.in_use() == {"team-a": 4, "team-b": 2, "team-c": 2, "team-d": 8}

    page = window(teams.people["team-a"])
    page.goto(f"{lab.url}{SERVICE}/sessions/{teams.ids['a-3-gg']}")
    change_priority(page, "50")
    expect(page.locator("#problem")).to_contain_text("at most 0")
    change_priority(page, "-5")
    expect(page.locator("#history")).to_contain_text("Changed priority from 0 to -5.")
    shot(page, "1-priority")
    until(
        lambda: teams.session("a-4-gg")["position"] < teams.session("a-3-gg")["position"],
        what="the order in line follows the priority",
    )

    teams.people["team-d"].stop_all()
    teams.all_run(["a-3-gg", "a-4-gg", "b-4-gg", "c-4-gg"])
    assert teams.in_use() == {"team-a": 8, "team-b": 4, "team-c": 4, "team-d": 0}
    assert [teams.session(name)["status"] for name in ("b-5-gg", "c-6-gg")] == ["PENDING"] * 2
    no_rule_is_broken(lab)
