"""Pictures open, decode, turn upright and stay within limits, or say in type and words why not."""

from __future__ import annotations

import importlib.util
import io
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import weakref
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageOps, features

from bonafide.errors import DecodeError, LimitExceeded, MediaError, UnsupportedFormat
from bonafide.media.image import Image
from bonafide.media.limits import Limits
from bonafide.media.media import Media
from bonafide.media.source import open_media
from bonafide.testing import photograph, sample_files

PIXELS = photograph(96, 72)
PICTURE = Pillow.fromarray(PIXELS)


def encode(picture: Pillow.Image, container: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, container, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def flat_png(width: int, height: int, depth: int, colour: int) -> bytes:
    """A PNG of zeros, made without holding its pixels."""
    deflate = zlib.compressobj(1)
    channels = {0: 1, 2: 3, 6: 4}[colour]
    row = bytes(1 + width * channels * depth // 8)
    body = b"".join(deflate.compress(row) for _ in range(height)) + deflate.flush()
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


LOSSLESS = {
    "PNG": ("PNG", {}),
    "WEBP": ("WEBP", {"lossless": True}),
    "TIFF": ("TIFF", {}),
    "TIFF-LZW": ("TIFF", {"compression": "tiff_lzw"}),
    "BMP": ("BMP", {}),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_containers_give_back_every_pixel(name: str) -> None:
    container, options = LOSSLESS[name]
    media = Image(encode(PICTURE, container, **options))
    assert media.format == container
    assert (media.width, media.height, media.frames) == (96, 72, 1)
    assert media.pixels.dtype == np.uint8
    assert np.array_equal(media.pixels, PIXELS)


@pytest.mark.parametrize("container", ["JPEG", "WEBP", "AVIF", "HEIF"])
def test_lossy_containers_are_close(container: str) -> None:
    if container == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    if container == "AVIF" and not features.check("avif"):
        pytest.skip("this Pillow has no AVIF")
    try:
        data = encode(PICTURE, container, quality=90)
    except (OSError, RuntimeError, KeyError) as error:
        pytest.skip(f"{container} cannot be written here: {error}")
    media = open_media(data).image
    assert media is not None
    assert media.format == {"HEIF": "HEIC"}.get(container, container)
    assert media.pixels.shape == PIXELS.shape
    assert np.abs(media.pixels.astype(int) - PIXELS).mean() < 12


def test_jpeg_pixels_are_pillows() -> None:
    data = encode(PICTURE, "JPEG", quality=80)
    assert np.array_equal(Image(data).pixels, np.asarray(Pillow.open(io.BytesIO(data))))


def test_palette_alpha_and_grey_become_rgb() -> None:
    palette = PICTURE.quantize(16)
    assert np.array_equal(Image(encode(palette, "PNG")).pixels, np.asarray(palette.convert("RGB")))
    alpha = PICTURE.convert("RGBA")
    alpha.putalpha(Pillow.linear_gradient("L").resize(PICTURE.size))
    assert np.array_equal(Image(encode(alpha, "PNG")).pixels, PIXELS), "alpha is dropped"
    grey = PICTURE.convert("L")
    pixels = Image(encode(grey, "PNG")).pixels
    assert np.array_equal(pixels, np.repeat(np.asarray(grey)[..., None], 3, axis=2))
    one_bit = Image(encode(PICTURE.convert("1"), "PNG")).pixels
    assert set(np.unique(one_bit)) == {0, 255}


def test_sixteen_bits_keep_their_order_and_fill_eight() -> None:
    ramp = np.linspace(0, 65535, 256 * 8, dtype=np.uint16).reshape(8, 256)
    media = Image(encode(Pillow.fromarray(ramp), "PNG"))
    assert media.mode.startswith("I")
    grey = media.pixels[..., 0].astype(int).ravel()
    assert np.all(np.diff(grey) >= 0)
    assert np.abs(grey - ramp.ravel() / 257).max() <= 1
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    row = b"\x00" + struct.pack(">6H", 0xFFFF, 0x8000, 0, 0x1234, 0xABCD, 0x00FF)
    deep = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(row))
        + chunk(b"IEND", b"")
    )
    assert Image(deep).pixels[0].tolist() == [[0xFF, 0x80, 0], [0x12, 0xAB, 0]]


def twelve_bit_tiff(values: NDArray[np.int64]) -> bytes:
    """An uncompressed grey TIFF of 12 bits a pixel, two pixels in three bytes (even widths)."""
    height, width = values.shape
    pairs = values.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], axis=1
    )
    strip = packed.astype(np.uint8).tobytes()
    entries = [
        (256, 4, width), (257, 4, height), (258, 3, 12), (259, 3, 1), (262, 3, 1),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, len(strip)),
    ]  # fmt: skip
    directory = struct.pack("<H", len(entries))
    for tag, kind, value in entries:
        directory += struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", value)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    return head + strip + directory + struct.pack("<I", 0)


