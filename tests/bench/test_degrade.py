"""Degradations: repeatable, true to their names, and the mask goes where the pixels go."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from skimage.data import astronaut

from bonafide.bench import degrade
from bonafide.bench.degrade_names import random_for
from bonafide.errors import DecodeError, LimitExceeded, MediaError, UnsupportedFormat
from bonafide.media.image import Image
from bonafide.media.limits import Limits

PHOTOGRAPH = astronaut()  # 512×512
EXAMPLES = sorted(
    {
        *(name for ladder in degrade.LADDERS.values() for name in ladder),
        "native",
        "normalise",
        "normalise:64:75",
        "png",
        "fit:100:box",
        "width:90",
        "crop:100x80",
        "jpeg:75:444",
        "crop:0.8+jpeg:75",
        "jpeg:75+blur:1",
    }
)


def saved(pixels: NDArray[np.uint8], format: str = "PNG", **options: Any) -> bytes:  # noqa: A002
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


def small(width: int = 160, height: int = 120) -> NDArray[np.uint8]:
    return np.ascontiguousarray(PHOTOGRAPH[40 : 40 + height, 150 : 150 + width])


def pixels_of(degraded: degrade.Degraded) -> NDArray[np.uint8]:
    return Image(degraded.data).pixels


SOURCE = saved(small())
MASK = np.zeros((120, 160), np.bool_)
MASK[30:70, 50:110] = True


@pytest.mark.parametrize("name", EXAMPLES)
def test_equal_name_seed_and_bytes_give_equal_bytes_and_a_mask_that_fits(name: str) -> None:
    one = degrade.apply(SOURCE, name, seed=3, mask=MASK)
    other = degrade.apply(SOURCE, name, seed=3, mask=MASK)
    assert one.data == other.data
    assert one.name == other.name == degrade.GRAMMAR.canonical(name)
    assert one.mask is not None
    np.testing.assert_array_equal(one.mask, other.mask)
    picture = Image(one.data)
    assert one.mask.dtype == np.bool_
    assert one.mask.shape == picture.pixels.shape[:2]
    assert degrade.GRAMMAR.describe(name)
    assert degrade.apply(SOURCE, name, seed=3).data == one.data  # with and without a mask


@pytest.mark.parametrize("name", ["crop:0.5", "noise:3", "normalise:64", "screenshot"])
def test_chance_depends_on_the_seed_and_on_the_file_alone(name: str) -> None:
    one = degrade.apply(SOURCE, name, seed=1)
    degrade.apply(saved(small(90, 90)), name, seed=1)  # what came before does not matter
    assert degrade.apply(SOURCE, name, seed=1).data == one.data
    others = [degrade.apply(SOURCE, name, seed=seed).data for seed in range(2, 8)]
    assert any(data != one.data for data in others)
    draws = {
        tuple(random_for(data, given, seed).integers(0, 2**62, 2))
        for data in (b"a", b"b")
        for given in (name, "crop:0.6")
        for seed in (0, 1)
    }
    assert len(draws) == 8


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "native"])
def test_metadata_do_not_survive(name: str) -> None:
    exif = Pillow.Exif()
    exif[0x010F] = "Maker"
    source = saved(small(), "JPEG", exif=exif, comment=b"mine", icc_profile=b"x" * 200, quality=95)
    assert Image(source).metadata.exif
    metadata = Image(degrade.apply(source, name).data).metadata
    assert not metadata.exif_bytes
    assert not metadata.comment
    assert not metadata.icc_profile
    assert not metadata.text


def test_native_is_untouched() -> None:
    source = b"not even a picture"
    result = degrade.apply(source, "native", mask=MASK)
    assert result.data is source
    assert result.mask is MASK


@pytest.mark.parametrize("size", [(300, 280), (200, 300), (100, 90), (5, 3)])
def test_normalised_classes_look_alike_from_outside(size: tuple[int, int]) -> None:
    pixels = small(*size)
    exif = Pillow.Exif()
    exif[0x010F] = "Maker"
    as_png = Image(degrade.apply(saved(pixels), "normalise").data)
    as_jpeg = Image(degrade.apply(saved(pixels, "JPEG", quality=60, exif=exif), "normalise").data)
    as_webp = Image(degrade.apply(saved(pixels, "WEBP"), "normalise").data)
    for picture in (as_jpeg, as_webp):
        assert (picture.width, picture.height) == (as_png.width, as_png.height)
        assert picture.format == as_png.format == "JPEG"
        assert not picture.metadata.exif
    assert (as_png.width, as_png.height) == (min(size[0], 256), min(size[1], 256))
    # Everything up to the coded data is equal byte for byte.
    head = as_png.data.index(b"\xff\xc4")
    assert as_jpeg.data[:head] == as_webp.data[:head] == as_png.data[:head]


def test_a_picture_smaller_than_the_crop_is_noted() -> None:
    result = degrade.apply(SOURCE, "normalise:140")
    assert Image(result.data).pixels.shape == (120, 140, 3)
    assert result.notes == ("smaller than 140×140 pixels: kept 140×120",)
    assert degrade.apply(SOURCE, "normalise:64").notes == ()
    assert degrade.apply(SOURCE, "crop:0.5").notes == ()


def test_crops_keep_pixels_and_mask_together_on_no_particular_grid() -> None:
    corners = set()
    values = np.arange(120 * 160).reshape(120, 160)
    coded = np.stack([values // 65536, values // 256 % 256, values % 256], axis=2).astype(np.uint8)
    for seed in range(40):
        result = degrade.apply(saved(coded), "crop:50x40", seed, MASK)
        cut = pixels_of(result).astype(int)
        place = cut[..., 1] * 256 + cut[..., 2]
        top, left = divmod(int(place[0, 0]), 160)
        np.testing.assert_array_equal(place, values[top : top + 40, left : left + 50])
        np.testing.assert_array_equal(result.mask, MASK[top : top + 40, left : left + 50])
        corners.add((top % 8, left % 8))
    assert len(corners) > 20


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0.05, 3),
    st.sampled_from(degrade.KERNELS),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_masks_follow_resizing_by_nearest_neighbour(
    width: int, height: int, factor: float, kernel: str, seed: int
) -> None:
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    picture = np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2)
    result = degrade.apply(saved(picture), f"resize:{factor!r}:{kernel}", mask=mask)
    pixels = pixels_of(result)
    assert pixels.shape == (max(1, round(height * factor)), max(1, round(width * factor)), 3)
    assert result.mask is not None
    assert result.mask.shape == pixels.shape[:2]
    if kernel == "nearest":  # picture and mask are the same thing here
        np.testing.assert_array_equal(result.mask, pixels[..., 0] > 127)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from(EXAMPLES))
@settings(max_examples=80, deadline=None)
def test_tiny_pictures_survive_everything(width: int, height: int, name: str) -> None:
    result = degrade.apply(
        saved(small(width, height)), name, mask=np.ones((height, width), np.bool_)
    )
    pixels = pixels_of(result)
    assert result.mask is not None
    assert result.mask.shape == pixels.shape[:2]
    assert result.mask.all()


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("jpeg:75", "JPEG"),
        ("webp:80", "WEBP"),
        ("avif:50", "AVIF"),
        ("blur:1", "PNG"),
        ("jpeg:75+blur:1", "PNG"),
        ("blur:1+jpeg:75", "JPEG"),
        ("jpeg:75+webp:80", "WEBP"),
        ("webp:80+png", "PNG"),
        ("screenshot", "PNG"),
        ("whatsapp", "JPEG"),
        ("double_jpeg:90:75", "JPEG"),
    ],
)
def test_the_last_save_decides_the_container(name: str, container: str) -> None:
    assert Image(degrade.apply(SOURCE, name).data).format == container


def test_jpeg_quality_is_that_of_the_tables() -> None:
    for quality in (95, 75, 30):
        plain = saved(small(), "JPEG", quality=quality, subsampling="4:2:0")
        assert degrade.apply(SOURCE, f"jpeg:{quality}").data == plain
    full = saved(small(), "JPEG", quality=75, subsampling="4:4:4")
    assert degrade.apply(SOURCE, "jpeg:75:444").data == full


def test_steps_are_done_in_order() -> None:
    once = degrade.apply(SOURCE, "jpeg:90")
    twice = degrade.apply(once.data, "jpeg:75")
    assert degrade.apply(SOURCE, "jpeg:90+jpeg:75").data == twice.data
    assert degrade.apply(SOURCE, "double_jpeg:90:75").data == twice.data
    assert degrade.apply(SOURCE, "jpeg:75+png").data != degrade.apply(SOURCE, "png").data
    np.testing.assert_array_equal(pixels_of(degrade.apply(SOURCE, "png")), small())


def test_pixel_operations_do_what_they_say() -> None:
    pixels = small()
    grey = np.full((200, 300, 3), 128, np.uint8)
    noise = pixels_of(degrade.apply(saved(grey), "noise:3")).astype(float) - 128
    assert abs(noise.mean()) < 0.05
    assert noise.std() == pytest.approx((9 + 1 / 12) ** 0.5, rel=0.02)  # plus rounding
    assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.02
    assert pixels_of(degrade.apply(SOURCE, "gamma:0.8")).mean() > pixels.mean()
    dark = np.array([[[0, 64, 255]]], np.uint8)
    lighter = pixels_of(degrade.apply(saved(dark), "gamma:0.5"))
    assert lighter[0, 0].tolist() == [0, 128, 255]  # 255 √(64/255) = 127.7
    detail = [
        np.abs(np.diff(pixels_of(degrade.apply(SOURCE, name)).astype(float), axis=1)).mean()
        for name in ("blur:2", "blur:0.5", "png", "sharpen:1", "sharpen:2")
    ]
    assert detail == sorted(detail)
    spot = np.zeros((61, 61, 3), np.uint8)
    spot[30, 30] = 255
    spread = pixels_of(degrade.apply(saved(spot), "blur:1.5"))[30, :, 0].astype(float)
    deviation = np.sqrt((spread * (np.arange(61) - 30.0) ** 2).sum() / spread.sum())
    assert deviation == pytest.approx(1.5, rel=0.1)


def test_networks_shrink_to_their_limit_and_never_enlarge() -> None:
    wide = saved(np.zeros((300, 5000, 3), np.uint8))
    for name, side in {
        "facebook": 2048, "whatsapp": 1600, "x": 4096, "telegram": 1280, "instagram": 1080,
    }.items():  # fmt: skip
        picture = Image(degrade.apply(wide, name).data)
        assert (picture.width, picture.format) == (side, "JPEG")
        assert picture.height == round(300 * side / 5000)
        kept = Image(degrade.apply(SOURCE, name).data)
        assert (kept.width, kept.height) == (160, 120)
        assert "roughly" in degrade.GRAMMAR.describe(name)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 50))
@settings(max_examples=40, deadline=None)
def test_screenshots_scale_by_no_whole_factor(width: int, height: int, seed: int) -> None:
    picture = Image(degrade.apply(saved(small(width, height)), "screenshot", seed).data)
    if min(width, height) > 100:  # in small pictures rounding hides the factor
        factor = picture.width / width
        whole = max(factor, 1 / factor)
        assert abs(whole - round(whole)) > 0.02
        assert factor < 2


def test_turned_pictures_are_degraded_upright() -> None:
    exif = Pillow.Exif()
    exif[0x0112] = 6
    turned = saved(small(), "JPEG", quality=95, exif=exif)
    upright = Image(turned).pixels
    assert upright.shape == (160, 120, 3)
    result = degrade.apply(turned, "png", mask=MASK.T.copy())
    np.testing.assert_array_equal(pixels_of(result), upright)
    with pytest.raises(ValueError, match="mask"):
        degrade.apply(turned, "png", mask=MASK)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("jpg:75", "no degradation of pictures is called 'jpg'; there are: .*jpeg:QUALITY"),
        ("", "no degradation"),
        ("jpeg:75+", "no degradation"),
        ("jpeg", "lacks quality; it is written jpeg:QUALITY"),
        ("jpeg:0", "'jpeg:0': quality must be a whole number from 1 to 100"),
        ("jpeg:75.5", "whole number"),
        ("jpeg:75:411", "one of 420, 422, 444"),
        ("jpeg:75:420:1", "too many parameters"),
        ("resize:nan", "a number from 0.01 to 8"),
        ("resize:0.5:cubic", "one of nearest, box"),
        ("crop:1.5", r"a share in \(0, 1\] or a size"),
        ("crop:0x5", "a share"),
        ("crop:axb", "a share"),
        ("native+jpeg:75", "stands alone"),
        ("h264:28", "no degradation of pictures"),
    ],
)
def test_wrong_names_say_what_is_wrong(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        degrade.apply(SOURCE, name)
    with pytest.raises(ValueError, match=message):
        degrade.GRAMMAR.canonical(name)


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("jpeg:075:420", "jpeg:75"),
        ("resize:0.50:lanczos", "resize:0.5"),
        ("resize:2.0:box + jpeg:75", "resize:2:box+jpeg:75"),
        ("normalise:256:90", "normalise"),
        ("normalise:256:80", "normalise:256:80"),
        ("normalise:128:90", "normalise:128"),
        ("crop:1.0", "crop:1"),
        ("crop:0256x256", "crop:256x256"),
        ("whatsapp", "whatsapp"),
    ],
)
def test_every_name_has_one_spelling(name: str, canonical: str) -> None:
    assert degrade.GRAMMAR.canonical(name) == canonical
    assert degrade.GRAMMAR.canonical(canonical) == canonical
    assert degrade.apply(SOURCE, name).data == degrade.apply(SOURCE, canonical).data


def test_help_covers_every_kind_of_step() -> None:
    usage = degrade.GRAMMAR.usage
    assert [form.split(":")[0].split("[")[0] for form in usage] == list(degrade.GRAMMAR.names)
    assert "jpeg:QUALITY[:SUBSAMPLING]" in usage
    assert all(text and "{" not in text for text in usage.values())
    words = degrade.GRAMMAR.describe("resize:0.5+jpeg:75")
    assert words == (
        "resize each side by 0.5 with the lanczos kernel, "
        "then save as JPEG at quality 75 with chroma sampling 420"
    )
    for ladder in degrade.LADDERS.values():
        assert list(ladder) == [degrade.GRAMMAR.canonical(name) for name in ladder]


def test_bad_files_and_excess_are_media_errors() -> None:
    with pytest.raises(UnsupportedFormat):
        degrade.apply(b"nothing", "jpeg:75")
    with pytest.raises(DecodeError):
        degrade.apply(SOURCE[:600], "jpeg:75")
    with pytest.raises(LimitExceeded):
        degrade.apply(SOURCE, "resize:8", limits=Limits(pixels=100_000))
    with pytest.raises(LimitExceeded):
        degrade.apply(SOURCE, "jpeg:75", limits=Limits(pixels=1_000))
    long = saved(np.zeros((1, 20_000, 3), np.uint8))
    with pytest.raises(MediaError, match="16,383"):
        degrade.apply(long, "webp:80")
    with pytest.raises(ValueError, match="mask"):
        degrade.apply(SOURCE, "png", mask=MASK.astype(np.uint8))  # type: ignore[arg-type]


def test_other_modes_are_decoded_first() -> None:
    grey = saved(small()[..., 0])
    clear = saved(np.dstack([small(), np.full((120, 160), 7, np.uint8)]))
    for source in (grey, clear):
        assert pixels_of(degrade.apply(source, "jpeg:90")).shape == (120, 160, 3)
