"""The language of a page: gettext catalogues and how they are found.

Message ids are the English texts. ``locale/LANGUAGE.po`` beside this package has the others;
a catalogue is compiled when it is first used, so that nothing has to be built or installed.
How a language writes numbers and dates is in ``formats.py``.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale, UnknownLocaleError
from babel.core import get_global, parse_locale
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ENGLISH = "en"
LOCALE_DIR = Path(__file__).parents[1] / "locale"
COOKIE = "apportion-language"
"""Holds the language that a user has chosen himself; it goes before the browser's."""

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


@cache
def _files() -> dict[str, Path]:
    """Catalogues by language tag: ``zh_CN.po`` and ``zh-CN.po`` are the one of zh-CN."""
    return {path.stem.replace("_", "-"): path for path in sorted(LOCALE_DIR.glob("*.po"))}


@cache
def languages() -> dict[str, str]:
    """Tags of the languages there are, each with its name in that language; English first."""
    codes = [ENGLISH, *_files()]
    return {code: str(Locale.parse(code, sep="-").get_display_name()) for code in codes}


def choose(chosen: str | None, accepted: str) -> str:
    """The language for a request: the chosen one, else the first of ``Accept-Language`` we have.

    Anything that cannot be read counts as nothing; English is always there.
    """
    if chosen in languages():
        return chosen
    for tag in _by_preference(accepted):
        if (found := _of_tag(tag)) is not None:
            return found
    return ENGLISH


def _by_preference(accepted: str) -> Sequence[str]:
    """Language tags of an ``Accept-Language`` header (RFC 9110, 12.5.4), the best first."""
    found = []
    for place, part in enumerate(accepted[:1000].split(",")):
        tag, _, weight = part.partition(";")
        try:
            quality = float(weight.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        if quality > 0:
            found.append((-quality, place, tag.strip()))
    return [tag for _, _, tag in sorted(found)]


def _of_tag(tag: str) -> str | None:
    """Our language for a tag: the very one, else one of the same language and script.

    So zh-CN and zh are read as zh-Hans, and zh-TW is not.
    """
    exact = {code.lower(): code for code in languages()}
    if tag.lower() in exact:
        return exact[tag.lower()]
    wanted = _written(tag)
    return next((code for code in languages() if wanted and _written(code) == wanted), None)


def _written(tag: str) -> tuple[str, str] | None:
    """Language and script of a tag, the likely script where it names none (CLDR)."""
    try:
        language, territory, script, *_ = parse_locale(tag, sep="-")
    except (ValueError, UnknownLocaleError):
        return None
    likely = get_global("likely_subtags")
    for known in (f"{language}_{territory}", language):
        if script is None and known in likely:
            script = parse_locale(likely[known])[2]
    return language, script or ""


def language() -> str:
    """Tag of the language of the page under way, as in ``lang`` attributes."""
    return _language.get()


def locale_name() -> str:
    """The same as CLDR writes it: zh_Hans."""
    return _language.get().replace("-", "_")


def use(code: str) -> None:
    """Write what follows in this task in that language."""
    _language.set(code)


@contextmanager
def written_in(code: str) -> Iterator[None]:
    """The same, for the length of a block."""
    token = _language.set(code)
    try:
        yield
    finally:
        _language.reset(token)


@cache
def _messages(code: str) -> Catalog:
    with _files()[code].open("rb") as stream:
        return read_po(stream, locale=code.replace("-", "_"))


@cache
def _catalogue(code: str) -> NullTranslations:
    if code not in _files():
        return NullTranslations()
    compiled = io.BytesIO()
    write_mo(compiled, _messages(code))
    compiled.seek(0)
    return GNUTranslations(compiled)


@cache
def messages(code: str, context: str) -> dict[str, str]:
    """All that a language has under a context: the English text, and the translation."""
    if code not in _files():
        return {}
    return {
        message.id: message.string
        for message in _messages(code)
        if message.context == context
        and not message.fuzzy
        and isinstance(message.id, str)
        and isinstance(message.string, str)
        and message.string
    }


def look_again() -> None:
    """Forget what was read: catalogues have come or changed."""
    for kept in (_files, languages, _messages, _catalogue, messages):
        kept.cache_clear()


def gettext(message: str) -> str:
    """The text in the page's language; English where there is no translation."""
    return _catalogue(_language.get()).gettext(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """The same, of two texts the one that goes with ``number``."""
    return _catalogue(_language.get()).ngettext(singular, plural, number)


def pgettext(context: str, message: str) -> str:
    """The same, where one English text means two things."""
    return _catalogue(_language.get()).pgettext(context, message)
