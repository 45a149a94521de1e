"""EXIF written whole, as a camera would, and then with one thing wrong at a time."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import piexif
import pytest
import skimage.data
from PIL import Image as Pillow

from bonafide.detectors.provenance.exif_consistency import CARD, Detector
from bonafide.media.makers import editor, is_known_make
from bonafide.media.source import open_media
from bonafide.testing import measure
from bonafide.types import Finding, Status

WIDTH, HEIGHT = 480, 320


def picture(name: str = "coffee") -> Pillow.Image:
    return Pillow.fromarray(getattr(skimage.data, name)()).resize((WIDTH, HEIGHT))


def thumbnail(shown: Pillow.Image) -> bytes:
    buffer = io.BytesIO()
    small = shown.copy()
    small.thumbnail((160, 160))
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def camera(**changes: Any) -> dict[str, Any]:
    """A consistent EXIF block; `changes` replace or, when None, remove values."""
    blocks: dict[str, Any] = {
        "0th": {
            piexif.ImageIFD.Make: b"NIKON CORPORATION",
            piexif.ImageIFD.Model: b"NIKON D300",
            piexif.ImageIFD.DateTime: b"2012:07:14 16:30:12",
        },
        "Exif": {
            piexif.ExifIFD.ExifVersion: b"0221",
            piexif.ExifIFD.ExposureTime: (1, 125),
            piexif.ExifIFD.FNumber: (56, 10),
            piexif.ExifIFD.ISOSpeedRatings: 200,
            piexif.ExifIFD.DateTimeOriginal: b"2012:07:14 16:30:12",
            piexif.ExifIFD.DateTimeDigitized: b"2012:07:14 16:30:12",
            piexif.ExifIFD.PixelXDimension: WIDTH,
            piexif.ExifIFD.PixelYDimension: HEIGHT,
            piexif.ExifIFD.MakerNote: b"Nikon\x00\x02\x10\x00\x00MM\x00*" + bytes(50),
        },
        "GPS": {
            piexif.GPSIFD.GPSLatitudeRef: b"N",
            piexif.GPSIFD.GPSLatitude: ((43, 1), (28, 1), (3, 1)),
            piexif.GPSIFD.GPSLongitudeRef: b"E",
            piexif.GPSIFD.GPSLongitude: ((11, 1), (53, 1), (6, 1)),
            piexif.GPSIFD.GPSDateStamp: b"2012:07:14",
        },
        "1st": {},
        "thumbnail": thumbnail(picture()),
    }
    where = {"Exif": piexif.ExifIFD, "GPS": piexif.GPSIFD, "0th": piexif.ImageIFD}
    for name, value in changes.items():
        if name == "thumbnail":
            blocks["thumbnail"] = value
            continue
        block = next(key for key, tags in where.items() if hasattr(tags, name))
        tag = getattr(where[block], name)
        if value is None:
            blocks[block].pop(tag)
        else:
            blocks[block][tag] = value
    return blocks


def jpeg(shown: Pillow.Image | None = None, xmp: str = "", **changes: Any) -> bytes:
    buffer = io.BytesIO()
    (shown or picture()).save(
        buffer, "JPEG", quality=92, exif=piexif.dump(camera(**changes)), xmp=xmp.encode()
    )
    return buffer.getvalue()


def examine(data: bytes) -> Finding:
    finding = measure(Detector(), open_media(data), CARD)
    assert set(finding.facts) <= set(CARD.facts)
    assert finding.claim is None
    json.dumps(dict(finding.facts), allow_nan=False)
    return finding


def test_a_consistent_file_is_quiet() -> None:
    finding = examine(jpeg())
    assert finding.facts["contradictions"] == []
    assert finding.score == 0.0
    assert finding.map is None and finding.regions == ()
    assert finding.facts["camera"] == "NIKON D300"
    assert finding.facts["captured_at"] == "2012-07-14T16:30:12"
    assert finding.facts["checks"] == 7
    assert "can be forged" in finding.summary


def test_no_exif_is_not_applicable() -> None:
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG")
    finding = measure(Detector(), open_media(buffer.getvalue()), CARD)
    assert finding.status is Status.NOT_APPLICABLE
    assert "proves nothing" in finding.why


XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" {} />'
    "</rdf:RDF></x:xmpmeta>"
)
CANON_NOTE = b"Canon" + bytes(40)

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "another thumbnail": ({"thumbnail": thumbnail(picture("astronaut"))}, "thumbnail_differs"),
    "a cropped picture": (
        {"shown": picture().crop((40, 40, 340, 240)).resize((WIDTH, HEIGHT))},
        "thumbnail_differs",
    ),
    "another size": ({"PixelXDimension": 4288, "PixelYDimension": 2848}, "size_disagrees"),
    "another maker": ({"Make": b"Canon", "Model": b"Canon EOS 40D"}, "maker_note_disagrees"),
    "an iPhone without its note": (
        {"Make": b"Apple", "Model": b"iPhone 15", "MakerNote": CANON_NOTE},
        "maker_note_disagrees",
    ),
    "an unknown maker": ({"Make": b"FakeBrand", "MakerNote": CANON_NOTE}, "make_unknown"),
    "changed before it was taken": ({"DateTime": b"2011:01:01 00:00:00"}, "dates_disagree"),
    "digitised before it was taken": (
        {"DateTimeDigitized": b"2012:07:01 00:00:00"},
        "dates_disagree",
    ),
    "the future": ({"DateTimeOriginal": b"2199:07:14 16:30:12"}, "dates_disagree"),
    "the 31st of June": ({"DateTimeOriginal": b"2012:06:31 16:30:12"}, "dates_disagree"),
    "another day by satellite": ({"GPSDateStamp": b"2012:05:01"}, "dates_disagree"),
    "beyond the pole": ({"GPSLatitude": ((95, 1), (0, 1), (0, 1))}, "gps_implausible"),
    "no hemisphere": ({"GPSLatitudeRef": None}, "gps_implausible"),
    "half a position": ({"GPSLongitude": None}, "gps_implausible"),
    "another camera in XMP": (
        {"xmp": XMP.format('tiff:Make="NIKON CORPORATION" tiff:Model="NIKON D5"')},
        "xmp_disagrees",
    ),
    "a camera that measured nothing": (
        {"ExifVersion": None, "ExposureTime": None, "FNumber": None, "ISOSpeedRatings": None},
        "fields_missing",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_contradiction_alone(name: str) -> None:
    changes, expected = WRONG[name]
    finding = examine(jpeg(**changes))
    assert finding.facts["contradictions"] == [expected]
    assert finding.score is not None and finding.score >= 1.0
    assert isinstance(finding.facts[expected], str)
    assert expected.replace("_", " ") in finding.summary


def _without_scan(data: bytes) -> bytes:
    return data[: data.index(b"\xff\xda") + 14] + b"\xff\xd9"


def test_a_local_edit_under_an_old_thumbnail_is_mapped() -> None:
    edited = picture()
    edited.paste(picture("astronaut").resize((120, 100)), (300, 60))
    finding = examine(jpeg(shown=edited))
    assert finding.facts["contradictions"] == ["thumbnail_differs"]
    assert finding.map is not None and finding.map.enlarge().shape == (HEIGHT, WIDTH)
    marked = finding.map.enlarge() >= 0.5
    assert marked[60:160, 300:420].mean() > 0.5
    assert marked.mean() < 0.2
    assert finding.regions[0].x >= 270 and finding.regions[0].y >= 40


HARMLESS: dict[str, dict[str, Any]] = {
    "a clock that was never set": {
        "DateTime": b"0000:00:00 00:00:00",
        "DateTimeOriginal": b"    :  :     :  :  ",
    },
    "edited a year later": {"DateTime": b"2013:07:14 16:30:12", "Software": b"GIMP 2.10"},
    "midnight across time zones": {"GPSDateStamp": b"2012:07:15"},
    "an old receiver after a rollover": {"GPSDateStamp": b"1992:11:28"},
    "no thumbnail": {"thumbnail": None},
    "no position": {"GPSLatitude": None, "GPSLongitude": None},
    "a camera without a fix": {
        "GPSLatitude": ((0, 0), (0, 0), (0, 0)),
        "GPSLongitude": ((0, 0), (0, 0), (0, 0)),
    },
    "a sideways size": {"PixelXDimension": HEIGHT, "PixelYDimension": WIDTH},
    "XMP in other letters": {"xmp": XMP.format('tiff:Make="Nikon Corporation"')},
    "a damaged thumbnail": {"thumbnail": _without_scan(thumbnail(picture()))},
}


@pytest.mark.parametrize("name", HARMLESS)
def test_honest_oddities_are_no_contradiction(name: str) -> None:
    finding = examine(jpeg(**HARMLESS[name]))
    assert finding.facts["contradictions"] == []
    assert finding.score == 0.0


def test_editing_software_is_named_but_is_no_contradiction() -> None:
    xmp = XMP.format('xmp:CreatorTool="Adobe Photoshop Lightroom 5.3"')
    finding = examine(jpeg(xmp=xmp, Software=b"Snapseed 2.0"))
    assert finding.facts["editing_software"] == ["Snapseed", "Adobe Lightroom"]
    assert finding.score == 0.0
    assert "Snapseed" in finding.summary


def test_a_missing_maker_note_is_only_a_note() -> None:
    finding = examine(jpeg(MakerNote=None))
    assert finding.score == 0.0
    assert any("maker note" in str(note) for note in finding.facts["notes"])  # type: ignore[union-attr]
    edited = examine(jpeg(MakerNote=None, Software=b"GIMP 2.10"))
    assert not any("write a maker note" in str(note) for note in edited.facts["notes"])  # type: ignore[union-attr]


def test_a_turned_picture_agrees_with_its_thumbnail() -> None:
    finding = examine(jpeg(Orientation=6))
    assert finding.facts["contradictions"] == []


@pytest.mark.parametrize(
    "make",
    ["Canon", "NIKON CORPORATION", "EASTMAN KODAK COMPANY", "samsung", "SONY", "Apple", "HUAWEI",
     "OLYMPUS OPTICAL CO.,LTD", "Hewlett-Packard", "LG Electronics", "Xiaomi", "Google"],
)  # fmt: skip
def test_known_makes(make: str) -> None:
    assert is_known_make(make)


def test_unknown_makes_and_firmware() -> None:
    assert not is_known_make("FakeBrand")
    assert not is_known_make("")
    assert editor("Ver.1.01 ") is None
    assert editor("Digital Camera DX-10 Ver1.00") is None
    assert editor("Adobe Photoshop 25.0 (Windows)") == "Adobe Photoshop"


def test_labelled_files(data: Path) -> None:
    with (data / "forensic_media.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["label"] in ("exif", "exif_forged")]
    high = {"exif": 0, "exif_forged": 0}
    for row in rows:
        finding = examine((data / row["path"]).read_bytes())
        high[row["label"]] += (finding.score or 0.0) >= 2.0
    assert high["exif_forged"] == 5
    assert high["exif"] <= 2