def test_twelve_bits_fill_eight() -> None:
    ramp = np.linspace(0, 4095, 256 * 8).astype(np.int64).reshape(8, 256)
    grey = Image(twelve_bit_tiff(ramp)).pixels[..., 0].astype(int)
    assert np.abs(grey - ramp * 255 / 4095).max() <= 1
    dark = Image(twelve_bit_tiff(ramp // 8)).pixels  # scaled by the depth, not by its maximum
    assert 25 <= dark.max() <= 35


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -5.0])
def test_floating_point_pictures_with_odd_values(value: float) -> None:
    values = np.full((4, 5), 100.0, np.float32)
    values[0, 0] = value
    pixels = Image(encode(Pillow.fromarray(values), "TIFF")).pixels
    assert pixels[1, 1, 0] == 100
    assert pixels[0, 0, 0] in (0, 255)


def test_cmyk_is_read_as_pillow_reads_it() -> None:
    data = encode(PICTURE.convert("CMYK"), "JPEG", quality=95)
    media = Image(data)
    assert media.mode == "CMYK"
    assert np.array_equal(media.pixels, np.asarray(Pillow.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("container", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(container: str) -> None:
    # Pictures of their own, since encoders merge equal frames.
    frames = [Pillow.fromarray(photograph(40, 30, seed)) for seed in range(4)]
    options: dict[str, Any] = {"lossless": True} if container == "WEBP" else {}
    data = encode(frames[0], container, save_all=True, append_images=frames[1:], **options)
    media = Image(data)
    assert media.frames == 4
    tolerance = 12 if container == "GIF" else 0  # GIF has 256 colours
    assert np.abs(media.pixels.astype(int) - photograph(40, 30, 0)).mean() <= tolerance
    assert Image(data, limits=Limits(frames=3)).frames == 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_exif_transpose(orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    data = encode(PICTURE, "JPEG", exif=exif, quality=95)
    expected = np.asarray(ImageOps.exif_transpose(Pillow.open(io.BytesIO(data))))
    media = Image(data)
    assert media.orientation == orientation
    assert (media.height, media.width) == expected.shape[:2]
    assert np.array_equal(media.pixels, expected)
    assert media.luma.shape == expected.shape[:2]
    assert media.stored_pixels.shape == PIXELS.shape
    stored = np.arange(72 * 96).reshape(72, 96)
    mask = Pillow.fromarray(stored.astype(np.int32))
    mask.getexif()[0x0112] = orientation
    upright = ImageOps.exif_transpose(mask)
    assert np.array_equal(media.orient(stored), np.asarray(upright))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_impossible_orientation_is_ignored(value: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = value
    assert Image(encode(PICTURE, "JPEG", exif=exif)).orientation == 1


def test_luma_is_that_of_jpeg() -> None:
    media = Image(encode(PICTURE, "PNG"))
    expected = PIXELS.astype(np.float64) @ [0.299, 0.587, 0.114]
    assert media.luma.dtype == np.float32
    assert np.abs(media.luma - expected).max() < 1e-2


def test_arrays_are_read_only_and_kept() -> None:
    for data in (encode(PICTURE, "PNG"), sample_files()["orientation_6.jpg"]):
        media = Image(data)
        for array in (media.pixels, media.stored_pixels, media.luma, *media.coefficients):
            with pytest.raises(ValueError, match="read-only"):
                array[0, 0] = 1
        assert media.pixels is media.pixels


def test_luma_is_shared_by_those_who_hold_it_and_then_given_back() -> None:
    media = Image(sample_files()["orientation_6.jpg"])
    held = media.luma
    assert media.luma is held
    gone = weakref.ref(held)
    del held
    assert gone() is None
    assert media.luma.shape == media.pixels.shape[:2]


def test_stored_luma_is_not_turned() -> None:
    for orientation in (1, 6):
        media = Image(sample_files()[f"orientation_{orientation}.jpg"])
        assert media.stored_luma.shape == media.stored_pixels.shape[:2]
        assert np.array_equal(media.orient(media.stored_luma), media.luma)


def test_different_fields_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    # Both are inside their function at the same time, which one lock for all would not allow.
    media = Image(encode(PICTURE, "JPEG"))
    _ = media.pixels
    both = threading.Barrier(2, timeout=30)
    calls = []

    def luma(pixels: Any) -> Any:
        calls.append("luma")
        both.wait()
        return pixels

    def coefficients(_data: bytes) -> Any:
        calls.append("coefficients")
        both.wait()
        return ()

    monkeypatch.setattr("bonafide.media.image._luma", luma)
    monkeypatch.setattr("bonafide.media.image.read_coefficients", coefficients)
    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(getattr, media, name) for name in ("luma", "coefficients", "luma", "luma")
        ]
        for job in jobs:
            job.result(30)
    assert sorted(calls) == ["coefficients", "luma"], "each is computed once"


def test_a_picture_of_pixels_alone() -> None:
    pixels = photograph(40, 30)
    frame = Image.of_pixels(pixels, "frame 7")
    assert (frame.format, frame.width, frame.height, frame.frames) == ("FRAME", 40, 30, 1)
    assert frame.pixels is pixels and frame.orientation == 1 and not frame.animated
    assert frame.jpeg is None and frame.coefficients == () and not frame.metadata.exif
    assert frame.luma.shape == (30, 40) and frame.data == b""
    with pytest.raises(ValueError, match="read-only"):
        frame.pixels[0, 0] = 1
    with pytest.raises(LimitExceeded, match="frame 7"):
        Image.of_pixels(pixels, "frame 7", Limits(pixels=1199))
    media = Media.of_image(frame)
    assert media.image is frame and media.video is None and media.format == "FRAME"


def test_damaged_files_say_so() -> None:
    for name in ("truncated_photo.jpg", "truncated_photo.png"):
        media = Image(sample_files()[name], name)
        with pytest.raises(DecodeError) as caught:
            _ = media.pixels
        assert caught.value.name == name
        assert "cannot be decoded" in caught.value.why
        with pytest.raises(DecodeError):  # and again, not half a picture the second time
            _ = media.luma
    with pytest.raises(UnsupportedFormat, match="not a picture"):
        Image(b"This is text.")
    with pytest.raises(MediaError):
        Image(b"\xff\xd8\xff")


@pytest.mark.parametrize("name", ["bomb.png", "bomb.jpg"])
def test_bombs_are_refused_before_decoding(name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded, match="--max-pixels"):
            open_media(sample_files()[name], name)
        assert tracemalloc.get_traced_memory()[1] < 20e6
    finally:
        tracemalloc.stop()


def test_the_pixel_limit_is_exact() -> None:
    data = encode(PICTURE, "PNG")
    assert Image(data, limits=Limits(pixels=96 * 72)).pixels.shape == (72, 96, 3)
    with pytest.raises(LimitExceeded, match="6,912 is over the limit of 6,911"):
        Image(data, limits=Limits(pixels=96 * 72 - 1))
    with pytest.raises(LimitExceeded):
        Image(flat_png(8001, 8000, 8, 0))


def test_a_raised_limit_is_not_named_when_it_is_not_what_stops() -> None:
    with pytest.raises(LimitExceeded, match="that Pillow decodes"):
        Image(sample_files()["bomb.png"], limits=Limits(pixels=10**12))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
@pytest.mark.parametrize(("depth", "colour"), [(8, 2), (16, 0)])
def test_a_picture_at_the_limit_fits_into_a_gigabyte(
    tmp_path: Path, depth: int, colour: int
) -> None:
    path = tmp_path / "large.png"
    path.write_bytes(flat_png(8000, 8000, depth, colour))
    script = (
        "import sys, bonafide.media.source as s\n"
        "m = s.open_media(sys.argv[1])\n"
        "assert m.image.pixels.shape == (8000, 8000, 3)\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert int(result.stdout) < 1_000_000  # kilobytes, peak


@pytest.mark.parametrize("name", [name for name in sample_files() if name != "empty.jpg"])
def test_every_prefix_opens_or_raises_media_error(name: str) -> None:
    data = sample_files()[name]
    for length in (1, 4, 12, 30, 100, 200, len(data) // 3, len(data) - 1):
        try:
            media = open_media(data[:length]).image
            if media is not None:
                _ = media.pixels, media.frames, media.jpeg, media.coefficients
        except MediaError:
            pass


def test_hostile_files_open_or_raise_media_error(data: Path) -> None:
    files = [path for path in (data / "forensic_media" / "hostile").rglob("*") if path.is_file()]
    assert len(files) > 200
    for path in files:
        started = time.monotonic()
        try:
            media = open_media(path).image
            if media is not None:
                _ = media.metadata, media.jpeg, media.frames, media.pixels, media.coefficients
        except MediaError as error:
            assert error.name == path.name
            assert error.why and len(error.why) < 400
        assert time.monotonic() - started < 10, path


def test_heic_without_its_decoder_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    header = struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1")
    with pytest.raises(UnsupportedFormat, match=r"pip install 'bonafide\[heic\]'"):
        Image(header + bytes(100))


@pytest.mark.skipif(not importlib.util.find_spec("pillow_heif"), reason="needs pillow-heif")
def test_a_damaged_heic_is_a_media_error() -> None:
    header = struct.pack(">I4s4sI4s", 20, b"ftyp", b"heic", 0, b"mif1")
    with pytest.raises(MediaError):
        _ = Image(header + bytes(100)).pixels


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_tiff_is_turned_upright_once(orientation: int) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Pillow.new("RGB", (30, 20), (200, 10, 10)).save(buffer, "TIFF", exif=exif)
    media = Image(buffer.getvalue())
    assert media.pixels.shape == (media.height, media.width, 3)
    assert (media.width, media.height) == ((30, 20) if orientation < 5 else (20, 30))
