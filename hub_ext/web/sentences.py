"""English sentences that are stored or raised elsewhere, in the language of the page.

The scheduler, the store and every refusal speak English, since they know no reader. Each of
their sentences has a shape with named places, as in "Project %(project)s takes back its share.";
the catalogues have the shapes under the context ``sentence``, parts of sentences under
``phrase``, and states under ``word``. A text is taken apart into sentences, each is matched,
what stands in its places is kept, and the translation is filled in. What is not known stays
English.

``sentence_shapes.py`` and ``docs/update_translations.py`` say where the shapes come from.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache, lru_cache
from unicodedata import east_asian_width

from babel.dates import get_day_names

from hub_ext.web import translation

SENTENCE = "sentence"
PHRASE = "phrase"
WORD = "word"
STATES = frozenset({"before", "state", "status", "to"})
"""Places that take a state."""
DAYS = frozenset({"weekday", "when"})
"""Places with names of days of the week."""
_TAKES = (
    ("number", r"[\d.,]+"),
    ("date", r"[\d-]+"),
    ("clock", r"[\d:]+"),
    ("weekday", r"[A-Z][a-z]+day"),
)
"""What a place takes whose name begins so; others take anything."""

_PLACE = re.compile(r"%\((\w+)\)s")
_DAY = re.compile(r"\b[A-Z][a-z]{2,}\b")
_END = re.compile(r"[.!?] (?=\S)")
_LONGEST = 2000
_MOST_SENTENCES = 12
_MOST_ENDS = 20
"""What has more full stops is no text of ours, and looking at each would take seconds."""
_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class _Shape:
    pattern: re.Pattern[str]
    text: str


@dataclass(frozen=True, slots=True)
class _Shapes:
    """Those of one language and context by the word that they begin with; "": by a place."""

    by_word: dict[str, list[_Shape]]

    def match(self, text: str) -> tuple[str, dict[str, str]] | None:
        """The translation and what goes into its places; None when no shape fits."""
        for word in (text.partition(" ")[0], ""):
            for shape in self.by_word.get(word, ()):
                if found := shape.pattern.fullmatch(text):
                    return shape.text, found.groupdict()
        return None


def sentence(text: str | None) -> str:
    """The text in the language of the page, as far as its sentences are known."""
    code = translation.language()
    if not text or code == translation.ENGLISH or len(text) > _LONGEST:
        return text or ""
    return _translated(code, text)


@lru_cache(maxsize=8192)
def _translated(code: str, text: str) -> str:
    if len(_END.findall(text)) > _MOST_ENDS:
        return text
    state = translation.messages(code, WORD).get(text)
    return state or _sentences(code, text, 0)


def _sentences(code: str, text: str, depth: int) -> str:
    """One sentence after the other. A name with a full stop in it is no end of a sentence."""
    ends = [found.end() for found in _END.finditer(text)][:_MOST_SENTENCES]
    for end in ends:
        first = _one(code, text[: end - 1], depth)
        if first is not None:
            return _joined(first, _sentences(code, text[end:], depth))
    whole = _one(code, text, depth)
    if whole is not None:
        return whole
    if not ends:
        return text
    return _joined(text[: ends[0] - 1], _sentences(code, text[ends[0] :], depth))


def _joined(first: str, rest: str) -> str:
    """Chinese and Japanese full stops have their space in them."""
    wide = east_asian_width(first[-1]) in {"W", "F"}
    return first + rest if wide else f"{first} {rest}"


def _one(code: str, text: str, depth: int) -> str | None:
    return _filled(code, shapes(code, SENTENCE).match(text), depth)


def _filled(code: str, found: tuple[str, dict[str, str]] | None, depth: int) -> str | None:
    """A translation with what stands in its places."""
    if found is None:
        return None
    text, places = found
    return text % {place: _part(code, place, part, depth + 1) for place, part in places.items()}


def _part(code: str, place: str, text: str, depth: int) -> str:
    """What stands in a place: a state, a phrase, a sentence, or a name that stays as it is."""
    if place in STATES:
        return translation.messages(code, WORD).get(text.lower(), text)
    if place in DAYS:
        return _DAY.sub(lambda found: _days(code).get(found[0], found[0]), text)
    if depth > _DEEPEST:
        return text
    phrase = _filled(code, shapes(code, PHRASE).match(text), depth)
    if phrase is not None:
        return phrase
    return _sentences(code, text, depth) if text.endswith(".") else text


@cache
def _days(code: str) -> dict[str, str]:
    """Days of the week by their English names, long and short."""
    names = {}
    for width in ("wide", "abbreviated"):
        there = get_day_names(width, locale=code.replace("-", "_"))
        for number, english in get_day_names(width, locale="en").items():
            names[str(english)] = str(there[number])
    return names


@cache
def shapes(code: str, context: str) -> _Shapes:
    """Compiled shapes of a language, the most particular first."""
    by_word: dict[str, list[_Shape]] = {}
    of_context = translation.messages(code, context)
    for message in sorted(of_context, key=lambda each: (-len(_PLACE.sub("", each)), each)):
        text = of_context[message]
        places = set(_PLACE.findall(message))
        if set(_PLACE.findall(text)) <= places and "%" not in _literal(text):
            begin = _PLACE.split(message)[0].replace("%%", "%")
            word = begin.partition(" ")[0] if " " in begin or not places else ""
            by_word.setdefault(word, []).append(_Shape(compiled(message), text))
    return _Shapes(by_word)


def _literal(text: str) -> str:
    return _PLACE.sub("", text).replace("%%", "")


def compiled(message: str) -> re.Pattern[str]:
    """The regular expression of a shape.

    Each place ends at the first of what follows it, for good (atomic groups): the time that a
    text takes grows with its length only, whatever is in it.
    """
    begin, *rest = (part.replace("%%", "%") for part in _PLACE.split(message))
    pattern = re.escape(begin)
    seen: set[str] = set()
    for number, (name, after) in enumerate(zip(rest[::2], rest[1::2], strict=True)):
        last = 2 * number + 2 == len(rest)
        anything = r".*" if last else r".*?"
        what = next((only for kind, only in _TAKES if name.startswith(kind)), anything)
        place = f"(?P={name})" if name in seen else f"(?P<{name}>{what})"
        seen.add(name)
        pattern += place + re.escape(after) if last else f"(?>{place}{re.escape(after)})"
    return re.compile(pattern, re.DOTALL)
