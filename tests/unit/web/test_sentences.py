"""What scheduler, store and refusals say in English is read in Japanese."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from docs.spoken_sentences import ROOT, spoken
from hub_ext.errors import BadValue
from hub_ext.folders.quota import Room
from hub_ext.projects import held, shares
from hub_ext.scheduling import amounts, model, trial
from hub_ext.scheduling.model import Reason
from hub_ext.scheduling.reasons import Reasons
from hub_ext.scheduling.simulation.play import play
from hub_ext.scheduling.simulation.scenario import read_scenario
from hub_ext.sessions import culler, endings, views
from hub_ext.sessions.launch import bad_value, read_launch_request
from hub_ext.web import sentences, translation
from hub_ext.web.sentence_shapes import PHRASES, SENTENCES, WORDS
from hub_ext.web.sentences import compiled, sentence

SCENARIOS = ROOT.parent / "shared" / "scenarios" / "scheduling.json"
ENGLISH = re.compile(r"\b(?:the|is|are|of|needs|project|session|at|it|and|for|in)\b", re.IGNORECASE)
"""Words that no translation has, and no name of these tests."""


@pytest.fixture(autouse=True)
def japanese() -> Iterator[None]:
    with translation.written_in("ja"):
        yield


def read(text: str) -> str:
    """The sentence in Japanese; an assertion that nothing of it stays English."""
    shown = sentence(text)
    assert not ENGLISH.search(shown), f"{text!r} is read as {shown!r}"
    assert re.search(r"[ぁ-んァ-ヶ一-龠]", shown), f"{text!r} is read as {shown!r}"
    return shown


def test_all_reasons_of_the_field_s_scenarios_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    if not SCENARIOS.exists():
        pytest.skip(f"no scenarios at {SCENARIOS}")
    said: set[str] = set()

    def note(reason: Reason) -> Reason:
        said.update(text for text in (reason.message, reason.help) if text)
        return reason

    of, why = Reasons.of, trial._why
    monkeypatch.setattr(Reasons, "of", lambda self, job: note(of(self, job)))
    monkeypatch.setattr(trial, "_why", lambda *args: note(why(*args)))
    scenarios = json.loads(SCENARIOS.read_text())
    for scenario in scenarios:
        play(read_scenario(scenario))

    assert len(scenarios) == 125
    assert len(said) > 20
    for text in said:
        read(text)


def test_all_reasons_of_the_scheduler_s_own_tests_are_read(tmp_path: Path) -> None:
    file = tmp_path / "reasons.json"
    tests = [f"tests/unit/scheduling/test_{name}.py" for name in ("reasons", "order_and_rules")]
    here = str(Path(__file__).parent)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "reason_recorder", "-p", "no:xdist", *tests],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": here, "REASONS_FILE": str(file)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout
    said = json.loads(file.read_text())
    own = {"You run 2 of 2.", "Project ml101 is open from 9:00 to 17:00."}  # the tests' own words

    assert len(said) > 15
    for text in set(said) - own:
        read(text)


def project(**values: Any) -> Any:
    """As much of a project's row as sentences need."""
    known: dict[str, Any] = {
        "name": "ml101",
        "archived_at": None,
        "valid_from": None,
        "valid_until": None,
        "hours": None,
        "budget_gpu_h": None,
        "stops_at_close": True,
    }
    return SimpleNamespace(**{**known, **values})


DAY = 86400.0
NIGHT = [{"days": ["mon"], "from": "08:00", "until": "18:00"}]


def closed() -> list[str]:
    now = 1_800_000_000.0
    rows = [
        project(archived_at=1.0),
        project(valid_from=now + DAY),
        project(valid_until=now - DAY),
        project(hours=NIGHT),
    ]
    return [shares.closed_sentence(row, now, UTC) for row in rows]


def of_members() -> list[str]:
    numbers = [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)]
    reasons = [held._member_limit(("ml101", "ann"), most, 2, first) for most, first in numbers]
    spent = held.budget_spent(project(budget_gpu_h=5.0), 6.0, 2)
    gone = held._not_member(SimpleNamespace(user="ann", project="ml101"))  # type: ignore[arg-type]
    return [*(text for r in (*reasons, gone) for text in (r.message, r.help)), f"{spent}."]


