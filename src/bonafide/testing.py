"""The contract that every detector keeps, ours or a plugin's, as one callable check.

A plugin's own test suite needs three lines::

    from bonafide.testing import check_detector

    def test_contract():
        check_detector(my_package.my_detector)

A broken rule raises AssertionError with the detector, the file and the rule in its message.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import math
import pickle
import random
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow
from PIL import features

from bonafide import registry
from bonafide.errors import BonafideError, MediaError
from bonafide.media.image import Image
from bonafide.media.source import open_media
from bonafide.types import Card, Finding, Kind, Media, Question, Region, Status

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ORDER = "What it looks for · Why it works · When it fails · How to read it · Reference"
HEADINGS = tuple(_ORDER.split(" · "))
MAX_REGIONS = 20

# Files on which a detector is run three times; once is enough for the others.
_REPEATED = ("photo.jpg", "photo.png", "orientation_6.jpg", "clip.mp4", "drawing.svg")


def check_detector(detector: str | ModuleType, **options: Any) -> None:
    """Run the whole contract on one detector.

    Args:
        detector: the id of a registered detector, or a detector module.
        options: passed to its constructor.

    Raises:
        AssertionError: a rule is broken; the message says which, by whom and on which file.
    """
    module = registry.module(detector) if isinstance(detector, str) else detector
    card = check_card(module)
    check_constructor(module)
    for name, data in sample_files().items():
        check_file(module, card, name, data, options)


def check_card(module: ModuleType) -> Card:
    """Check `CARD` and the docstring of a detector module; return the card."""
    name = module.__name__.rsplit(".", 1)[-1]
    card = getattr(module, "CARD", None)
    assert isinstance(card, Card), f"{name}: the module must define CARD, a bonafide.Card"
    assert card.id == name, f"{name}: CARD.id is {card.id!r}; it must equal the module's name"
    for attribute in ("version", "title", "paper", "licence", "training_data", "limits"):
        value = getattr(card, attribute)
        assert isinstance(value, str) and value.strip(), f"{name}: CARD.{attribute} is empty"
    assert isinstance(card.question, Question), f"{name}: CARD.question is no Question"
    assert card.kinds, f"{name}: CARD.kinds is empty"
    assert all(isinstance(kind, Kind) for kind in card.kinds), f"{name}: CARD.kinds holds no Kind"
    assert re.search(r"\b(1[89]|20)\d\d\b", card.paper), f"{name}: CARD.paper names no year"
    for fact, meaning in card.facts.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]*", fact), f"{name}: fact {fact!r} is not snake_case"
        assert isinstance(meaning, str) and meaning.strip(), f"{name}: fact {fact} has no meaning"
    _check_docstring(name, module.__doc__)
    return card


def check_constructor(module: ModuleType) -> None:
    """Check that `Detector` can be built with no arguments and takes only named options."""
    name = module.__name__.rsplit(".", 1)[-1]
    kind = getattr(module, "Detector", None)
    assert inspect.isclass(kind), f"{name}: the module must define a class Detector"
    for parameter in inspect.signature(kind).parameters.values():
        assert parameter.default is not parameter.empty, (
            f"{name}: option {parameter.name!r} of the constructor has no default"
        )
    assert callable(kind()), f"{name}: Detector() cannot be called"


def check_file(
    module: ModuleType, card: Card, name: str, data: bytes, options: Mapping[str, Any]
) -> None:
    """Check one detector on one file, unless the file does not meet the card's needs."""
    where = f"{card.id} on {name}"
    media = _open(where, name, data)
    if media is None or media.kind not in card.kinds or card.needs.unmet(media):
        return
    before, random_before = _fingerprint(media), _random_states()
    detector = module.Detector(**options)
    finding = _call(where, detector, media)
    assert media.data == data, f"{where}: the bytes of the media were changed"
    assert _fingerprint(media) == before, f"{where}: the pixels of the media were changed"
    assert _random_states() == random_before, (
        f"{where}: a global random generator was used; make a local one with a fixed seed"
    )
    if isinstance(finding, MediaError):
        return
    check_finding(where, card, media, finding)
    if name in _REPEATED:
        _check_same(where, "a second call", finding, _call(where, detector, media))
        fresh = open_media(data, name)
        again = _call(where, module.Detector(**options), fresh)
        _check_same(where, "a new detector on the same bytes", finding, again)


