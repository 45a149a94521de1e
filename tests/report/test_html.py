"""The page: complete, self-contained, and deaf to what files say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bonafide.media.image import Image
from bonafide.report import provenance, regions
from bonafide.report.html import render_failure, render_section, write_html
from bonafide.types import (
    EditedRegion,
    Edits,
    Failure,
    Finding,
    Kind,
    Label,
    Media,
    Question,
    Region,
    Report,
    Segment,
    Status,
)

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


def test_changed_copies_and_limits_are_shown(tmp_path: Path, checked: Report, image: Image) -> None:
    text = " ".join(page(tmp_path, render_section(checked, image)).text.split())
    for words in (
        "On 1 of 1 mildly changed copies it falls.",
        "saved as JPEG at quality 90",
        "a strong change, which no accusation has to survive",
        "31 % to 42 %",
        "Not tried: crop:1: no time was left.",
        "Outside of what it was calibrated on. Its JPEG quality is 20.",
    ):
        assert words in text


def test_regions_are_shown_with_place_kind_and_twin(
    tmp_path: Path, marked: Report, image: Image
) -> None:
    text = " ".join(page(tmp_path, render_section(marked, image)).text.split())
    for words in (
        "Every map that counts here, weighed and joined. 3 marked regions.",
        "11 % of the picture, has a history of its own, as a pasted part has (marked by JPEG",
        "was copied from the place at (90, 260)",
        "The same content elsewhere",
    ):
        assert words in text
    assert text.count("has a history of its own") == 1


def test_crops_are_bounded_in_number_and_size(report: Report) -> None:
    shape = (900, 900)
    heatmap = np.zeros(shape, np.float32)
    for y in range(0, 900, 100):
        heatmap[y : y + 60, :800] = 1
    part = EditedRegion(0, 0, 800, 60, 48000, 0.06, 1.0, ("jpeg_grid",))
    places = tuple(replace(part, y=y) for y in range(0, 900, 100))
    shown = regions.shown(Edits(heatmap, places, 0.5, {}), np.zeros((*shape, 3), np.uint8))
    assert len(shown) == regions.MOST_CROPS
    assert all(one.here.shown_width == regions.CROP < one.here.width for one in shown)


def test_outlines_are_bounded_however_ragged_the_map() -> None:
    random = np.random.default_rng(0)
    path = regions.outlines((random.random((800, 800)) > 0.5).astype(np.float32), 800)
    assert 0 < path.count("L") <= 3000
    assert regions.outlines(np.zeros((50, 80), np.float32), 400) == ""


def test_it_shows_everything_that_is_known(tmp_path: Path, report: Report, image: Image) -> None:
    shown = page(tmp_path, render_section(report, image))
    text = " ".join(shown.text.split())
    expected = [
        "Manipulated", report.verdict.caveat, "not assessed", "above 99 %", "22 %",
        report.media.sha256, "2025-01-02 03:04:05 UTC", "numpy", "2.1.0", "profile",
        "Nikon D750", "2021:05:04 10:11:12", "Stable Diffusion WebUI", "1234567",
        "Example Press Agency", "Saved with Adobe Photoshop 22.3", provenance.NOTHING_PROVED,
        "Not asked", "runs from profile thorough on", "Not applicable", "Failed",
        "0.8 % of genuine calibration pictures", "18.42", "308 times likelier if true",
        "3.5 times likelier if not true", "When it fails", "JPEG quality of the test save",
        "60 × 70 at", *report.explanation,
    ]  # fmt: skip
    assert [words for words in expected if words not in text] == []
    for finding in report.findings:
        assert finding.summary in text
        assert finding.why in text
    assert not shown.all("nav")


def test_reasons_come_in_order(tmp_path: Path, report: Report, image: Image) -> None:
    text = page(tmp_path, render_section(report, image)).text
    places = [text.index(reason.text) for reason in report.verdict.because]
    assert places == sorted(places)


def test_nothing_is_fetched_and_only_our_code_may_run(
    tmp_path: Path, report: Report, image: Image
) -> None:
    shown = page(tmp_path, render_section(report, image))
    for _, attributes in shown.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            assert name != "style"
            if name in ("src", "href"):
                assert (value or "").startswith(("data:image/", "#"))
    policy = next(meta["content"] for meta in shown.all("meta") if "http-equiv" in meta)
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert len(shown.all("script")) == len(shown.all("style")) == 1


def test_hostile_text_stays_text(tmp_path: Path, hostile: Report, image: Image) -> None:
    shown = page(tmp_path, render_section(hostile, image), title="</title><script>x</script>")
    assert len(shown.all("script")) == 1
    assert not shown.all("img")
    assert "<script>document.title='owned'</script>" in shown.text


def test_characters_that_steer_are_shown_by_their_code(tmp_path: Path) -> None:
    failure = Failure("\u202egpj.exe\x1b[31m\udcff\x00.jpg", None, "DecodeError", "damaged")
    shown = page(tmp_path, render_failure(failure), title="\udcff\u202e")
    assert "\\u202egpj.exe\\x1b[31m\\udcff\\x00.jpg" in shown.text


def test_every_id_is_unique_also_for_a_file_given_twice(
    tmp_path: Path, report: Report, image: Image
) -> None:
    section = render_section(report, image)
    shown = page(tmp_path, section, section, section)
    ids = [attributes["id"] for _, attributes in shown.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = {a["href"] for a in shown.all("a")} | {u["href"] for u in shown.all("use")}
    assert links <= {f"#{name}" for name in ids}
    groups = {i["name"] for i in shown.all("input") if "data-choice" in i}
    assert len(groups) == 3


def test_many_files_get_an_index(
    tmp_path: Path, report: Report, quiet: Report, image: Image, failure: Failure
) -> None:
    sections = [
        render_section(report, image),
        render_section(quiet, image),
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
    tmp_path: Path, report: Report, image: Image, label: Label
) -> None:
    told = replace(report, verdict=replace(report.verdict, label=label))
    text = write_html(tmp_path / "x.html", [render_section(told, image)], "x").read_text()
    assert f'id="icon-{label.value}"' in text
    assert f".tone-{label.value}" in text
    assert text.count(f'href="#icon-{label.value}"') >= 1


def test_media_without_pixels_and_without_findings(tmp_path: Path, quiet: Report) -> None:
    class Document(Media):
        kind = Kind.DOCUMENT

    facts = replace(quiet.media, kind=Kind.DOCUMENT, width=None, height=None)
    section = render_section(replace(quiet, media=facts), Document(b"", "a.svg", None, "SVG"))
    shown = page(tmp_path, section)
    assert not shown.all("figure")
    assert "No test gave an answer." in shown.text


def test_one_pixel_and_odd_values(tmp_path: Path, quiet: Report, one_pixel: Image) -> None:
    odd = Finding(
        "not_installed", "0", Question.SYNTHETIC, Status.OK, score=float("inf"),
        heatmap=np.full((1, 1), np.nan, np.float32), probability=float("nan"), llr=1e9,
        regions=(Region(0, 0, 1, 1, None, "target", 3),), segments=(Segment(0.0, 1.25),),
        facts={"nan": float("nan"), "none": None, "deep": {"a": [1, {"b": "<i>"}]},
               "long": "x" * 100_000, "many": list(range(1000))},
    )  # fmt: skip
    section = render_section(replace(quiet, findings=(odd,)), one_pixel)
    assert len(section) < 30_000
    assert "Not installed" in page(tmp_path, section).text


def test_the_arrow_runs_from_source_to_target(report: Report, image: Image) -> None:
    section = render_section(report, image)
    (source, target) = next(f for f in report.findings if f.detector == "copy_move").regions
    start = (source.x + source.width / 2, source.y + source.height / 2)
    end = (target.x + target.width / 2, target.y + target.height / 2)
    expected = f"M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"
    assert len(re.findall(f'd="{re.escape(expected)}', section)) == 2  # with its casing


@pytest.mark.parametrize(
    ("state", "standing"), [("Trusted", "signed"), ("Valid", "stated"), ("Invalid", "broken")]
)
def test_only_a_trusted_signature_counts_as_proof(
    report: Report, state: str, standing: str
) -> None:
    c2pa = next(f for f in report.findings if f.detector == "c2pa_manifest")
    events = provenance.timeline((replace(c2pa, facts={**c2pa.facts, "state": state}),))
    assert {event.standing for event in events} == {standing}
    assert [event.what for event in events] == [
        "Made from another file", "Created → Cropped", "Signed by Example Press Agency",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "count"),
    [({}, 0), ({"state": "none"}, 0), ({"state": "remote", "remote_url": "https://x"}, 1)],
)
def test_timeline_of_little(facts: dict[str, str], count: int) -> None:
    told = Finding("c2pa_manifest", "1", Question.PROVENANCE, Status.OK, facts=facts)
    assert len(provenance.timeline((told,))) == count
