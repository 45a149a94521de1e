"""What is read from JPEG markers and coefficients agrees with independent readings."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy import fft

from bonafide.errors import DecodeError
from bonafide.media.image import Image
from bonafide.media.jpeg import ZIGZAG, read_coefficients, read_structure
from bonafide.testing import photograph, sample_files

PICTURE = Pillow.fromarray(photograph(104, 72))


def jpeg(picture: Pillow.Image = PICTURE, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def structure(data: bytes) -> Any:
    found = read_structure(data)
    assert found is not None
    return found


def blocks(plane: Any) -> Any:
    height, width = plane.shape
    return plane.reshape(height // 8, 8, width // 8, 8).swapaxes(1, 2)


def test_zigzag_starts_and_ends_as_in_the_standard() -> None:
    assert ZIGZAG[:10].tolist() == [0, 1, 8, 16, 9, 2, 3, 10, 17, 24]
    assert ZIGZAG[-4:].tolist() == [47, 55, 62, 63]
    assert sorted(ZIGZAG.tolist()) == list(range(64))


@pytest.mark.parametrize("quality", [1, 30, 75, 90, 100])
def test_quantisation_is_pillows(quality: int) -> None:
    data = jpeg(quality=quality)
    tables = Pillow.open(io.BytesIO(data)).quantization
    found = structure(data)
    assert len(found.quantisation) == 3
    for table, index in zip(found.quantisation, (0, 1, 1), strict=True):
        expected = np.array(tables[index])
        # Pillow has given tables in row order since 8.3.
        assert np.array_equal(table.ravel(), expected)
        assert table.dtype == np.int32


def test_an_asymmetric_table_is_not_transposed() -> None:
    table = list(range(1, 65))
    data = jpeg(qtables=[table, table])
    position = data.index(b"\xff\xdb") + 5
    stored = np.frombuffer(data[position : position + 64], np.uint8)
    found = structure(data).quantisation[0]
    # Horizontal frequency 1 is the second value in the file, vertical frequency 1 the third.
    assert (found[0, 0], found[0, 1], found[1, 0]) == tuple(stored[:3])
    assert np.array_equal(found.ravel()[ZIGZAG], stored)


@pytest.mark.parametrize("sampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_subsampling_and_progressive(sampling: str, progressive: bool) -> None:
    found = structure(jpeg(subsampling=sampling, progressive=progressive))
    assert found.subsampling == sampling
    assert found.progressive is progressive
    assert found.scans == 1 or progressive
    assert (found.width, found.height) == (104, 72)
    assert not found.arithmetic
    assert found.trailing_bytes == 0


def test_grey_and_cmyk() -> None:
    assert structure(jpeg(PICTURE.convert("L"))).subsampling == "grey"
    assert len(structure(jpeg(PICTURE.convert("CMYK"))).sampling) == 4


def test_restart_interval() -> None:
    assert structure(jpeg(restart_marker_blocks=4)).restart_interval == 4
    assert structure(jpeg()).restart_interval == 0
    assert structure(jpeg(restart_marker_blocks=4)).scans == 1


def test_segments_and_trailing_bytes() -> None:
    data = jpeg(comment=b"hello", exif=b"Exif\x00\x00" + b"II*\x00\x08\x00\x00\x00" + bytes(6))
    found = structure(data + b"what follows the picture")
    names = [name for name, _ in found.segments]
    assert names[0] == "APP0" and "APP1" in names and names[-1] == "SOS"
    assert ("COM", 5) in found.segments
    assert {"DQT", "DHT", "SOF0"} <= set(names)
    assert found.trailing_bytes == len(b"what follows the picture")


def test_fill_bytes_before_a_marker_are_skipped() -> None:
    data = jpeg()
    position = data.index(b"\xff\xdb")
    padded = data[:position] + b"\xff\xff\xff" + data[position:]
    found = structure(padded)
    assert np.array_equal(found.quantisation[0], structure(data).quantisation[0])
    assert found.segments == structure(data).segments


def test_what_is_no_jpeg_has_no_structure() -> None:
    assert read_structure(b"") is None
    assert read_structure(b"\x89PNG\r\n\x1a\n") is None
    assert read_structure(b"\xff\xd8\xff\xd9") is None
    png = sample_files()["photo.png"]
    assert Image(png).jpeg is None
    assert Image(png).coefficients == ()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("quality", [60, 92])
def test_grey_coefficients_are_the_dct_of_the_pixels(quality: int, progressive: bool) -> None:
    data = jpeg(PICTURE.convert("L"), quality=quality, progressive=progressive)
    media = Image(data)
    (coefficients,) = media.coefficients
    assert coefficients.dtype == np.int16
    assert coefficients.shape == (9, 13, 8, 8)
    assert media.jpeg is not None
    plane = media.stored_pixels[..., 0].astype(np.float64) - 128
    transformed = fft.dctn(blocks(plane), axes=(2, 3), norm="ortho")
    restored = coefficients * media.jpeg.quantisation[0].astype(np.float64)
    # Decoded pixels are rounded, and clipped where the block leaves [0, 255].
    unclipped = ((blocks(plane) > -128) & (blocks(plane) < 127)).all(axis=(2, 3))
    assert unclipped.mean() > 0.5
    assert np.abs(transformed - restored)[unclipped].max() < 4
    back = fft.idctn(restored, axes=(2, 3), norm="ortho")
    assert np.abs(back - blocks(plane))[unclipped].max() < 1.5


def test_colour_coefficients_rebuild_luma() -> None:
    media = Image(jpeg(quality=95, subsampling="4:4:4"))
    assert media.jpeg is not None
    luma = media.coefficients[0] * media.jpeg.quantisation[0].astype(np.float64)
    plane = fft.idctn(luma, axes=(2, 3), norm="ortho").swapaxes(1, 2).reshape(72, 104) + 128
    inside = ((media.pixels > 5) & (media.pixels < 250)).all(axis=2)
    assert np.abs(plane - media.luma)[inside].mean() < 0.7


@pytest.mark.parametrize(
    ("sampling", "chroma"), [("4:4:4", (9, 13)), ("4:2:2", (9, 7)), ("4:2:0", (5, 7))]
)
def test_shapes_cover_whole_blocks(sampling: str, chroma: tuple[int, int]) -> None:
    first, *others = read_coefficients(jpeg(subsampling=sampling))
    assert first.shape[0] >= 9 and first.shape[1] >= 13
    assert len(others) == 2
    for other in others:
        assert other.shape[0] >= chroma[0] and other.shape[1] >= chroma[1]
        assert other.shape[2:] == (8, 8)


def test_restart_markers_and_progressive_change_no_coefficient() -> None:
    plain = read_coefficients(jpeg(quality=85))
    for options in ({"restart_marker_blocks": 3}, {"progressive": True}, {"optimize": True}):
        for one, two in zip(plain, read_coefficients(jpeg(quality=85, **options)), strict=True):
            assert np.array_equal(one, two)


def test_cmyk_has_four_arrays() -> None:
    planes = PICTURE.convert("CMYK")
    media = Image(jpeg(planes, quality=100))
    assert media.jpeg is not None
    assert len(media.coefficients) == len(media.jpeg.quantisation) == 4
    for channel, coefficients, table in zip(
        planes.split(), media.coefficients, media.jpeg.quantisation, strict=True
    ):
        means = (coefficients[..., 0, 0] * table[0, 0] / 8.0 + 128)[:9, :13]
        expected = blocks(np.asarray(channel, np.float64)).mean(axis=(2, 3))
        # Adobe stores ink the other way round.
        assert np.abs(255 - means - expected).max() < 2


def test_a_cut_file_has_no_coefficients() -> None:
    with pytest.raises(DecodeError):
        _ = Image(sample_files()["truncated_photo.jpg"]).coefficients


def test_one_pixel() -> None:
    media = Image(sample_files()["1x1.jpg"])
    assert media.coefficients[0].shape[2:] == (8, 8)
    assert media.jpeg is not None and (media.jpeg.width, media.jpeg.height) == (1, 1)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_have_a_structure_or_none(tail: bytes) -> None:
    for data in (tail, b"\xff\xd8" + tail, jpeg()[:200] + tail):
        found = read_structure(data)
        if found is not None:
            assert len(found.quantisation) == len(found.sampling)
            assert isinstance(found.subsampling, str)
            assert all(table.min() >= 1 for table in found.quantisation)


@pytest.mark.parametrize("pattern", [b"\xff", b"\xff\x00", b"\xff\xd0", b"\xff\x01", b"\xff\xd8"])
def test_what_carries_nothing_is_skipped_in_one_step(pattern: bytes) -> None:
    data = jpeg()
    position = data.index(b"\xff\xdb")
    filler = pattern * (20_000_000 // len(pattern))
    found = structure(data[:position] + filler + data[position:])
    assert found.segments == structure(data).segments


def test_segments_are_bounded() -> None:
    assert read_structure(b"\xff\xd8" + b"\xff\xe0\x00\x02" * 200_000) is None
    assert read_structure(b"\xff\xd8" + b"\xff\xda\x00\x02\xff\x00" * 300_000) is None


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_temporary_file_is_closed_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows does not open a file twice that its first owner holds."""
    jpeglib = pytest.importorskip("jpeglib")
    read, paths = jpeglib.read_dct, []

    def checked(path: str) -> Any:
        paths.append(Path(path))
        held = []
        for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                held.append(os.readlink(f"/proc/self/fd/{number}"))  # noqa: PTH115
        assert path not in held
        return read(path)

    monkeypatch.setattr(jpeglib, "read_dct", checked)
    assert len(read_coefficients(jpeg())) == 3
    assert paths and not paths[0].exists()
