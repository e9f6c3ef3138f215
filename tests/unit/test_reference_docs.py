"""The reference in docs/ says what the code says."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = runpy.run_path(str(DOCS / "make_reference.py"))["PAGES"]


@pytest.mark.parametrize("name", sorted(PAGES))
def test_committed_reference_page_is_up_to_date(name: str) -> None:
    committed = (DOCS / "reference" / name).read_text(encoding="utf-8")

    assert committed == PAGES[name](), "run: .venv/bin/python docs/make_reference.py"


def test_reference_has_no_page_that_nothing_writes() -> None:
    assert {path.name for path in (DOCS / "reference").glob("*.md")} == set(PAGES)


def test_every_option_has_a_help_text() -> None:
    lines = PAGES["configuration.md"]().splitlines()
    facts = [at + 2 for at, line in enumerate(lines) if line.startswith("### ")]

    assert len(facts) > 20
    assert all(lines[at] and lines[at + 2] for at in facts)