def check_finding(where: str, card: Card, media: Media, finding: Finding) -> None:
    """Check that `finding` is what a detector with `card` may say about `media`."""
    assert isinstance(finding, Finding), f"{where}: returned {type(finding).__name__}, no Finding"
    identity = {"detector": card.id, "version": card.version, "question": card.question}
    for attribute, expected in identity.items():
        value = getattr(finding, attribute)
        assert value == expected, f"{where}: finding.{attribute} is {value!r}, not {expected!r}"
    if finding.status is not Status.OK:
        _check_sentence(where, "why", finding.why)
        for attribute in ("score", "claim", "heatmap", "probability", "llr"):
            assert getattr(finding, attribute) is None, (
                f"{where}: {finding.status} but {attribute} is set"
            )
        assert not (finding.regions or finding.segments or finding.facts), (
            f"{where}: {finding.status} but regions, segments or facts are set"
        )
        return
    assert finding.why == "", f"{where}: `why` is for findings that are not OK"
    _check_sentence(where, "summary", finding.summary)
    for attribute in ("score", "llr", "threshold", "probability", "false_positive_rate"):
        value = getattr(finding, attribute)
        assert value is None or (_is_plain(value) and math.isfinite(value)), (
            f"{where}: {attribute} is {value!r}, neither None nor a finite Python number"
        )
    for attribute in ("probability", "false_positive_rate"):
        value = getattr(finding, attribute)
        assert value is None or 0 <= value <= 1, f"{where}: {attribute} {value} is outside [0, 1]"
    assert finding.claim is None or card.question is Question.PROVENANCE, (
        f"{where}: only a provenance detector may set `claim`"
    )
    width, height = getattr(media, "width", 0), getattr(media, "height", 0)
    if finding.heatmap is not None:
        _check_heatmap(where, finding.heatmap, (height, width))
    _check_regions(where, finding.regions, width, height)
    for segment in finding.segments:
        assert 0 <= segment.start <= segment.end, f"{where}: {segment} runs backwards"
    _check_facts(where, card, finding.facts)


def _check_docstring(name: str, docstring: str | None) -> None:
    lines = inspect.cleandoc(docstring or "").splitlines()
    assert lines and lines[0].strip(), f"{name}: the module has no docstring"
    found = [line for line in lines[1:] if line and not line[0].isspace()]
    assert tuple(found) == HEADINGS, (
        f"{name}: the docstring's headings are {found}; they must be {list(HEADINGS)}"
    )
    for heading in HEADINGS:
        following = lines[lines.index(heading) + 1 :]
        assert following and following[0].strip(), f"{name}: nothing under {heading!r}"


def _check_sentence(where: str, field: str, text: object) -> None:
    assert isinstance(text, str) and text.strip(), f"{where}: `{field}` is empty"
    assert "\n" not in text, f"{where}: `{field}` has a line break: {text!r}"
    if field == "summary":
        unquoted = re.sub(r"“[^”]*”|\"[^\"]*\"|‘[^’]*’|'[^']*'", "", text)
        assert unquoted[-1:] in (".", "!", "?"), f"{where}: `{field}` has no full stop: {text!r}"
        assert not re.search(r"[a-z0-9)%][.!?] +[A-Z]", unquoted), (
            f"{where}: `{field}` is more than one sentence: {text!r}"
        )


def _check_heatmap(where: str, heatmap: NDArray[np.float32], shape: tuple[int, int]) -> None:
    assert isinstance(heatmap, np.ndarray), f"{where}: the heatmap is no array"
    assert heatmap.dtype == np.float32, f"{where}: the heatmap is {heatmap.dtype}, not float32"
    assert heatmap.shape == shape, f"{where}: the heatmap is {heatmap.shape}, the picture {shape}"
    assert np.isfinite(heatmap).all(), f"{where}: the heatmap has values that are not finite"
    low, high = float(heatmap.min(initial=0)), float(heatmap.max(initial=0))
    assert low >= 0 and high <= 1, f"{where}: the heatmap spans [{low}, {high}], not [0, 1]"


