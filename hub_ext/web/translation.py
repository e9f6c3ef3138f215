"""The language of a page: gettext catalogues, numbers and dates as each language writes them.

Message ids are the English texts. ``locale/LANGUAGE.po`` beside this package has the others;
a catalogue is compiled when it is first used, so that nothing has to be built or installed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from gettext import GNUTranslations, NullTranslations
from pathlib import Path

from babel import Locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal

ENGLISH = "en"
LOCALE_DIR = Path(__file__).parents[1] / "locale"
COOKIE = "apportion-language"
"""Holds the language that a user has chosen himself; it goes before the browser's."""

_language: ContextVar[str] = ContextVar("language", default=ENGLISH)


@cache
def languages() -> dict[str, str]:
    """Codes of the languages there are, each with its name in that language; English first."""
    codes = [ENGLISH, *sorted(path.stem for path in LOCALE_DIR.glob("*.po"))]
    return {code: str(Locale.parse(code, sep="-").get_display_name()) for code in codes}


def choose(chosen: str | None, accepted: str) -> str:
    """The language for a request: the chosen one, else the first of ``Accept-Language`` we have.

    Anything that cannot be read counts as nothing; English is always there.
    """
    if chosen in languages():
        return chosen
    for code in _by_preference(accepted):
        for known in (code, code.partition("-")[0]):
            if known in languages():
                return known
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


def language() -> str:
    """Code of the language of the page under way."""
    return _language.get()


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
def _catalogue(code: str) -> NullTranslations:
    path = LOCALE_DIR / f"{code}.po"
    if code == ENGLISH or not path.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as stream:
        write_mo(compiled, read_po(stream, locale=code.replace("-", "_")))
    compiled.seek(0)
    return GNUTranslations(compiled)


def gettext(message: str) -> str:
    """The text in the page's language; English where there is no translation."""
    return _catalogue(_language.get()).gettext(message)


def ngettext(singular: str, plural: str, number: int) -> str:
    """The same, of two texts the one that goes with ``number``."""
    return _catalogue(_language.get()).ngettext(singular, plural, number)


def pgettext(context: str, message: str) -> str:
    """The same, where one English text means two things."""
    return _catalogue(_language.get()).pgettext(context, message)


def number(value: float) -> str:
    """A number as the language writes it: 1,234.5; at most three decimals."""
    return str(format_decimal(value, locale=_language.get().replace("-", "_")))
