"""The catalogues are complete, and say what the table of headlines says."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("babel", reason="the extra languages is not installed")

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import languages as tool
from bonafide.explain.words import VERDICT_WORDS
from bonafide.languages import speak
from bonafide.languages.catalogue import DETECTORS, MESSAGES, SENTENCES, path
from bonafide.languages.current import ANY, ENGLISH, LANGUAGES, known, negotiated, using
from bonafide.languages.numbers import localised

OTHERS = [language for language in LANGUAGES if language != ENGLISH]
HEADLINES = [
    *VERDICT_WORDS.values(),
    *("not assessed", "no evidence", "weak evidence", "some evidence", "strong evidence"),
    *("Not examined", "Genuine"),
]


@pytest.fixture(scope="module")
def source() -> dict[str, tool.Catalog]:
    return tool.fresh()


@pytest.mark.parametrize("language", OTHERS)
@pytest.mark.parametrize("domain", [MESSAGES, SENTENCES, DETECTORS])
def test_a_catalogue_is_complete(
    language: str, domain: str, source: dict[str, tool.Catalog]
) -> None:
    catalog = tool.read(language, domain)
    have = {message.id: message for message in catalog if message.id}
    wanted = {message.id for message in source[domain] if message.id}
    told = "run: python tools/languages.py update, and translate"
    assert have.keys() == wanted, told
    for message in have.values():
        assert not message.fuzzy, message.id
        if domain == DETECTORS and not message.string:
            continue  # stays English, and is marked as such
        assert tool.whole(message.string), f"{told}: {message.id}"
        if isinstance(message.id, tuple):
            assert len(message.string) == catalog.num_plurals, message.id
        assert list(tool.unequal(message.id, message.string)) == []


@pytest.mark.parametrize("language", OTHERS)
def test_headlines_are_those_of_the_table(language: str) -> None:
    text = (ROOT / "docs" / "languages.md").read_text("utf-8")
    section = text.partition(f"### {LANGUAGES[language]}\n")[2].partition("\n### ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in
            section.split("\n") if line.startswith("|")]  # fmt: skip
    table = {row[0]: row[1:] for row in rows[2:]}
    assert set(table) == set(HEADLINES)
    with using(language):
        for english, (word, back) in table.items():
            assert speak.told(english) == word
            assert back and word != english


def test_each_headline_has_its_shade() -> None:
    text = (ROOT / "docs" / "languages.md").read_text("utf-8")
    table = text.partition("## Headlines")[2].partition("\n### ")[0]
    assert set(HEADLINES) <= set(re.findall(r"^\| ([^|]+?) \|", table, re.MULTILINE))


@pytest.mark.parametrize("language", OTHERS)
def test_catalogues_travel_with_the_package(language: str) -> None:
    for domain in (MESSAGES, SENTENCES, DETECTORS):
        assert path(language, domain).is_relative_to(ROOT / "src" / "bonafide")


def test_a_browser_is_given_the_language_it_asks_for() -> None:
    assert negotiated("de-CH,de;q=0.9,en;q=0.8") == "de"
    assert negotiated("ru, en;q=0.2, ar;q=0.7") == "ar"
    assert negotiated("de;q=0, *;q=0.5") == "en"
    assert negotiated("") == negotiated(";;q=x,,") == "en"
    assert known("de_DE.UTF-8") == "de"
    assert known("xx") is None


def test_numbers_are_those_of_the_language() -> None:
    assert localised("1,234.50", "de") == "1.234,50"
    assert localised("97 %", "de") == "97\u00a0%"
    assert localised("-0.3", "de") == "−0,3"
    assert localised("2026-11-30 22:05:00 UTC", "de") == "30.11.2026 22:05:00 UTC"
    assert localised("97 %", "en") is None
    assert localised("about 3", "de") is None
    assert not re.search("[\u200e\u200f\u061c]", localised("97 %", "ar") or "")


def test_sentences_are_recognised_with_their_values() -> None:
    with using("de"):
        assert speak.told("No trace found") == "Keine Spuren gefunden"
        assert speak.told("Made by a generator") == "Von einem Generator erzeugt"
        caveat = (
            "This is not a proof of authenticity. 45 % of bona fide calibration files show as much "
            "evidence of editing; 30 % of edited pictures show no trace either."
        )
        told = speak.told(caveat)
        assert told.startswith("Das ist kein Echtheitsnachweis. 45")
        assert "bearbeitete Bilder" in told, told
        assert "calibration" not in told
        assert speak.told("saved by Somebody Unknown") == "saved by Somebody Unknown"
        assert not speak.is_known("saved by Somebody Unknown")
        assert speak.ngettext("%(n)s file", "%(n)s files", 3) == "3 Dateien"
        assert speak.gettext("%(name)s is too large.", name="%(x)999d") == "%(x)999d ist zu groß."
    with using(ANY):
        assert "\x02" in speak.told("No trace found")
    assert speak.told("No trace found") == "No trace found"


def test_recognition_is_linear_in_a_hostile_text() -> None:
    with using("de"):
        for piece in ("a, ", "1 and ", "The region of ", " (", ". A"):
            hostile = piece * (4000 // len(piece))
            assert isinstance(speak.told(hostile), str)