def warnings() -> list[str]:
    row: Any = SimpleNamespace(
        lifetime_s=2700, running_at=1.0, changed_at=1.0, mounts=[], kind="interactive"
    )
    rows = [project(valid_until=9.0), project(hours=NIGHT)]
    found = [*endings._of_lifetime(row), *endings._of_idleness(row, 90, 5.0)]
    found += endings._of_projects(rows, 1_800_000_000.0, UTC)
    assert len(found) == 4
    told = [f"{ending.message} It is stopped in 30 s." for ending in found]
    return [*told, *(f"The warning is withdrawn: {why}" for why in culler._GONE.values())]


def forecasts() -> list[str]:
    here: Any = SimpleNamespace(node="gpu-1")
    reason = Reason("no_node", "No node has reported to this site.")
    starts = model.Forecast("x", (here,), None)
    waits = [
        model.Forecast("x", None, model.Waiting("x", 3, reason, estimate))
        for estimate in (None, 60.0, 720.0, 4 * 3600.0, 3 * DAY)
    ]
    one = [[starts], [starts, starts], *([wait] for wait in waits)]
    several = [[*first, wait] for wait in waits for first in ([wait], [starts], [starts, starts])]
    return [views.forecast_json(each)["sentence"] for each in (*one, *several)]


def places() -> list[str]:
    lengths = (None, 10.0, 60.0, 720.0, 7200.0, 3 * DAY)
    return [amounts.in_line(n, s) for n in (1, 2, 3, 9, 10, 11, 22, 33, 104) for s in lengths]


def rooms() -> list[str]:
    owners = [("user", 3 * 2**20), ("project", 3 * 2**20), ("user", None), ("project", None)]
    return [Room(kind, "ann", 5 * 2**30, limit).sentence() for kind, limit in owners]


@pytest.mark.parametrize(
    "say", [closed, of_members, warnings, forecasts, places, rooms], ids=lambda say: say.__name__
)
def test_what_is_put_together_elsewhere_is_read(say: Any) -> None:
    said = say()
    assert said
    for text in said:
        read(text)


class Asked(BaseModel):
    """Fields of the kinds that requests have."""

    model_config = ConfigDict(extra="forbid")

    count: int = Field(default=1, ge=1, le=10)
    share: float = Field(default=0.5, gt=0, lt=1, allow_inf_nan=False)
    name: str = Field(default="x", min_length=1, max_length=3, pattern="^[a-z]*$")
    mode: Literal["rw", "ro"] = "rw"
    on: bool = True
    names: list[str] = Field(default=[], max_length=2)
    needed: int = 1


WRONG: list[dict[str, Any]] = [
    {"count": "x"},
    {"count": 1.5},
    {"count": 0},
    {"count": 11},
    {"count": []},
    {"share": "x"},
    {"share": []},
    {"share": 0},
    {"share": 1},
    {"share": float("nan")},
    {"name": ""},
    {"name": "abcd"},
    {"name": "A"},
    {"name": 1},
    {"mode": "x"},
    {"on": []},
    {"names": ["a", "b", "c"]},
    {"names": "x"},
]


