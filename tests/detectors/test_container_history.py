"""What wrote a file last is told from its container, within bounds, and accuses nobody."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image as Pillow
from skimage import data
from tests.detectors.test_provenance_fuzz import movie

from bonafide import registry
from bonafide.detectors.provenance import container_history
from bonafide.detectors.provenance._container_form import (
    LEVELS,
    jpeg_keys,
    png_keys,
    scaled,
    short,
)
from bonafide.detectors.provenance._container_movie import movie_facts
from bonafide.detectors.provenance._container_names import named_like, screen_of
from bonafide.detectors.provenance._container_table import FILE, Entry, keys_of, named, table
from bonafide.media.boxes import read_boxes, xmp_of
from bonafide.media.chunks import read_png_writing, webp_chunks
from bonafide.media.jpeg import markers, read_structure
from bonafide.media.jpeg_writing import read_writing
from bonafide.media.source import open_media
from bonafide.report.provenance import timeline
from bonafide.testing import measure
from bonafide.types import Finding, Status

CAT = Pillow.fromarray(data.chelsea())
COFFEE = Pillow.fromarray(data.coffee())


def saved(picture: Pillow.Image, format: str = "JPEG", **options: object) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    picture.save(buffer, format, **options)
    return buffer.getvalue()


def exif(make: str = "Canon", model: str = "Canon EOS 70D") -> Pillow.Exif:
    tags = Pillow.Exif()
    tags[0x010F], tags[0x0110] = make, model
    return tags


def find(content: bytes, name: str = "bytes") -> Finding:
    media = open_media(content, name)
    return measure(container_history.Detector(), media, container_history.CARD)


def as_a_camera(content: bytes) -> bytes:
    """The same coded picture as many cameras write it: no JFIF, tables joined, EXIF first."""
    parts: dict[int, list[bytes]] = {}
    scan = b""
    for marker, start, length in markers(content):
        if marker == 0xDA:
            scan = content[start - 4 :]
            break
        parts.setdefault(marker, []).append(content[start : start + length])
    out = b"\xff\xd8"
    for marker in (0xE1, 0xDB, 0xC0, 0xC4):
        body = b"".join(parts[marker])
        out += bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body
    return out + scan


@pytest.mark.parametrize("options", [
    {}, {"quality": 92}, {"quality": 60, "subsampling": "4:4:4"}, {"progressive": True},
    {"optimize": True}, {"exif": exif()}, {"dpi": (300, 300)},
])  # fmt: skip
def test_a_jpeg_of_pillow_is_libjpegs(options: dict[str, object]) -> None:
    finding = find(saved(CAT, **options))
    assert finding.status is Status.OK and finding.facts["last_saved_by"] == "libjpeg"
    assert "last saved by libjpeg" in finding.summary
    assert finding.score is None and finding.claim is None and not finding.main.contradiction


def test_content_and_quality_do_not_change_the_key() -> None:
    first, second = (read_writing(saved(one, quality=q)) for one, q in ((CAT, 60), (COFFEE, 90)))
    assert first and second
    assert jpeg_keys(first) == jpeg_keys(second) and set(jpeg_keys(first)) == set(LEVELS)
    assert scaled(first).quality == 60 and scaled(second).quality == 90
    third = read_writing(saved(CAT, quality=60, progressive=True))
    assert third and jpeg_keys(third)["grammar"] != jpeg_keys(first)["grammar"]
    one, two = (read_png_writing(saved(picture, "PNG")) for picture in (CAT, COFFEE))
    assert one and two and png_keys(one) == png_keys(two)
    assert one.packets[0] == 65536  # Pillow's


def test_a_camera_and_a_program_that_kept_its_exif_are_told_apart() -> None:
    own = [[min(255, 3 + k // 2 + k % 5) for k in range(64)], [7 + k // 3 for k in range(64)]]
    options = {"subsampling": "4:2:2", "qtables": own, "exif": exif()}
    camera = find(as_a_camera(saved(CAT, **options)))
    assert str(camera.facts["last_saved_by"]).startswith("a camera")
    assert "after the camera" not in camera.summary
    assert str(camera.facts["quantisation"]).startswith("own tables")
    again = find(saved(CAT, exif=exif()))
    assert again.facts["last_saved_by"] == "libjpeg"
    assert again.facts["camera_in_exif"] == "Canon EOS 70D"
    assert "after the camera “Canon EOS 70D” that EXIF names" in again.summary
    assert not again.main.contradiction


def test_other_containers() -> None:
    png = find(saved(CAT, "PNG"))
    assert png.facts["packet_bytes"] == 65536 and png.facts["filters"]
    assert png.facts["chunks"] == "IHDR IDAT IEND"
    webp = find(saved(CAT, "WEBP"))
    assert webp.facts["last_saved_by"] == "libwebp" and webp.facts["chunks"] == "VP8"
    clip = find(movie(), "clip.mp4")
    assert clip.facts["last_saved_by"] == "FFmpeg"
    assert clip.facts["boxes"] == "ftyp free mdat moov"
    assert any("Lavf" in str(text) for text in clip.facts["encoders"])  # type: ignore[union-attr]
    assert find(saved(CAT, "TIFF")).status is Status.NOT_APPLICABLE


def test_the_last_save_is_the_last_event() -> None:
    tags = exif()
    tags.get_ifd(0x8769)[0x9003] = "2019:05:06 07:08:09"
    media = open_media(saved(CAT, exif=tags))
    found = [
        measure(registry.load(name), media, registry.card(name))
        for name in ("container_history", "exif_consistency")
    ]
    events = timeline(found)
    assert [event.what for event in events] == ["Captured", "Last saved by libjpeg"]
    assert "Pillow" in events[-1].detail


def test_the_thumbnail_and_what_follows_are_read() -> None:
    content = saved(CAT, quality=80) + bytes(100)
    facts = find(content).facts
    assert (facts["trailing_bytes"], facts["trailer"]) == (100, "zeros")
    assert find(saved(CAT) + saved(COFFEE)).facts["trailer"] == "another JPEG"
    structure = read_structure(content)
    assert structure is not None and structure.trailing_bytes == 100


def box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return struct.pack(">I", 8 + len(body)) + kind + body


def handler(kind: bytes, name: bytes) -> bytes:
    return box(b"hdlr", bytes(8), kind, bytes(12), name, b"\x00")


def film(*names: bytes, encoder: bytes = b"", seconds: int = 3_600_000_000) -> bytes:
    tracks = [
        box(
            b"trak",
            box(b"edts", box(b"elst", bytes(4), struct.pack(">IIiI", 1, 100, 512, 1 << 16))),
            box(b"mdia", handler(b"vide", name)),
        )
        for name in names
    ]
    told = box(b"\xa9too", box(b"data", bytes(8), encoder))
    meta = box(b"meta", bytes(4), handler(b"mdir", b""), box(b"ilst", told))
    header = box(b"mvhd", bytes(4), struct.pack(">IIII", seconds, seconds + 60, 1000, 5000))
    return box(b"ftyp", b"isom", bytes(4), b"isommp42") + box(
        b"moov", header, *tracks, box(b"udta", meta)
    )


def facts_of(content: bytes) -> dict[str, object]:
    stream = io.BytesIO(content)
    return dict(movie_facts(read_boxes(stream, len(content)), stream))


def test_names_in_a_film_tell_its_programs_in_turn() -> None:
    facts = facts_of(film(b"Core Media Video", encoder=b"Lavf61.7.100"))
    assert (facts["last_saved_by"], facts["came_through"]) == ("FFmpeg", ["Apple's Core Media"])
    assert facts["created_at"] == "2018-01-28T16:00:00+00:00"
    assert facts["brands"] == ["isom", "isom", "mp42"]
    assert facts["edit_lists"] == ["1 part, 0 empty, starting at 512 of the track's time units"]
    assert facts_of(film(b"VideoHandle"))["last_saved_by"] == "Android"
    youtube = facts_of(film(b"ISO Media file produced by Google Inc."))
    assert youtube["last_saved_by"] == "Google (YouTube)"
    assert "last_saved_by" not in facts_of(film(b"Unknown"))
    assert "created_at" not in facts_of(film(b"a", seconds=0))
    events = list(container_history.history(facts))  # type: ignore[arg-type]
    assert [event.last for event in events] == [False, False, True]


def test_boxes_are_read_within_bounds() -> None:
    deep = b""
    for _ in range(200):
        deep = box(b"moov", deep)
    assert len(read_boxes(io.BytesIO(deep), len(deep))) == 9
    many = box(b"free") * 10_000
    assert len(read_boxes(io.BytesIO(many), len(many))) == 3_000
    huge = struct.pack(">I4sQ", 1, b"mdat", 1 << 62)
    assert read_boxes(io.BytesIO(huge), len(huge))[0].size == len(huge)
    assert read_boxes(io.BytesIO(b"\x00\x00\x00\x04moov"), 8) == ()
    assert read_boxes(io.BytesIO(b""), 0) == ()
    assert xmp_of(read_boxes(io.BytesIO(deep), len(deep))) == ""
    long = box(b"ftyp", bytes(1_000_000))
    assert len(read_boxes(io.BytesIO(long), len(long))[0].body) == 8_192


def test_nothing_is_read_out_of_noise() -> None:
    random = np.random.default_rng(3)
    for head in (b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF\x00\x00\x00\x00WEBP", b""):
        for _ in range(50):
            noise = head + random.bytes(300)
            read_writing(noise)
            read_png_writing(noise)
            webp_chunks(noise)
            facts_of(noise)


@pytest.mark.parametrize(("name", "who"), [
    ("IMG-20240102-WA0003.jpg", "WhatsApp"), ("photo_2024-01-02_03-04-05.jpg", "Telegram"),
    ("signal-2024-01-02-030405.jpg", "Signal"), ("FB_IMG_1700000000000.jpg", "Facebook"),
    ("F8kQx1ZXkAAbCdE.jpg", "X (Twitter)"), ("Screenshot_20240102-030405.png", "a screenshot"),
    ("PXL_20240102_030405678.jpg", "the camera of a Google Pixel"), ("holiday.jpg", ""),
    ("IMG_1234.jpg", ""), ("HolidayPhoto_01.jpg", ""), ("photograph_2024.jpg", ""),
])  # fmt: skip
def test_names(name: str, who: str) -> None:
    assert named_like(name) == who
    assert find(saved(CAT), name).facts.get("named_like", "") == who


def test_a_screenshot_is_said_as_a_size_and_never_of_a_camera() -> None:
    blank = Pillow.new("RGB", (1170, 2532))
    assert screen_of(2532, 1170) and not screen_of(1171, 2532)
    assert "it has the size of a screen" in find(saved(blank, "PNG")).summary
    assert "screen_size" not in find(saved(blank, exif=exif())).facts


def test_the_table_is_small_and_counts_what_it_names() -> None:
    assert FILE.stat().st_size < 300_000
    rows = table()
    assert len(rows) > 100
    for entries in rows.values():
        assert entries and all(one.files >= one.sources >= 1 for one in entries)
        assert any(one.library for one in entries) or sum(one.sources for one in entries) > 1


def test_what_is_ambiguous_is_not_named() -> None:
    keys = keys_of(open_media(saved(CAT)))
    assert named(keys, {}) is None
    place = "w" + short(keys["whole"])
    two = {place: (Entry("A", "one", 9, 9), Entry("B", "two", 9, 9))}
    assert named(keys, two) is None
    once = {place: (Entry("a camera by X", "", 9, 1),)}
    assert named(keys, once) is None  # one source does not generalise
    found = {place: (Entry("Editor", "", 9, 3), Entry("Other", "", 1, 1))}
    assert named(keys, found) is None  # too many disagree
    agreed = named(keys, {place: (Entry("Editor", "", 9, 3),)})
    assert agreed is not None and agreed.by == "Editor" and not agreed.made
