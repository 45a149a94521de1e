"""No visible text of a page lies outside of the catalogues."""

from __future__ import annotations

import gettext as standard
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import pytest

pytest.importorskip("babel", reason="the extra languages is not installed")

from tests.report.conftest import image as image  # a fixture
from tests.report.conftest import make_report

from bonafide.languages import speak
from bonafide.languages.catalogue import Catalogue, catalogue
from bonafide.languages.current import ANY, using
from bonafide.languages.sentences import Sentences
from bonafide.media.image import Image
from bonafide.media.media import Media
from bonafide.report import templates
from bonafide.report.html import page_of, render_failure, render_section
from bonafide.types import Failure, Report

# Names and units that are the same in every language.
SAME = {"SHA", "bonafide", "UTC", "MiB", "kHz", "API", "JPEG", "JSON", "https"}
SPOKEN = ("aria-label", "alt", "title", "placeholder", "aria-valuetext")
DATA = ("bdi", "code", "script", "style", "time", "title")
EMPTY = ("meta", "link", "br", "img", "input")


@pytest.fixture(scope="module")
def media(image: Image) -> Media:
    return Media.of_image(image)


@pytest.fixture(scope="module")
def report(image: Image) -> Report:
    return make_report(image)


class Pseudo(standard.NullTranslations):
    """A language whose every message stands in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, one: str, many: str, n: int) -> str:
        return f"⟦{one if n == 1 else many}⟧"


@pytest.fixture
def pseudo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = catalogue("de")
    sentences = Sentences({}, "de")
    real_told = real.sentences.told
    # Whatever is recognised stands in brackets; what is not is found out by its letters.
    sentences.told = lambda text: f"⟦{text}⟧" if real_told(text) else None  # type: ignore
    made = Catalogue("de", Pseudo(), sentences)
    monkeypatch.setattr(speak, "catalogue", lambda language: made)
    with using("de"):
        yield


class Visible(HTMLParser):
    """The text that a reader sees or hears, without what is data or marked as English."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._deep = 0  # brackets that are open; messages have elements in them
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        hidden = tag in DATA or (tag != "html" and given.get("lang") is not None)
        hidden = hidden or any(one for _, one in self._open)
        if not hidden:
            self.texts += [given[name] or "" for name in SPOKEN if given.get(name)]
        if tag not in EMPTY:
            self._open.append((tag, hidden))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if any(hidden for _, hidden in self._open):
            return
        rest = ""
        for one in data:
            self._deep += (one == "⟦") - (one == "⟧")
            rest += one if not self._deep else " "
        self.texts.append(rest.replace("⟧", " "))


def outside(page: str, data: tuple[str, ...] = ()) -> list[str]:
    """Texts with words outside of the brackets."""
    reader = Visible()
    reader.feed(page)
    found = []
    for text in reader.texts:
        rest, before = text, ""
        while rest != before:
            before, rest = rest, re.sub(r"⟦[^⟦⟧]*⟧", " ", rest)
        for known in data:
            rest = rest.replace(known, " ")
        if set(re.findall(r"[A-Za-z]{3,}", rest)) - SAME:
            found.append(text.strip())
    return found


def test_a_report_speaks_only_messages(pseudo: None, report: Report, media: Media) -> None:
    page = page_of(render_section(report, media, 200), report.media.name)
    names = tuple(finding.detector for finding in report.findings)
    assert outside(page, (report.media.name, *names, *report.versions)) == []


def test_a_failure_speaks_only_messages(pseudo: None) -> None:
    failure = Failure("photo.jpg", None, "DecodeError", "the file is empty", "00")
    page = page_of(render_failure(failure), failure.name)
    assert outside(page, (failure.name,)) == []


@pytest.mark.parametrize("language", ["en", "de", "ar"])
def test_a_page_for_any_reader_is_the_page_of_each(
    language: str, report: Report, media: Media
) -> None:
    with using(ANY):
        kept = render_section(report, media, 200)
    with using(language):
        direct = render_section(report, media, 200)
    assert "\x02" in kept
    told = templates.resolved(kept, language)
    assert "\x02" not in told
    assert re.sub("&#39;", "'", told) == re.sub("&#39;", "'", direct)


def test_marks_of_a_hostile_page_are_text() -> None:
    with using(ANY):
        made = speak.gettext("<script>alert(1)</script> %(x)s", x="<img src=x>")
        deep = speak.told("x")
        for _ in range(9):
            deep = speak.gettext("%(x)s", x=deep)
    shown = templates.resolved(f"{made} {deep} \x02bm90aGluZw==\x03", "de")
    assert "<" not in shown
    assert "\x02" not in shown


def test_pages_of_the_service_speak_only_messages(pseudo: None) -> None:
    pytest.importorskip("fastapi", reason="the extra server is not installed")
    from bonafide.explain.model import Asking
    from bonafide.report import cards
    from bonafide.server import pages
    from bonafide.server.auth import LOCAL
    from bonafide.types import Label, Profile

    shown: list[tuple[str, dict[str, Any]]] = [
        ("home", {"profiles": list(Profile), "chosen": Profile.STANDARD, "url_fetch": True,
                  "most_files": 3, "most_bytes": 2**30, "kept_hours": 24, "retain": True,
                  "batch_bytes": 2**30, "explain_host": "127.0.0.1",
                  "explain": Asking("777", "http://127.0.0.1:8080/v1")}),
        ("jobs", {"jobs": []}),
        ("history", {"rows": [], "labels": Label, "older": None,
                     "asked": {"text": "", "verdict": "", "since": "", "until": ""}}),
        ("detectors", {"cards": cards.as_dicts()}),
        ("sign-in", {"next": "/", "wrong": True}),
        ("error", {"status": 404, "title": "Not Found", "detail": "there is no such report"}),
    ]  # fmt: skip
    call: Callable[..., str] = pages.page
    for name, values in shown:
        assert outside(call(name, LOCAL, **values)) == [], name
