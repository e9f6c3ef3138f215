"""What the service answers in JSON, such as of a dry run, in the language of the page."""

from __future__ import annotations

from typing import Any

from hub_ext.web.sentences import sentence

_TEXTS = frozenset({"sentence", "message", "reason", "help", "setback", "why", "isolates"})


def in_readers_language(answer: Any) -> Any:
    """The JSON with its texts for people translated, as far as they are known."""
    if isinstance(answer, list):
        return [in_readers_language(each) for each in answer]
    if not isinstance(answer, dict):
        return answer
    return {
        key: sentence(value)
        if key in _TEXTS and isinstance(value, str)
        else in_readers_language(value)
        for key, value in answer.items()
    }
