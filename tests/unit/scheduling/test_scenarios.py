"""The field's own cases: each ends as published, in whatever order it is listed."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from hub_ext.scheduling.simulation.play import play
from hub_ext.scheduling.simulation.scenario import read_scenario

FILE = Path(__file__).resolve().parents[4] / "shared" / "scenarios" / "scheduling.json"
SCENARIOS: list[dict[str, Any]] = json.loads(FILE.read_text()) if FILE.exists() else []

if not SCENARIOS:
    pytest.skip(f"no scenarios at {FILE}", allow_module_level=True)


def differences(scenario: dict[str, Any], result: dict[str, Any]) -> list[str]:
    """What did not end as expected."""
    found = []
    for expected in scenario["expect"]:
        job = result["jobs"][expected["job"]]
        if job["state"] != expected["state"]:
            found.append(f"{expected['job']}: {job['state']}, not {expected['state']}")
        elif "node" in expected and not _same_nodes(job["node"], expected["node"]):
            found.append(f"{expected['job']}: on {job['node']}, not {expected['node']}")
    for key in ("fair_share", "allocated"):
        for name, gpus in scenario.get(f"expect_{key}", {}).items():
            if result[key][name] != pytest.approx(gpus):
                found.append(f"{key} of {name}: {result[key][name]}, not {gpus}")
    if not result.get("settled", True):
        found.append("it never settles")
    return found


def _same_nodes(node: Any, expected: Any) -> bool:
    if isinstance(node, list) and isinstance(expected, list):
        return sorted(node) == sorted(expected)
    return bool(node == expected)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[s["id"] for s in SCENARIOS])
def test_a_scenario_ends_as_published(scenario: dict[str, Any]) -> None:
    assert differences(scenario, play(read_scenario(scenario))) == []


@pytest.mark.parametrize("seed", range(12))
def test_the_order_in_which_things_are_listed_does_not_matter(seed: int) -> None:
    chance = random.Random(seed)
    for scenario in SCENARIOS:
        shuffled = json.loads(json.dumps(scenario))
        for key in ("jobs", "projects", "nodes"):
            chance.shuffle(shuffled[key])
        assert differences(scenario, play(read_scenario(shuffled), seed=seed)) == [], scenario["id"]


def test_packing_ends_every_scenario_as_published_too() -> None:
    for scenario in SCENARIOS:
        assert differences(scenario, play(read_scenario(scenario), "pack")) == [], scenario["id"]
