"""Every text of the JupyterLab extension has its Japanese, with the same places in it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

LABEXTENSION = Path(__file__).parents[3] / "labextension"
LOCALE = LABEXTENSION / "apportion_lab" / "locale" / "ja_JP" / "LC_MESSAGES" / "apportion_lab.json"
_TEXT = re.compile(r"__\(\s*'((?:[^'\\]|\\.)*)'")
_PLACE = re.compile(r"%\d")


def texts() -> set[str]:
    found = set()
    for path in sorted((LABEXTENSION / "src").glob("*.ts")):
        found |= {text.replace("\\'", "'") for text in _TEXT.findall(path.read_text())}
    return found


def catalogue() -> dict[str, list[str]]:
    values = json.loads(LOCALE.read_text())
    assert values.pop("")["language"] == "ja-JP"  # as JupyterLab writes it in the browser
    return dict(values)


def test_every_text_is_translated_and_nothing_else() -> None:
    assert catalogue().keys() == texts()


@pytest.mark.parametrize("text", sorted(texts()))
def test_a_translation_has_the_same_places(text: str) -> None:
    (translation,) = catalogue()[text]
    assert translation
    assert sorted(_PLACE.findall(translation)) == sorted(_PLACE.findall(text))