@pytest.mark.parametrize("values", WRONG, ids=str)
def test_what_is_wrong_with_a_value_is_read(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as wrong:
        Asked.model_validate(values)
    (field,) = values
    assert field in read(bad_value(wrong.value).message)


def test_a_bad_name_of_a_session_is_read() -> None:
    with pytest.raises(BadValue) as wrong:
        read_launch_request({"name": "x" * 65})
    assert "64" in read(wrong.value.message)


def test_names_and_numbers_stay_as_they_are() -> None:
    text = "Needs 0.6 fGPU on one device; no device has anything free."
    assert "0.6 fGPU" in read(text)
    assert "<b>x</b>" in read("Project <b>x</b> takes back its share.")
    assert "a. b." in sentence("Project a. b. takes back its share.")


def test_a_name_that_is_a_word_for_a_state_is_not_translated() -> None:
    assert "running" in read("Project running takes back its share.")
    assert sentence("running") != "running"
    assert "RUNNING" not in read("The session is RUNNING; it cannot be extended.")


def test_several_sentences_are_read_one_by_one_and_unknown_ones_stay() -> None:
    known = "Choose another image."
    both = sentence(f"The disk of node 7 hums. {known}")
    assert both == f"The disk of node 7 hums. {sentence(known)}"
    assert sentence("The disk hums.") == "The disk hums."
    assert sentence(None) == sentence("") == ""


def test_in_english_nothing_is_touched() -> None:
    with translation.written_in("en"):
        for text in ("Choose another image.", "running", "50 % of it."):
            assert sentence(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "Needs " + " on one device; the largest free slice is " * 45,
        "Project " + "a uses b of its limit of " * 75,
        "Choose another image. " * 90,
        "a. " * 600,
        "1" * 2000,
    ],
    ids=range(5),
)
def test_a_hostile_text_comes_back(text: str) -> None:
    assert sentence(text)


def test_no_shape_looks_at_a_text_twice() -> None:
    for shape in (*spoken(), *SENTENCES, *PHRASES):
        pattern = compiled(shape).pattern
        # each place but the last is atomic: what it has taken is not given back
        assert pattern.count("*?") + pattern.count("+)") <= pattern.count("(?>") + 1, shape


def test_a_text_that_is_too_long_to_be_ours_is_left_alone() -> None:
    text = "Choose another image. " * 1000
    assert sentence(text) == text


def test_a_text_of_more_sentences_than_we_ever_say_is_left_alone() -> None:
    assert sentence("Choose another image. " * 15) != "Choose another image. " * 15
    assert sentence("Choose another image. " * 25) == "Choose another image. " * 25


def strings(path: Path) -> list[str]:
    """All constant pieces of text of a file."""
    tree = ast.parse(path.read_text())
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return [node.value for node in nodes if isinstance(node.value, str)]


def covered(text: str, said: str, most: int = 4) -> bool:
    """Whether a text is made of at most so many parts of what is said, each as long as it goes."""
    for _ in range(most):
        end = next((end for end in range(len(text), 0, -1) if text[:end] in said), 0)
        text = text[end:]
    return not text


@pytest.fixture(scope="module")
def files() -> list[str]:
    """The texts of each source file; words that stand alone in small letters too."""
    paths = [*(ROOT / "hub_ext").rglob("*.py"), *(ROOT / "spawner").rglob("*.py")]
    texts = [strings(path) for path in paths if "sentence_shapes" not in path.name]
    return ["\0".join([*of, *(text.lower() for text in of if text.isupper())]) for of in texts]


@pytest.mark.parametrize("shape", [*SENTENCES, *PHRASES, *WORDS])
def test_no_shape_is_left_over_from_what_nobody_says_any_more(shape: str, files: list[str]) -> None:
    literals = [part.strip() for part in re.split(r"%\(\w+\)s", shape) if part.strip()]
    assert any(all(covered(literal, said) for literal in literals) for said in files)


def test_no_shape_is_so_general_that_it_takes_the_sentences_of_others() -> None:
    known = [*spoken(), *SENTENCES]
    for shape in known:
        words = re.sub(r"%\(\w+\)s", "", shape)
        assert len(re.findall(r"[A-Za-z]{2,}", words)) >= 1, shape
    texts = {sentences.shapes("ja", sentences.SENTENCE).match(each) for each in ("x y.", "A b c.")}
    assert texts == {None}


def test_a_place_takes_what_the_next_words_leave() -> None:
    shape = compiled("Project %(project)s uses %(used)s of its limit of %(limit)s.")
    found = shape.fullmatch("Project of its limit of uses 2 of its limit of 3 fGPU.")
    assert found is not None
    assert found.groupdict() == {"project": "of its limit of", "used": "2", "limit": "3 fGPU"}
    assert compiled("%(number)s days").fullmatch("some days") is None
    assert compiled("50 %% of %(what)s.").fullmatch("50 % of it.") is not None
