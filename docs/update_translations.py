"""Bring the catalogues of ``hub_ext/locale/`` up to date with the texts of the code.

    python -m docs.update_translations              # all of them
    python -m docs.update_translations --new ko     # and begin one

New texts come in without a translation, texts that are gone go away, nothing is guessed. Then
translate what is empty, and run ``pytest tests/unit/web``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

from babel import Locale
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from docs.spoken_sentences import spoken
from hub_ext.web.sentence_shapes import PHRASES, SENTENCES, VALIDATION, WORDS
from hub_ext.web.sentences import PHRASE, SENTENCE, WORD, compiled

ROOT = Path(__file__).parents[1]
LOCALE = ROOT / "hub_ext" / "locale"
_TEMPLATES = {"trimmed": "true", "trim_blocks": "true", "lstrip_blocks": "true", "silent": "true"}
_KEYWORDS = {
    "_": None,
    "gettext": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "_n": (1, 2),
    "_p": ((1, "c"), 2),
}
_HEADER = """\
# Texts of Apportion in {language}.
# How to translate: docs/translating.md."""


def extracted() -> Catalog:
    """All texts that can be translated, each with the files that have it."""
    catalog = Catalog(fuzzy=False)
    for path, text, context in sorted(_marked(), key=lambda found: found[0]):
        catalog.add(text, locations=[(path, 0)], context=context)
    for text, path in spoken().items():
        if not _put_together(text):
            catalog.add(text, locations=[(path, 0)], context=SENTENCE)
    here = "hub_ext/web/sentence_shapes.py"
    listed = ((SENTENCE, (*SENTENCES, *VALIDATION)), (PHRASE, PHRASES), (WORD, WORDS))
    for context, texts in listed:
        for text in texts:
            catalog.add(text, locations=[(here, 0)], context=context)
    return catalog


def _put_together(text: str) -> bool:
    """Whether it is the frame of sentences that are listed whole, with all that may be in it."""
    shape = compiled(text)
    return any("%(" in listed and shape.fullmatch(listed) for listed in SENTENCES)


def _marked() -> Iterator[tuple[str, str | tuple[str, ...], str | None]]:
    """File, text and context of what goes through gettext."""
    for folder in ("hub_ext", "spawner"):
        found = extract_from_dir(
            ROOT / folder,
            method_map=[("**.py", "python"), ("**.html", "jinja2")],
            options_map={"**.html": _TEMPLATES},
            keywords=_KEYWORDS,
        )
        for name, _line, text, _comments, context in found:
            if text:
                yield f"{folder}/{name}", text, context


def updated(path: Path, template: Catalog) -> Catalog:
    """A catalogue with the texts of the template alone, and the translations it had."""
    with path.open("rb") as stream:
        catalog = read_po(stream, locale=_locale(path))
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    return catalog


def write(path: Path, catalog: Catalog) -> None:
    """Without line numbers and dates, which change with everything and say nothing."""
    language = Locale.parse(_locale(path)).get_language_name("en")
    catalog.header_comment = _HEADER.format(language=language)
    catalog.fuzzy = False
    with path.open("wb") as stream:
        write_po(stream, catalog, width=96, include_lineno=False, omit_header=False)
    lines = path.read_text().splitlines(keepends=True)
    volatile = ('"POT-Creation-Date', '"PO-Revision-Date', '"Generated-By', '"Project-Id-Version')
    volatile += ('"Last-Translator', '"Report-Msgid-Bugs-To')
    path.write_text("".join(line for line in lines if not line.startswith(volatile)))


def _locale(path: Path) -> str:
    return path.stem.replace("-", "_")


def main() -> None:
    """Update the files, and say what is left to do."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--new", metavar="LANGUAGE", help="begin this one: ko, th, zh_Hans")
    begun = parser.parse_args().new
    if begun:
        path = LOCALE / f"{begun}.po"
        if path.exists():
            parser.error(f"{path} is there already.")
        write(path, Catalog(locale=_locale(path)))
    template = extracted()
    for path in sorted(LOCALE.glob("*.po")):
        catalog = updated(path, template)
        write(path, catalog)
        empty = sum(1 for each in catalog if each.id and not _translated(each.string))
        print(f"{path.relative_to(ROOT)}: {len(catalog)} texts, {empty} without a translation")


def _translated(string: str | Sequence[str] | None) -> bool:
    return bool(string) and all(string or ())


if __name__ == "__main__":
    main()
