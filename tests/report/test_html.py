"""The page: complete, self-contained, and deaf to what files say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bonafide.media.media import Media
from bonafide.report import provenance, regions
from bonafide.report.html import render_failure, render_section, write_html
from bonafide.types import (
    WHOLE,
    Answer,
    Calibrated,
    Decision,
    EditedRegion,
    Edits,
    Event,
    Failure,
    Finding,
    Kind,
    Label,
    Measurement,
    Question,
    Region,
    Report,
    ScoreMap,
    Span,
    Status,
    Where,
)

from .conftest import part_changed

VOID = {"meta", "input", "img", "br", "link", "col"}
BARE = {"rect", "path", "stop", "image", "use"}


class Page(HTMLParser):
    """Collects tags and text, and checks that every tag is closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in BARE
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not (self.open and self.open[-1] in ("style", "script")):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page(tmp_path: Path, *sections: str, title: str = "title") -> Page:
    return Page(write_html(tmp_path / "page.html", sections, title).read_text("utf-8"))


def test_changed_copies_and_limits_are_shown(tmp_path: Path, checked: Report, media: Media) -> None:
    text = " ".join(page(tmp_path, render_section(checked, media)).text.split())
    for words in (
        "On 1 of 1 mildly changed copies it falls.",
        "saved as JPEG at quality 90",
        "a strong change: an accusation need not survive it",
        "31 % to 42 %",
        "Not tried: crop:1: no time was left.",
        "Outside the calibrated range. Its JPEG quality is 20.",
    ):
        assert words in text


def test_regions_are_shown_with_place_kind_and_twin(
    tmp_path: Path, marked: Report, media: Media
) -> None:
    text = " ".join(page(tmp_path, render_section(marked, media)).text.split())
    for words in (
        "The maps of all detectors, weighted and combined. 3 marked regions.",
        "14 % of the picture, has a processing history of its own, as a pasted part has (JPEG",
        "was copied from (60, 240)",
        "The same content elsewhere",
    ):
        assert words in text
    assert text.count("has a processing history of its own") == 1


def test_crops_are_bounded_in_number_and_size(report: Report) -> None:
    values = np.zeros((900, 900), np.float32)
    for y in range(0, 900, 100):
        values[y : y + 60, :800] = 1
    score_map = ScoreMap(values, 1, 900, 900)
    part = EditedRegion(0, 0, 800, 60, 48000, 0.06, 1.0, ("jpeg_grid",))
    places = tuple(replace(part, y=y) for y in range(0, 900, 100))
    shown = regions.shown(Edits(score_map, places, 0.5, {}), np.zeros((900, 900, 3), np.uint8))
    assert len(shown) == regions.MOST_CROPS
    assert all(one.here.shown_width == regions.CROP < one.here.width for one in shown)


def test_outlines_are_bounded_however_ragged_the_map() -> None:
    random = np.random.default_rng(0)
    path = regions.outlines((random.random((800, 800)) > 0.5).astype(np.float32), 800, 800)
    assert 0 < path.count("L") <= 3000
    assert regions.outlines(np.zeros((50, 80), np.float32), 400, 250) == ""


def test_it_shows_everything_that_is_known(tmp_path: Path, report: Report, media: Media) -> None:
    shown = page(tmp_path, render_section(report, media))
    text = " ".join(shown.text.split())
    expected = [
        "Manipulated", report.verdict.caveat, "not assessed", "above 99 %", "no evidence",
        "40 % of bona fide files show as much evidence of generation.",
        report.media.sha256, "2025-01-02 03:04:05 UTC", "numpy", "2.1.0", "profile",
        "Nikon D750", "2021:05:04 10:11:12", "Stable Diffusion WebUI", "1234567",
        "Example Press Agency", "Saved with Adobe Photoshop 22.3", provenance.NOTHING_PROVED,
        "Not asked", "runs from profile thorough on", "Not applicable", "Failed",
        "0.8 % of genuine calibration files reach that (JPEG)", "18.42",
        "308 times likelier if true",
        "3.5 times likelier if not true", "States: AI-generated (unsigned text)",
        "When it fails", "JPEG quality of the test save",
        "60 × 70 at", *report.explanation,
    ]  # fmt: skip
    assert [words for words in expected if words not in text] == []
    for finding in report.findings:
        assert finding.summary in text
        assert finding.why in text
    assert not shown.all("nav")


def test_reasons_come_in_order(tmp_path: Path, report: Report, media: Media) -> None:
    text = page(tmp_path, render_section(report, media)).text
    places = [text.index(reason.text) for reason in report.verdict.because]
    assert places == sorted(places)


