"""Metadata are read as they were written, bounded, and never raise."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ExifTags, PngImagePlugin
from PIL import Image as Pillow
from PIL.TiffImagePlugin import IFDRational

from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.metadata import Metadata, open_thumbnail
from bonafide.media.png import read_chunks
from bonafide.testing import photograph

PICTURE = Pillow.fromarray(photograph(96, 72))
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>Grüße</a></x:xmpmeta>'


def encode(container: str, picture: Pillow.Image = PICTURE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, container, **options)
    return buffer.getvalue()


def read(data: bytes, **limits: int) -> Metadata:
    return Image(data, limits=Limits(**limits)).metadata


def exif_block() -> Pillow.Exif:
    exif = Pillow.Exif()
    exif[ExifTags.Base.Make] = "Example\x00"
    exif[ExifTags.Base.Software] = "Editor 1.0"
    exif[ExifTags.Base.XResolution] = 72.0
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = "2020:01:02 03:04:05"
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FNumber] = 2.8
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitudeRef] = "N"
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (48.0, 51.0, 29.99)
    return exif


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_exif_in_every_container(container: str) -> None:
    try:
        data = encode(container, exif=exif_block())
    except (KeyError, OSError):
        pytest.skip(f"this Pillow writes no {container}")
    found = read(data)
    assert found.exif["Make"] == "Example"
    assert found.exif["Software"] == "Editor 1.0"
    assert found.defects == ()
    if container == "TIFF":
        return  # Pillow writes no further directories into a TIFF
    assert found.exif["DateTimeOriginal"] == "2020:01:02 03:04:05"
    assert found.exif["FNumber"] == pytest.approx(2.8)
    assert found.gps["GPSLatitudeRef"] == "N"
    assert found.gps["GPSLatitude"] == pytest.approx((48.0, 51.0, 29.99))
    json.dumps(dict(found.exif), allow_nan=False, default=lambda value: value.hex())


def test_a_picture_without_metadata_has_none() -> None:
    for container in ("JPEG", "PNG", "WEBP", "BMP", "GIF"):
        found = read(encode(container))
        assert (found.exif, found.gps, found.thumbnail, found.xmp) == ({}, {}, None, "")
        assert (found.iptc, found.text, found.icc_profile) == ({}, {}, b"")
        assert found.defects == ()


def test_thumbnail_is_extracted_and_decoded() -> None:
    piexif = pytest.importorskip("piexif")
    small = encode("JPEG", PICTURE.resize((48, 36)))
    block = piexif.dump(
        {
            "0th": {piexif.ImageIFD.Make: b"Example"},
            "1st": {piexif.ImageIFD.Compression: 6},
            "thumbnail": small,
        }
    )
    found = read(encode("JPEG", exif=block))
    assert found.thumbnail is not None  # piexif drops its JFIF header, so compare pixels
    expected = Pillow.open(io.BytesIO(small))
    assert np.array_equal(np.asarray(open_thumbnail(found.thumbnail)), np.asarray(expected))
    assert found.exif_bytes and not found.exif_bytes.startswith(b"Exif")
    with_maker_note = piexif.dump({"Exif": {piexif.ExifIFD.MakerNote: b"Nikon\x00" + bytes(50)}})
    assert read(encode("JPEG", exif=with_maker_note)).exif["MakerNote"] == b"Nikon\x00" + bytes(50)


@pytest.mark.parametrize(("offset", "length"), [(10**9, 100), (0, 2**31), (8, 0), (8, 50)])
def test_a_thumbnail_that_points_nowhere_is_none(offset: int, length: int) -> None:
    entries = struct.pack("<H", 0) + struct.pack("<I", 14)  # an empty first directory
    second = struct.pack("<H", 2)
    second += struct.pack("<HHII", 513, 4, 1, offset) + struct.pack("<HHII", 514, 4, 1, length)
    block = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + entries + second + bytes(4)
    assert read(encode("JPEG", exif=block)).thumbnail is None


def test_a_huge_thumbnail_is_not_decoded() -> None:
    with pytest.raises(OSError, match="larger than one megapixel"):
        open_thumbnail(encode("JPEG", Pillow.new("L", (1001, 1000))))
    with pytest.raises(OSError):
        open_thumbnail(b"\xff\xd8 no picture")


def test_zero_over_zero_stays_json_safe() -> None:
    exif = Pillow.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = IFDRational(0, 0)
    value = read(encode("JPEG", exif=exif)).exif["ExposureTime"]
    json.dumps(value, allow_nan=False)
    assert not isinstance(value, float)


@pytest.mark.parametrize("container", ["JPEG", "WEBP", "PNG", "TIFF"])
def test_xmp(container: str) -> None:
    options: dict[str, Any] = {"xmp": XMP.encode()}
    if container == "PNG":
        information = PngImagePlugin.PngInfo()
        information.add_itxt("XML:com.adobe.xmp", XMP)
        options = {"pnginfo": information}
    elif container == "TIFF":
        options = {"tiffinfo": {700: XMP.encode()}}
    assert read(encode(container, **options)).xmp == XMP


def test_iptc() -> None:
    def dataset(number: int, value: bytes) -> bytes:
        return b"\x1c\x02" + bytes([number]) + struct.pack(">H", len(value)) + value

    records = dataset(80, b"A. Photographer") + dataset(25, b"one") + dataset(25, b"two")
    resource = b"8BIM\x04\x04\x00\x00" + struct.pack(">I", len(records)) + records
    resource += b"\x00" * (len(records) % 2)
    body = b"Photoshop 3.0\x00" + resource
    data = encode("JPEG")
    segment = b"\xff\xed" + struct.pack(">H", len(body) + 2) + body
    found = read(data[:2] + segment + data[2:])
    assert found.iptc["By-line"] == ("A. Photographer",)
    assert found.iptc["Keywords"] == ("one", "two")


def test_comment_and_colour_profile() -> None:
    assert read(encode("JPEG", comment="made by hand")).comment == "made by hand"
    assert read(encode("GIF", comment=b"made by hand")).comment == "made by hand"
    for container in ("JPEG", "PNG", "WEBP"):
        assert read(encode(container, icc_profile=b"profile" * 40)).icc_profile == b"profile" * 40


# ---- PNG chunks ----


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(*chunks: bytes, after_pixels: bool = False) -> bytes:
    plain = encode("PNG")
    position = plain.index(b"IEND" if after_pixels else b"IDAT") - 4
    return plain[:position] + b"".join(chunks) + plain[position:]


ITXT = b"Title\x00\x00\x00de\x00Titel\x00" + "Grüße".encode()
ZITXT = b"Title\x00\x01\x00\x00\x00" + zlib.compress("Grüße".encode())


@pytest.mark.parametrize("after_pixels", [False, True])
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"tEXt", b"Title\x00Gr\xfc\xdfe"),
        (b"tEXt", b"Title\x00" + "Grüße".encode()),
        (b"zTXt", b"Title\x00\x00" + zlib.compress(b"Gr\xfc\xdfe")),
        (b"iTXt", ITXT),
        (b"iTXt", ZITXT),
    ],
)
def test_png_text_before_and_after_the_pixels(kind: bytes, body: bytes, after_pixels: bool) -> None:
    data = png(chunk(kind, body), after_pixels=after_pixels)
    assert read(data).text == {"Title": "Grüße"}


def test_png_text_agrees_with_pillow() -> None:
    information = PngImagePlugin.PngInfo()
    information.add_text("parameters", "a cat\nSteps: 20", zip=True)
    information.add_text("prompt", '{"1": {}}')
    information.add_itxt("Comment", "日本語", "ja", "Kommentar", zip=True)
    data = encode("PNG", pnginfo=information)
    opened = Pillow.open(io.BytesIO(data))
    assert read(data).text == {key: str(value) for key, value in opened.text.items()}


def test_png_text_survives_a_cut_file_and_costs_no_pixels() -> None:
    data = png(chunk(b"tEXt", b"parameters\x00Steps: 20"))
    cut = data[: data.index(b"IDAT") + 100]
    media = Image(cut)
    assert media.metadata.text["parameters"] == "Steps: 20"
    assert "stored_pixels" not in media.__dict__


@pytest.mark.parametrize("after_pixels", [False, True])
def test_png_exif_before_and_after_the_pixels(after_pixels: bool) -> None:
    block = exif_block().tobytes().removeprefix(b"Exif\x00\x00")
    found = read(png(chunk(b"eXIf", block), after_pixels=after_pixels))
    assert found.exif["Software"] == "Editor 1.0"
    assert found.exif_bytes == block


def test_exif_in_the_older_text_profile() -> None:
    block = b"Exif\x00\x00" + exif_block().tobytes().removeprefix(b"Exif\x00\x00")
    profile = f"\nexif\n{len(block):8}\n{block.hex()}\n".encode()
    found = read(png(chunk(b"tEXt", b"Raw profile type exif\x00" + profile)))
    assert found.exif["Software"] == "Editor 1.0"


def test_text_that_unpacks_to_too_much_is_a_defect() -> None:
    bomb = zlib.compress(bytes(50_000_000), 9)
    for kind, body in ((b"zTXt", b"a\x00\x00" + bomb), (b"iTXt", b"a\x00\x01\x00\x00\x00" + bomb)):
        found = read_chunks(png(chunk(kind, body)), Limits(metadata_bytes=100_000))
        assert found.text == {}
        assert "unpacks to more than" in found.defects[0]
    many = [chunk(b"tEXt", b"k%d\x00v" % number) for number in range(3000)]
    assert len(read(png(*many)).text) <= 1000


@pytest.mark.parametrize(
    "body",
    [b"", b"no separator", b"\x00no keyword", b"k" * 80 + b"\x00long keyword"],
)
def test_malformed_text_is_a_defect(body: bytes) -> None:
    found = read_chunks(png(chunk(b"tEXt", body)), Limits())
    assert found.text == {} and len(found.defects) == 1
    for kind in (b"zTXt", b"iTXt"):
        found = read_chunks(png(chunk(kind, b"Title\x00\x01")), Limits())
        assert found.text.get("Title", "") == "" and len(found.defects) <= 1


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_walked(tail: bytes) -> None:
    found = read_chunks(b"\x89PNG\r\n\x1a\n" + tail, Limits())
    assert len(found.defects) <= 20


# ---- limits and hostile blocks ----


def test_blocks_over_the_limit_are_not_read() -> None:
    for options in ({"comment": b"x" * 5000}, {"xmp": b"x" * 5000}, {"icc_profile": b"x" * 5000}):
        found = read(encode("JPEG", **options), metadata_bytes=1000)
        assert (found.comment, found.xmp, found.icc_profile) == ("", "", b"")
        assert len(found.defects) == 1 and "over the limit" in found.defects[0]


@pytest.mark.parametrize("container", ["JPEG", "PNG", "WEBP"])
def test_damaged_exif_never_raises_and_never_prints(container: str) -> None:
    block = exif_block().tobytes().removeprefix(b"Exif\x00\x00")
    rng = np.random.default_rng(7)
    with_defects = 0
    for _ in range(150):
        broken = bytearray(block)
        for position in rng.integers(0, len(broken), rng.integers(1, 6)):
            broken[position] = rng.choice([0, 1, 255, rng.integers(256)])
        exif = b"Exif\x00\x00" + bytes(broken[: rng.integers(4, len(broken) + 1)])
        if container == "PNG":
            data = png(chunk(b"eXIf", exif[6:]))
        else:
            try:
                data = encode(container, exif=exif)
            except Exception:  # Pillow may refuse to write what it should refuse to read
                continue
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = read(data)
        with_defects += bool(found.defects)
        assert all(len(defect) <= 300 for defect in found.defects)
    assert with_defects > 10


def test_a_directory_that_points_at_itself_ends() -> None:
    entry = struct.pack("<HHII", ExifTags.IFD.Exif, 4, 1, 8)  # the Exif directory is the first one
    block = b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<H", 1) + entry
    block += struct.pack("<I", 8)
    assert isinstance(read(encode("JPEG", exif=block)), Metadata)