def _check_regions(where: str, regions: tuple[Region, ...], width: int, height: int) -> None:
    assert isinstance(regions, tuple), f"{where}: regions is a {type(regions).__name__}, no tuple"
    assert len(regions) <= MAX_REGIONS, f"{where}: {len(regions)} regions, over {MAX_REGIONS}"
    for region in regions:
        numbers = (region.x, region.y, region.width, region.height, region.pair)
        assert all(type(number) is int for number in numbers), f"{where}: {region} has no ints"
        inside = (
            0 <= region.x < region.x + region.width <= width
            and 0 <= region.y < region.y + region.height <= height
        )
        assert inside, f"{where}: {region} is not inside the picture of {width}×{height}"
        assert region.score is None or (_is_plain(region.score) and math.isfinite(region.score)), (
            f"{where}: {region} has a score that is no finite Python number"
        )
    scores = [region.score for region in regions if region.score is not None]
    assert scores == sorted(scores, reverse=True), f"{where}: regions are not strongest first"


def _check_facts(where: str, card: Card, facts: Mapping[str, Any]) -> None:
    undeclared = sorted(set(facts) - set(card.facts))
    assert not undeclared, f"{where}: facts {undeclared} are not declared in the card"
    for name, value in facts.items():
        assert _is_plain(value), f"{where}: fact {name} holds something that is no JSON value"
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise AssertionError(f"{where}: fact {name} is not JSON-safe: {error}") from error