def test_nothing_is_fetched_and_only_our_code_may_run(
    tmp_path: Path, report: Report, media: Media
) -> None:
    shown = page(tmp_path, render_section(report, media))
    for _, attributes in shown.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/", "#"))
    policy = next(meta["content"] for meta in shown.all("meta") if "http-equiv" in meta)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; media-src data:;")
    assert "unsafe" not in policy
    assert len(shown.all("script")) == len(shown.all("style")) == 1


def test_hostile_text_stays_text(tmp_path: Path, hostile: Report, media: Media) -> None:
    shown = page(tmp_path, render_section(hostile, media), title="</title><script>x</script>")
    assert len(shown.all("script")) == 1
    assert not shown.all("img")
    assert "<script>document.title='owned'</script>" in shown.text


def test_characters_that_steer_are_shown_by_their_code(tmp_path: Path) -> None:
    failure = Failure("\u202egpj.exe\x1b[31m\udcff\x00.jpg", None, "DecodeError", "damaged")
    shown = page(tmp_path, render_failure(failure), title="\udcff\u202e")
    assert "\\u202egpj.exe\\x1b[31m\\udcff\\x00.jpg" in shown.text


def test_every_id_is_unique_also_for_a_file_given_twice(
    tmp_path: Path, report: Report, media: Media
) -> None:
    section = render_section(report, media)
    shown = page(tmp_path, section, section, section)
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"] for a in shown.all("a")} | {u["href"] for u in shown.all("use")}
    assert links <= {f"#{name}" for name in ids}
    groups = {i["name"] for i in shown.all("input") if "data-choice" in i}
    assert len(groups) == 3


def test_many_files_get_an_index(
    tmp_path: Path, report: Report, quiet: Report, media: Media, failure: Failure
) -> None:
    sections = [
        render_section(report, media),
        render_section(quiet, media),
        render_failure(failure),
        render_failure(replace(failure, name='a"><b>.jpg')),
    ]
    shown = page(tmp_path, *sections)
    assert len(shown.all("nav")) == 1
    verdicts = [li["data-verdict"] for li in shown.all("li") if "data-verdict" in li]
    assert verdicts == ["manipulated", "no_trace_found", "not_examined", "not_examined"]
    assert shown.text.count('a"><b>.jpg') == 2
    filters = [i["id"] for i in shown.all("input") if i.get("name") == "show"]
    assert filters == ["show-all", "show-manipulated", "show-no_trace_found", "show-not_examined"]


def test_sections_are_consumed_one_at_a_time(tmp_path: Path, failure: Failure) -> None:
    alive = 0

    def sections() -> Iterator[str]:
        nonlocal alive
        for number in range(50):
            alive += 1
            yield render_failure(replace(failure, name=f"{number}.jpg"))

    text = write_html(tmp_path / "x.html", sections(), "50 files").read_text()
    assert alive == 50
    assert text.count("<section ") == 50
    assert text.rstrip().endswith("</html>")


def test_an_interrupted_page_leaves_the_old_one(tmp_path: Path, failure: Failure) -> None:
    def sections() -> Iterator[str]:
        yield render_failure(failure)
        raise KeyboardInterrupt

    target = tmp_path / "x.html"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt):
        write_html(target, sections(), "x")
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]


