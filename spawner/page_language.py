"""The hub's own pages in the reader's language, from the same catalogues as the service's.

A Jinja extension, named in ``c.JupyterHub.jinja_environment_options``: templates get ``_``,
``ngettext`` and ``{% trans %}``, ``language()`` for the tag of the language, and ``sentence()``
for what the service or a spawner has said in English.
"""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, pass_context
from jinja2.ext import InternationalizationExtension
from jinja2.runtime import Context

from hub_ext.web import translation
from hub_ext.web.sentences import sentence

NAME = f"{__name__}.PageTexts"


def language_of(handler: Any) -> str:
    """As the user has set it on a page of the service, else as his browser asks for it."""
    if handler is None:
        return translation.ENGLISH
    accepted = handler.request.headers.get("Accept-Language", "")
    return translation.choose(handler.get_cookie(translation.COOKIE), accepted)


def _language(context: Context) -> str:
    """The hub tells its templates nothing of the request but this method of its handler."""
    return language_of(getattr(context.get("static_url"), "__self__", None))


@pass_context
def _gettext(context: Context, message: str) -> str:
    with translation.written_in(_language(context)):
        return translation.gettext(message)


@pass_context
def _ngettext(context: Context, singular: str, plural: str, number: int) -> str:
    with translation.written_in(_language(context)):
        return translation.ngettext(singular, plural, number)


@pass_context
def _sentence(context: Context, text: str | None) -> str:
    with translation.written_in(_language(context)):
        return sentence(text)


class PageTexts(InternationalizationExtension):
    """Jinja's gettext with the catalogue of each request's own language."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        environment.policies["ext.i18n.trimmed"] = True
        self._install_callables(
            _gettext,  # type: ignore[arg-type]  # Jinja hands the context to who asks for it
            _ngettext,  # type: ignore[arg-type]
            newstyle=True,
        )
        environment.globals |= {"language": pass_context(_language), "sentence": _sentence}