def _is_plain(value: object) -> bool:
    """Whether `value` is made of JSON types only; NumPy's float64 is a float, yet not plain."""
    if isinstance(value, list):
        return all(_is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return value is None or (
        isinstance(value, str | int | float) and type(value).__module__ != "numpy"
    )


def _check_same(where: str, what: str, first: Finding, second: Finding | MediaError) -> None:
    assert isinstance(second, Finding), f"{where}: {what} gives {second!r}, the first a finding"
    one, two = replace(first, seconds=0.0), replace(second, seconds=0.0)
    assert one == two, f"{where}: {what} differs from the first:\n{one}\n{two}"
    equal = (first.heatmap is None) == (second.heatmap is None) and (
        first.heatmap is None or np.array_equal(first.heatmap, np.asarray(second.heatmap))
    )
    assert equal, f"{where}: {what} gives another heatmap"


def _open(where: str, name: str, data: bytes) -> Media | None:
    try:
        return open_media(data, name)
    except BonafideError:
        return None
    except Exception as error:
        raise AssertionError(f"{where}: opening raised {type(error).__name__}: {error}") from error


def _call(where: str, detector: Any, media: Media) -> Finding | MediaError:
    try:
        return detector(media)  # type: ignore[no-any-return]
    except MediaError as error:
        return error
    except Exception as error:
        raise AssertionError(f"{where}: raised {type(error).__name__}: {error}") from error


def _fingerprint(media: Media) -> str:
    digest = hashlib.sha256()
    if isinstance(media, Image):
        for read in (lambda: media.stored_pixels, lambda: media.pixels, lambda: media.luma):
            try:
                digest.update(read().tobytes())
            except MediaError:
                digest.update(b"unreadable")
    return digest.hexdigest()


def _random_states() -> bytes:
    return pickle.dumps((random.getstate(), np.random.get_state()))


def photograph(width: int = 288, height: int = 264, seed: int = 0) -> NDArray[np.uint8]:
    """A procedural picture with what photographs have: smooth sky, texture, edges, sensor noise.

    Returns:
        uint8 height×width×3 RGB in [0, 255].
    """
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    u, v = x / max(width, 1), y / max(height, 1)
    picture = np.stack([90 + 80 * v, 130 + 50 * v, 220 - 60 * v], axis=2)
    horizon = 0.55 + 0.04 * np.sin(9 * u) + 0.02 * np.sin(31 * u)
    texture = np.zeros((height, width))
    for step in (16, 8, 4, 2, 1):
        grid = generator.normal(0, step, (height // step + 2, width // step + 2))
        texture += np.kron(grid, np.ones((step, step)))[:height, :width]
    ground = np.stack([95 + 0.9 * texture, 105 + texture, 60 + 0.6 * texture], axis=2)
    picture = np.where((v > horizon)[..., None], ground, picture)
    disc = (u - 0.3) ** 2 + (v - 0.35) ** 2 < 0.02
    picture = np.where(disc[..., None], [205, 90, 70] * (0.8 + 0.4 * u[..., None]), picture)
    wall = (np.abs(u - 0.72) < 0.13) & (np.abs(v - 0.55) < 0.22)
    stripes = 150 + 50 * (np.sin(x / 2.3) > 0) + 10 * np.cos(y / 3.1)
    picture = np.where(wall[..., None], stripes[..., None] * [1.0, 0.95, 0.85], picture)
    picture += (
        generator.normal(0, 2.0, picture.shape) * np.sqrt(np.clip(picture, 20, 255) / 128)[..., :1]
    )
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _encode(picture: Pillow.Image, container: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, container, **options)
    return buffer.getvalue()


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _clip(picture: Pillow.Image) -> bytes:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = picture.size
        for _ in range(5):
            frame: Any = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getvalue()


@cache
def sample_files() -> Mapping[str, bytes]:
    """Name → bytes of the files of the contract: ordinary, unusual, damaged and hostile ones."""
    wide = Pillow.fromarray(photograph(640, 480))
    small = Pillow.fromarray(photograph())
    grey, alpha = small.convert("L"), small.convert("RGBA")
    frames: dict[str, Any] = {"save_all": True, "append_images": [small.rotate(180)], "loop": 0}
    deep = Pillow.fromarray(np.asarray(grey, np.uint16) * 257)
    files = {
        "photo.jpg": _encode(wide, "JPEG", quality=92),
        "photo.png": _encode(wide, "PNG"),
        "clip.mp4": _clip(wide.resize((128, 96))),
        "drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"></svg>',
        "page.pdf": b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n",
        "grey.png": _encode(grey, "PNG"),
        "grey_16_bit.png": _encode(deep, "PNG"),
        "alpha.png": _encode(alpha, "PNG"),
        "palette.png": _encode(small.quantize(64), "PNG"),
        "one_bit.png": _encode(small.convert("1"), "PNG"),
        "animated.png": _encode(small, "PNG", **frames),
        "animated.gif": _encode(small, "GIF", **frames),
        "animated.webp": _encode(small, "WEBP", **frames),
        "lossless.webp": _encode(alpha, "WEBP", lossless=True),
        "plain.tiff": _encode(small, "TIFF"),
        "jpeg_inside.tiff": _encode(small, "TIFF", compression="jpeg"),
        "float.tiff": _encode(grey.convert("F"), "TIFF"),
        "plain.bmp": _encode(small, "BMP"),
        "grey.jpg": _encode(grey, "JPEG"),
        "cmyk.jpg": _encode(small.convert("CMYK"), "JPEG"),
        "progressive.jpg": _encode(small, "JPEG", progressive=True, quality=85),
        "chroma_420.jpg": _encode(small, "JPEG", subsampling="4:2:0", quality=60),
        "chroma_422.jpg": _encode(small, "JPEG", subsampling="4:2:2"),
        "restart.jpg": _encode(small, "JPEG", restart_marker_blocks=4),
        "odd_size.jpg": _encode(small.crop((0, 0, 277, 259)), "JPEG"),
        "text.png": b"This is a text file with the name of a picture.\n",
        "empty.jpg": b"",
        "only_magic.jpg": b"\xff\xd8\xff",
    }
    if features.check("avif"):
        files["plain.avif"] = _encode(small, "AVIF", speed=10)
    exif = Pillow.Exif()
    for orientation in range(1, 9):
        exif[0x0112] = orientation
        picture = small.crop((0, 0, 280, 200))
        files[f"orientation_{orientation}.jpg"] = _encode(picture, "JPEG", exif=exif)
    for width, height in ((1, 1), (1, 300), (300, 1), (7, 9), (2000, 16)):
        sliver = Pillow.fromarray(photograph(width, height))
        files[f"{width}x{height}.png"] = _encode(sliver, "PNG")
        files[f"{width}x{height}.jpg"] = _encode(sliver, "JPEG")
    for name in ("black", "white", "grey"):
        flat = Pillow.new("RGB", small.size, name)
        files[f"flat_{name}.png"] = _encode(flat, "PNG")
        files[f"flat_{name}.jpg"] = _encode(flat, "JPEG")
    for name in ("photo.jpg", "photo.png", "progressive.jpg", "animated.gif"):
        files[f"truncated_{name}"] = files[name][: len(files[name]) // 2]
    damaged = bytearray(files["chroma_420.jpg"])
    damaged[len(damaged) // 2 : len(damaged) // 2 + 40] = b"\x55" * 40
    files["damaged.jpg"] = bytes(damaged)
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    body = _png_chunk(b"IDAT", zlib.compress(bytes(300_000))) + _png_chunk(b"IEND", b"")
    files["bomb.png"] = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", header) + body
    bomb = bytearray(files["grey.jpg"])
    frame = bomb.index(b"\xff\xc0")
    bomb[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    files["bomb.jpg"] = bytes(bomb)
    return MappingProxyType(files)
