"""The hub's own templates in the language of who asks."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from jinja2 import Environment

from hub_ext.web import translation
from spawner.page_language import NAME, language_of


class Handler:
    """What the hub's templates have of a request: a method of its handler."""

    def __init__(self, accepted: str = "", cookie: str | None = None) -> None:
        self.request = SimpleNamespace(headers={"Accept-Language": accepted})
        self.cookie = cookie

    def get_cookie(self, name: str) -> str | None:
        return self.cookie if name == translation.COOKIE else None

    def static_url(self, path: str) -> str:
        return path


def rendered(source: str, handler: Handler | None, **context: Any) -> str:
    if handler is not None:
        context["static_url"] = handler.static_url
    return Environment(autoescape=True, extensions=[NAME]).from_string(source).render(context)


@pytest.mark.parametrize(
    ("handler", "language"),
    [
        (Handler("ja, en;q=0.5"), "ja"),
        (Handler("en", cookie="ja"), "ja"),
        (Handler("ja", cookie="en"), "en"),
        (Handler("tlh"), "en"),
        (None, "en"),
    ],
)
def test_the_chosen_language_goes_before_that_of_the_browser(
    handler: Handler | None, language: str
) -> None:
    assert language_of(handler) == language
    assert rendered("{{ language() }}", handler) == language


def test_texts_and_sentences_are_those_of_each_request() -> None:
    source = "{{ _('Sessions') }} {{ sentence('Starts now on gpu-1.') }}"

    assert rendered(source, Handler("en")) == "Sessions Starts now on gpu-1."
    in_japanese = rendered(source, Handler("ja"))
    assert "セッション" in in_japanese
    assert "gpu-1" in in_japanese
    assert "Starts" not in in_japanese
    assert translation.language() == "en"


def test_what_goes_into_a_text_is_escaped() -> None:
    source = "{{ _('For %(user)s', user=name) }}{{ sentence(said) }}"
    hostile = "<script>"

    assert "<script>" not in rendered(source, Handler("ja"), name=hostile, said=hostile)