def test_only_sections_are_accepted(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not a section"):
        write_html(tmp_path / "x.html", ["<p>no</p>"], "x")


@pytest.mark.parametrize("label", list(Label))
def test_every_verdict_has_its_icon_colour_and_words(
    tmp_path: Path, report: Report, media: Media, label: Label
) -> None:
    told = replace(report, verdict=replace(report.verdict, label=label))
    text = write_html(tmp_path / "x.html", [render_section(told, media)], "x").read_text()
    assert f'id="icon-{label.value}"' in text
    assert f".tone-{label.value}" in text
    assert text.count(f'href="#icon-{label.value}"') >= 1


def test_media_without_pixels_and_without_findings(tmp_path: Path, quiet: Report) -> None:
    facts = replace(quiet.media, kind=Kind.DOCUMENT, width=None, height=None)
    shown = page(tmp_path, render_section(replace(quiet, media=facts), None))
    assert not shown.all("figure")
    assert "No test gave an answer." in shown.text


def test_one_pixel_and_odd_values(tmp_path: Path, quiet: Report, one_pixel: Media) -> None:
    measured = Measurement(
        float("inf"), maps=(ScoreMap(np.full((1, 1), np.nan, np.float32), 8, 1, 1),),
        regions=(Region(0, 0, 1, 1, None, "target", 3),),
        facts={"nan": float("nan"), "none": None, "deep": {"a": [1, {"b": "<i>"}]},
               "long": "x" * 100_000, "many": list(range(1000))},
    )  # fmt: skip
    known = Calibrated(1e9, float("nan"), float("inf"), 0.0)
    odd = Finding("not_installed", "0", Question.SYNTHETIC, Status.OK, parts=((measured, known),))
    section = render_section(replace(quiet, findings=(odd,)), one_pixel)
    assert len(section) < 30_000
    assert "Not installed" in page(tmp_path, section).text


def test_the_arrow_runs_from_source_to_target(report: Report, media: Media) -> None:
    section = render_section(report, media)
    (source, target) = next(f for f in report.findings if f.detector == "copy_move").regions
    start = (source.x + source.width / 2, source.y + source.height / 2)
    end = (target.x + target.width / 2, target.y + target.height / 2)
    expected = f"M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"
    assert len(re.findall(f'd="{re.escape(expected)}', section)) == 2  # with its casing


class TestProbabilities:
    """A number is shown only where the evidence carries it."""

    def shown(self, quiet: Report, answer: Answer, tmp_path: Path) -> str:
        verdict = replace(quiet.verdict, answers=(answer,))
        section = render_section(replace(quiet, verdict=verdict), None)
        return " ".join(page(tmp_path, section).text.split())

    @pytest.mark.parametrize(
        ("p", "decision", "expected"),
        [
            (0.3, Decision.CLEAR, "no evidence"),
            (0.07, Decision.INCONCLUSIVE, "weak evidence"),
            (0.04, Decision.INCONCLUSIVE, "82 %"),
            (0.005, Decision.ACCUSED, "82 %"),
        ],
    )
    def test_it_takes_strong_evidence(
        self, quiet: Report, tmp_path: Path, p: float, decision: Decision, expected: str
    ) -> None:
        answer = Answer(Question.SYNTHETIC, WHOLE, 0.82, p, decision)
        text = self.shown(quiet, answer, tmp_path)
        assert f"Made by a generator{expected}" in text.replace("generator ", "generator")
        assert ("82 %" in text) == (expected == "82 %")

    def test_a_face_is_named(self, quiet: Report, tmp_path: Path) -> None:
        where = Where("video", Span(2.0, 65.5), None, "face 1")
        answer = Answer(Question.FACE_FORGED, where, 0.96, 0.001, Decision.ACCUSED)
        text = self.shown(quiet, answer, tmp_path)
        assert "A forged face, face 1, 0:02.0 to 1:05.5" in text


class TestHistory:
    """Detectors say what their facts tell of the file's history; here it is put in order."""

    @pytest.fixture
    def told(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Event]]:
        events: dict[str, list[Event]] = {}
        monkeypatch.setattr(provenance, "history", lambda finding: events[finding.detector])
        return events

    def timeline(self, told: dict[str, list[Event]]) -> list[str]:
        findings = [Finding(name, "1", Question.PROVENANCE, Status.OK) for name in told]
        return [event.what for event in provenance.timeline(findings)]

    def event(self, what: str, when: str = "") -> Event:
        return Event(when, what, "", "test", "stated")

    def test_dates_of_two_kinds_order_it(self, told: dict[str, list[Event]]) -> None:
        told["a"] = [self.event("made"), self.event("signed", "2024-02-03T04:05:06+02:00")]
        told["b"] = [self.event("taken", "2021:05:04 10:11:12"), self.event("saved")]
        assert self.timeline(told) == ["taken", "saved", "made", "signed"]

    def test_what_has_no_date_comes_first(self, told: dict[str, list[Event]]) -> None:
        told["a"] = [self.event("taken", "2021-05-04")]
        told["b"] = [self.event("generated", "no date at all")]
        assert self.timeline(told) == ["generated", "taken"]

    def test_nothing_told(self, told: dict[str, list[Event]]) -> None:
        assert self.timeline(told) == []

    def test_other_findings_tell_nothing(self, told: dict[str, list[Event]]) -> None:
        told["a"] = [self.event("taken")]
        finding = Finding("a", "1", Question.EDITED, Status.OK)
        assert provenance.timeline([finding]) == []

    def test_facts_of_another_version_do_no_harm(self, report: Report) -> None:
        broken = [
            part_changed(finding, facts=dict.fromkeys(finding.facts, 7))
            for finding in report.findings
            if finding.status is Status.OK
        ]
        provenance.timeline(broken)
