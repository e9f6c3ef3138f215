"""A pytest plugin that writes down what waiting sessions are told in the tests that it is with."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from hub_ext.scheduling import trial
from hub_ext.scheduling.model import Reason
from hub_ext.scheduling.reasons import Reasons

SAID: set[str] = set()


def note(reason: Reason) -> Reason:
    """Remember its sentences."""
    SAID.update(text for text in (reason.message, reason.help) if text)
    return reason


def record() -> None:
    """From now on."""
    of, why = Reasons.of, trial._why
    Reasons.of = lambda self, job: note(of(self, job))  # type: ignore[method-assign]
    trial._why = lambda *args: note(why(*args))


def pytest_configure(config: Any) -> None:
    """Of this run."""
    if "REASONS_FILE" in os.environ:
        record()


def pytest_unconfigure(config: Any) -> None:
    """All of them, for who has started this run."""
    if "REASONS_FILE" in os.environ:
        Path(os.environ["REASONS_FILE"]).write_text(json.dumps(sorted(SAID)))
