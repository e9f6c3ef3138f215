"""Fair shares: quota first, then by weight in whole GPUs, nothing lost and nothing invented."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from small_site import project

from hub_ext.scheduling.accounts import Accounts
from hub_ext.scheduling.fair_share import set_fair_shares
from hub_ext.scheduling.model import Project, Resources, Weights


def shares(total: int, *wishes: tuple[Project, int]) -> dict[str, int]:
    """Fair shares in milli-GPU of projects that request so much of a total."""
    accounts = Accounts(p for p, _ in wishes)
    for one, requested in wishes:
        accounts.request(one.name, (requested, 0, 0))
    set_fair_shares(accounts, (total, 0, 0))
    return {name: account.fair_share[0] for name, account in accounts.by_name.items()}


def test_idle_quota_of_one_project_is_shared_by_weight() -> None:
    found = shares(
        8000, (project("a", 2000), 8000), (project("b", 4000), 8000), (project("c", 2000), 0)
    )

    assert found == {"a": 3000, "b": 5000, "c": 0}


def test_weight_zero_gets_its_quota_and_no_more() -> None:
    assert shares(8000, (project("a", 2000, over_quota_weight=0), 8000)) == {"a": 2000}


def test_a_department_divides_only_what_it_got_itself() -> None:
    found = shares(
        8000,
        (project("arts", 2000, over_quota_weight=0), 0),
        (project("music", 4000, parent="arts"), 6000),
        (project("science", 2000, created_order=1), 8000),
    )

    assert found == {"arts": 2000, "music": 4000, "science": 6000}


def test_each_resource_is_divided_by_its_own_weights() -> None:
    quota = Resources(0, 0, 0)
    heavy = Project("a", quota=quota, over_quota_weight=Weights(gpu=3, cpu=1, memory=0))
    light = Project("b", quota=quota, over_quota_weight=Weights(1, 1, 1), created_order=1)
    accounts = Accounts((heavy, light))
    for name in ("a", "b"):
        accounts.request(name, (8000, 8000, 8000))

    set_fair_shares(accounts, (8000, 8000, 8000))

    assert accounts.by_name["a"].fair_share == [6000, 4000, 0]
    assert accounts.by_name["b"].fair_share == [2000, 4000, 8000]


def test_a_resource_without_a_weight_of_its_own_is_divided_by_quota() -> None:
    a = Project("a", quota=Resources(1000, 1000, 1000), over_quota_weight=Weights(gpu=1))
    b = Project(
        "b",
        quota=Resources(3000, 3000, 3000),
        over_quota_weight=Weights(gpu=1, cpu=-1),
        created_order=1,
    )
    accounts = Accounts((a, b))
    for name in ("a", "b"):
        accounts.request(name, (12_000, 12_000, 12_000))

    set_fair_shares(accounts, (12_000, 12_000, 12_000))

    assert accounts.by_name["a"].fair_share == [5000, 3000, 3000]
    assert accounts.by_name["b"].fair_share == [7000, 9000, 9000]


QUOTAS = st.sampled_from((-1, 0, 500, 1000, 2500, 4000))
WISHES = st.lists(
    st.tuples(QUOTAS, st.integers(0, 12_000), st.integers(0, 3), st.integers(0, 2)),
    min_size=1,
    max_size=6,
)


@given(wishes=WISHES, total=st.integers(0, 20).map(lambda g: g * 1000), seed=st.randoms())
@settings(max_examples=300, deadline=None)
def test_shares_respect_quota_request_and_total_in_any_order(
    wishes: list[tuple[int, int, int, int]], total: int, seed: object
) -> None:
    projects = [
        (project(f"p{i}", q, over_quota_weight=w, priority=p, created_order=i), requested)
        for i, (q, requested, w, p) in enumerate(wishes)
    ]
    found = shares(total, *projects)
    shuffled = list(projects)
    seed.shuffle(shuffled)  # type: ignore[attr-defined]

    by_right = {
        p.name: min(total if p.quota.gpu_milli == -1 else p.quota.gpu_milli, requested)
        for p, requested in projects
    }
    assert shares(total, *shuffled) == found
    assert all(found[name] >= least for name, least in by_right.items())
    assert all(found[p.name] < requested + 1000 for p, requested in projects if requested)
    assert sum(found.values()) <= max(total, sum(by_right.values()))
