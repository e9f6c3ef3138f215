"""Every text has its Japanese; another language is one more file; each reader gets his own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

from docs import update_translations
from docs.spoken_sentences import ROOT
from hub_ext.web import formats, sentences, translation
from hub_ext.web.sentences import sentence
from hub_ext.web.templating import templates

JAPANESE = ROOT / "hub_ext" / "locale" / "ja.po"
PLACE = re.compile(r"%\(\w+\)s|\{\w+\}|%%|<[^>]+>")
"""What a translation has to keep: named places, and tags."""


@pytest.fixture(scope="module")
def texts() -> Catalog:
    return update_translations.extracted()


@pytest.fixture(scope="module")
def japanese() -> Catalog:
    with JAPANESE.open("rb") as stream:
        return read_po(stream, locale="ja")


def ids(message: Message) -> list[str]:
    return [message.id] if isinstance(message.id, str) else list(message.id)


def strings(message: Message) -> list[str]:
    if isinstance(message.string, str):
        return [message.string]
    return list(message.string or ())


def key(message: Message) -> tuple[str | None, str]:
    return message.context, ids(message)[0]


def of(catalog: Catalog) -> dict[tuple[str | None, str], Message]:
    return {key(message): message for message in catalog if message.id}


def test_every_template_can_be_read_for_its_texts() -> None:
    for folder in (ROOT / "hub_ext", ROOT / "spawner"):
        for path in folder.rglob("*.html"):
            templates.parse(path.read_text())


def test_every_text_of_pages_and_code_is_in_japanese(texts: Catalog, japanese: Catalog) -> None:
    there = of(japanese)
    missing = [
        each for each in of(texts) if each not in there or not all(strings(there[each]) or [""])
    ]
    assert missing == [], "run: python -m docs.update_translations, and translate what is empty"


def test_no_translation_is_of_a_text_that_is_gone(texts: Catalog, japanese: Catalog) -> None:
    assert sorted(set(of(japanese)) - set(of(texts)), key=str) == []
    assert list(japanese.obsolete) == []


def test_nothing_is_guessed(japanese: Catalog) -> None:
    assert [message.id for message in japanese if message.fuzzy and message.id] == []


def test_each_translation_keeps_the_places_and_tags_of_its_text(japanese: Catalog) -> None:
    wrong = []
    for message in of(japanese).values():
        kept = set(PLACE.findall(ids(message)[-1]))
        wrong += [
            (message.id, text)
            for text in strings(message)
            if text and set(PLACE.findall(text)) != kept
        ]
    assert wrong == []


def test_each_translation_is_japanese(japanese: Catalog) -> None:
    for message in of(japanese).values():
        words = re.sub(PLACE, "", ids(message)[-1])
        for text in strings(message):
            assert "  " not in text, text
            if len(re.findall(r"\b[a-z]{3,}", words)) > 2:
                assert re.search(r"[ぁ-んァ-ヶ一-龠]", text), (message.id, text)


@pytest.fixture
def other_languages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for catalogues of a test's own."""
    monkeypatch.setattr(translation, "LOCALE_DIR", tmp_path)
    monkeypatch.setattr(update_translations, "LOCALE", tmp_path)
    forget()
    yield tmp_path
    monkeypatch.undo()
    forget()


def forget() -> None:
    translation.look_again()
    sentences.shapes.cache_clear()
    sentences._translated.cache_clear()


TAKES_BACK = "Project %(project)s takes back its share."


@pytest.mark.parametrize(
    ("file", "code", "asked", "own_name"),
    [
        ("ko", "ko", "ko-KR,ko;q=0.9,en;q=0.8", "한국어"),
        ("th", "th", "th-TH", "ไทย"),
        ("zh_CN", "zh-CN", "zh-CN,zh;q=0.9", "中文"),
        ("zh-Hans", "zh-Hans", "zh-CN", "简体"),
        ("zh_Hans", "zh-Hans", "zh", "简体"),
        ("zh_Hant", "zh-Hant", "zh-TW", "繁體"),
    ],
)
def test_a_language_is_one_file(
    other_languages: Path, texts: Catalog, file: str, code: str, asked: str, own_name: str
) -> None:
    path = other_languages / f"{file}.po"
    update_translations.write(path, Catalog(locale=file.replace("-", "_")))
    catalog = update_translations.updated(path, texts)
    catalog.get("Folders").string = "夹"
    catalog.get(TAKES_BACK, sentences.SENTENCE).string = "%(project)s ✓"
    update_translations.write(path, catalog)

    assert own_name in translation.languages()[code]
    assert translation.choose(None, asked) == code
    assert translation.choose(code, "en") == code
    with translation.written_in(code):
        assert translation.gettext("Folders") == "夹"
        assert translation.gettext("Images") == "Images"
        assert sentence("Project ml101 takes back its share.") == "ml101 ✓"
        assert formats.number(1234.5)
        assert formats.moment(1_800_000_000).endswith("UTC")


def test_traditional_chinese_is_not_taken_for_simplified(other_languages: Path) -> None:
    update_translations.write(other_languages / "zh_Hans.po", Catalog(locale="zh_Hans"))
    assert translation.choose(None, "zh-TW,zh-Hant;q=0.9") == "en"
    assert translation.choose(None, "zh-TW,zh-SG;q=0.5") == "zh-Hans"


@pytest.mark.parametrize(
    ("chosen", "accepted", "code"),
    [
        (None, "", "en"),
        (None, "ja", "ja"),
        (None, "JA-jp", "ja"),
        (None, "de, ja;q=0.5", "ja"),
        (None, "en-GB, ja;q=0.5", "en"),
        (None, "ja;q=0.2, en;q=0.9", "en"),
        (None, "ja;q=0", "en"),
        (None, "*", "en"),
        (None, "ja;q=x, ;;;, " + "x" * 5000, "en"),
        ("ja", "en", "ja"),
        ("en", "ja", "en"),
        ("../../etc/passwd", "ja", "ja"),
        ("", "ja", "ja"),
    ],
)
def test_the_reader_gets_the_language_that_he_has_chosen_or_his_browser_asks_for(
    chosen: str | None, accepted: str, code: str
) -> None:
    assert translation.choose(chosen, accepted) == code


def test_numbers_sizes_and_times_are_as_the_language_writes_them() -> None:
    with translation.written_in("en"):
        assert formats.number(1234.5) == "1,234.5"
        assert [formats.size(n) for n in (0, 1, 2047, 3 * 2**20)] == [
            "0 bytes",
            "1 byte",
            "2 KiB",
            "3 MiB",
        ]
        assert formats.moment(0) == "Jan 1, 1970, 12:00:00\u202fAM UTC"
        assert formats.moment(None) == ""
        assert [formats.ordinal(n) for n in (1, 2, 3, 11, 22)] == [
            "1st",
            "2nd",
            "3rd",
            "11th",
            "22nd",
        ]
        assert formats.about(720) == "about 12 minutes"
        assert formats.about(90 * 60) == "about 2 hours"
    with translation.written_in("ja"):
        assert formats.size(2047) == "2 KiB"
        assert "バイト" in formats.size(7)
        assert formats.moment(0) == "1970/01/01 0:00:00 UTC"
        assert formats.ordinal(3) == "3 番目"
        assert formats.about(720) == "約 12 分"
